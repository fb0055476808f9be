"""Words as numbers, and the words on photographs that a corpus itself shows."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from jiaa.data.reviews import terms
from jiaa.data.reviews.lexicon import Lexicon
from jiaa.data.reviews.sentences import read_sentences, tokens

PADDING, UNKNOWN = 0, 1


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Numbers of words: 0 is padding, 1 any unknown word, the rest `words` in order."""

    words: tuple[str, ...]

    def __len__(self) -> int:
        """How many numbers there are."""
        return len(self.words) + 2

    @functools.cached_property
    def _number(self) -> Mapping[str, int]:
        return {word: number for number, word in enumerate(self.words, 2)}

    def encode(
        self, texts: Sequence[str], *, length: int
    ) -> tuple[Int[np.ndarray, "review word"], Int[np.ndarray, " review"]]:
        """(numbers padded with 0, number of words); longer reviews lose their end."""
        numbers = np.full((len(texts), length), PADDING, np.int32)
        counts = np.zeros(len(texts), np.int32)
        for row, text in enumerate(texts):
            found = [self._number.get(w, UNKNOWN) for w in tokens(text)[:length]]
            numbers[row, : len(found)] = found
            counts[row] = len(found)
        return numbers, counts


def build_vocabulary(
    texts: Iterable[str], *, size: int = 10_000, min_count: int = 2
) -> Vocabulary:
    """The `size` most frequent words that occur `min_count` times or more.

    Of equally frequent words the alphabet decides, so the order of texts does not
    matter.
    """
    counts = Counter(word for text in texts for word in tokens(text))
    kept = sorted((-n, word) for word, n in counts.items() if n >= min_count)
    return Vocabulary(tuple(word for _, word in kept[:size]))


def aesthetic_words(
    texts: Iterable[str],
    *,
    lexicon: Lexicon,
    size: int = 60,
    min_count: int = 20,
    reach: int = 3,
    seeds: frozenset[str] = terms.SUBJECTS,
) -> list[str]:
    """A corpus' words on photographic quality, most relevant first.

    "The high-frequency words are sorted and those with the highest relevance to photo
    aesthetic quality assessment are selected" (Sec. 4.1). Relevance is how much more
    often than a word of that frequency would by chance a word stands within `reach`
    words of a verdict *and* shares a sentence with one of the `seeds`; verdicts
    themselves and words of one or two letters do not count.
    """
    seen: Counter[str] = Counter()
    near: Counter[str] = Counter()
    for text in texts:
        for sentence in read_sentences(text, lexicon=lexicon):
            words = sentence.words
            verdicts = [i for i, w in enumerate(words) if w in lexicon.strengths]
            judged = {i + d for i in verdicts for d in range(-reach, reach + 1)}
            on_rules = not seeds.isdisjoint(words)
            for place, word in enumerate(words):
                if len(word) < 3 or word in lexicon.strengths or word in _FUNCTION:
                    continue
                seen[word] += 1
                near[word] += on_rules and place in judged
    base = sum(near.values()) / max(sum(seen.values()), 1)
    scores = {
        word: (near[word] - base * n) / np.sqrt(max(base * n, 1e-9))
        for word, n in seen.items()
        if n >= min_count
    }
    ranked = sorted(scores, key=lambda word: (-scores[word], word))
    return ranked[:size]


# Words without a meaning of their own, which stand near everything.
_FUNCTION = frozenset(
    """
    about after all also and any are been being both but can did does done each for from
    get gets got had has have her here his how into its it's itself just let make makes
    more most much not now off one only other our out over own really see should some
    such than that that's the their them then there these they thing this those through
    too under until use very was way were what when where which while who will with
    would you you're your i'm i've don't doesn't isn't
    """.split()
)
