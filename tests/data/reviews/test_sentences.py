"""Types of sentences, and reviews without what says nothing."""

import pytest

from jiaa.data import reviews
from jiaa.data.reviews import Kind, lexicon
from jiaa.data.reviews.sentences import tokens

PHOTO = lexicon.photographic()


# The paper's own examples of the four types (Sec. 4.1).
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The color is wonderful and the composition is great!", Kind.RULES),
        ("I like this photo!", Kind.FEELING),
        ("How handsome the boy is!", Kind.AMBIGUOUS),
        ("Do you live in the steeple?", Kind.EQUIVOCAL),
    ],
)
def test_the_papers_examples_have_the_papers_types(text, kind):
    (sentence,) = reviews.read_sentences(text, lexicon=PHOTO)
    assert sentence.kind is kind


def test_cleaning_rewrites_feelings_and_drops_what_says_nothing():
    text = "The light is great! I like this photo! How handsome the boy is! Who knows?"
    sentences = reviews.read_sentences(text, lexicon=PHOTO)
    assert reviews.clean(sentences) == "The light is great. The photo is good."
    _, opinion, _ = reviews.rate(text, lexicon=PHOTO)
    kept = sentences[0].opinion + sentences[1].opinion
    assert opinion == kept  # the boy's looks are no part of it


def test_words_are_letters_of_any_script_and_numbers():
    assert tokens("Caf\u00e9 f/2.8 isn\u2019t well-lit_ \U0001f600") == [
        "caf\u00e9",
        "f",
        "2.8",
        "isn't",
        "well-lit",
    ]
