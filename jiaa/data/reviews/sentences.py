"""A review's sentences, their four types, and the review without what says nothing.

CFAN, Sec. 4.1: type I comments on photographic rules, type II on feelings about the
photograph, type III has feelings about something else, type IV none. II is rewritten to
"The photo is good" (or bad), III and IV are dropped. The paper finds the types with
CoreNLP's parser; here a sentence's words decide.
"""

import dataclasses
import enum
import re
from collections.abc import Collection, Sequence

from jiaa.data.reviews import terms
from jiaa.data.reviews.lexicon import Lexicon, Opinion

_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*|[0-9]+(?:[./][0-9]+)*")
_BREAK = re.compile(r"(?<![0-9])\.+(?![0-9])|[!?;\n]+")
_SELF = frozenset("i i'm i've i'd me my you your yours you've".split())
_VERDICT_WORDS = 4  # a sentence of so few words is a verdict: "Excellent!", "Well done"


class Kind(enum.IntEnum):
    """The paper's types of sentences."""

    RULES = 1
    FEELING = 2
    AMBIGUOUS = 3
    EQUIVOCAL = 4


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One sentence: lower-case words, type, and what it says for and against."""

    words: tuple[str, ...]
    kind: Kind
    opinion: Opinion


def tokens(text: str) -> list[str]:
    """Lower-case words and numbers; apostrophes and inner hyphens stay."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def read_sentences(
    text: str, *, lexicon: Lexicon, subjects: Collection[str] = terms.SUBJECTS
) -> list[Sentence]:
    """The sentences that have words, classified.

    `subjects` are the words that make a sentence with a verdict one on photographic
    rules (`vocabulary.aesthetic_words` finds a corpus' own).
    """
    found = []
    for part in _BREAK.split(text.lower().replace("\u2019", "'")):
        words = _WORD.findall(part)
        if words:
            opinion = lexicon.opinion(words)
            kind = _kind(words, opinion, subjects)
            found.append(Sentence(tuple(words), kind, opinion))
    return found


def _kind(words: Sequence[str], opinion: Opinion, subjects: Collection[str]) -> Kind:
    if not opinion.exists:
        return Kind.EQUIVOCAL
    if any(_names(word, subjects) for word in words):
        return Kind.RULES
    whole = any(_names(word, terms.WHOLE) for word in words)
    if whole or len(words) <= _VERDICT_WORDS or not _SELF.isdisjoint(words):
        return Kind.FEELING
    return Kind.AMBIGUOUS


def _names(word: str, subjects: Collection[str]) -> bool:
    return word in subjects or (word[-1] == "s" and word[:-1] in subjects)


def clean(sentences: Sequence[Sentence]) -> str:
    """The review's text after the paper's cleaning; empty if nothing is left."""
    kept = []
    for sentence in sentences:
        if sentence.kind is Kind.RULES:
            kept.append(" ".join(sentence.words).capitalize() + ".")
        elif sentence.kind is Kind.FEELING:
            opinion = sentence.opinion
            verdict = "good" if opinion.positive >= opinion.negative else "bad"
            kept.append(f"The photo is {verdict}.")
    return " ".join(kept)
