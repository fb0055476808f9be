"""Which words praise and which find fault: a lexicon behind one small interface."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from jiaa.data.reviews import terms


@dataclasses.dataclass(frozen=True)
class Opinion:
    """How much a passage praises and how much it blames, both 0 or more.

    `positive` and `negative` are sums of the strengths of its words, in units of a
    plain "good" or "bad", so a word counts about one.
    """

    positive: float = 0.0
    negative: float = 0.0

    def __add__(self, other: "Opinion") -> "Opinion":
        """Both passages together."""
        return Opinion(self.positive + other.positive, self.negative + other.negative)

    @property
    def exists(self) -> bool:
        """Whether anything is said for or against."""
        return self.positive > 0 or self.negative > 0


@dataclasses.dataclass(frozen=True, eq=False)
class Lexicon:
    """Verdicts of words and phrases, negation, and wishes.

    Attributes:
      strengths: word or phrase (words joined by spaces) -> strength on VADER's scale,
        above 0 for praise.
      unit: the strength that counts as one word.
      negation_reach: how many words after a negation are turned around.
      wishes: whether praise after "would", "if" and the like counts as blame.
    """

    strengths: Mapping[str, float]
    unit: float = 2.0
    negation_reach: int = 3
    wishes: bool = True

    @functools.cached_property
    def _phrases(self) -> dict[str, list[tuple[tuple[str, ...], float]]]:
        """First word -> the phrases that begin with it, longest first."""
        found: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for text, strength in self.strengths.items():
            words = tuple(text.split())
            if len(words) > 1:
                found.setdefault(words[0], []).append((words, strength))
        for phrases in found.values():
            phrases.sort(key=lambda phrase: -len(phrase[0]))
        return found

    def opinion(self, words: Sequence[str]) -> Opinion:
        """What one sentence's lower-case words say; phrases before single words."""
        positive = negative = 0.0
        negated = wished = -1  # the last word that such a word reaches
        place = 0
        while place < len(words):
            strength, length = self._at(words, place)
            word = words[place]
            if strength:
                if self.wishes and place <= wished and strength > 0:
                    strength = -strength / 2
                elif place <= negated:
                    strength = -strength / 2 if strength < 0 else -strength
                if strength > 0:
                    positive += strength
                else:
                    negative -= strength
            last = place + length - 1
            if words[last] in terms.NEGATIONS:  # also the end of "is not"
                negated = last + self.negation_reach
            if word in terms.WISHES:
                wished = place + self.negation_reach
            place += length
        return Opinion(positive / self.unit, negative / self.unit)

    def _at(self, words: Sequence[str], place: int) -> tuple[float, int]:
        """(strength, number of words) of the longest entry that begins here."""
        for phrase, strength in self._phrases.get(words[place], ()):
            if tuple(words[place : place + len(phrase)]) == phrase:
                return strength, len(phrase)
        return self.strengths.get(words[place], 0.0), 1


def _vader() -> dict[str, float]:
    """VADER's words (Hutto and Gilbert, ICWSM 2014), without emoticons and phrases."""
    return {
        word: value for word, value in analyser().lexicon.items() if " " not in word
    }


@functools.cache
def analyser() -> Any:
    """VADER's own analyser; its lexicon lies in its package, nothing is downloaded."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@functools.cache
def plain() -> Lexicon:
    """VADER's words as they are."""
    return Lexicon(_vader(), wishes=False)


@functools.cache
def photographic() -> Lexicon:
    """VADER's words, less those that name things, and the verdicts of photographers."""
    words = {w: x for w, x in _vader().items() if w not in terms.NEUTRAL}
    return Lexicon({**words, **terms.VERDICTS})
