"""From what people write about photographs to how they rate them (CFAN, Sec. 4.1)."""

from jiaa.data.reviews.lexicon import Lexicon, photographic, plain
from jiaa.data.reviews.ratings import (
    LEVELS,
    Rated,
    consistency,
    good,
    rate,
    rate_reviews,
)
from jiaa.data.reviews.sentences import Kind, Sentence, clean, read_sentences
from jiaa.data.reviews.vocabulary import Vocabulary, aesthetic_words, build_vocabulary

__all__ = [
    "LEVELS",
    "Kind",
    "Lexicon",
    "Rated",
    "Sentence",
    "Vocabulary",
    "aesthetic_words",
    "build_vocabulary",
    "clean",
    "consistency",
    "good",
    "photographic",
    "plain",
    "rate",
    "rate_reviews",
    "read_sentences",
]
