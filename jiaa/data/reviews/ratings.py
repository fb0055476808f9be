"""Five levels from the words of reviews, good and bad, and their agreement with votes.

CFAN, Sec. 4.1: "positive and negative words in reviews are counted", the counts give
five levels of preference, and the first two levels are bad, the other three good.
"""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from jiaa.data.reviews import lexicon, terms
from jiaa.data.reviews.lexicon import Lexicon, Opinion
from jiaa.data.reviews.sentences import Kind, clean, read_sentences
from jiaa.data.table import DataError

LEVELS = 5
# Balance of praise and blame, in [-1, 1], at which the levels 2 to 5 begin: chosen on
# half of PCCD's critics, whose overall scores the levels should separate.
STEPS = (-0.1, 0.2, 0.4, 0.6)
BAD_LEVELS = 2
LEXICONS = {"photographic": lexicon.photographic, "plain": lexicon.plain}
_CHUNK = 2_000  # reviews a task of a worker process


@dataclasses.dataclass(frozen=True, eq=False)
class Rated:
    """What reviews say, a row each.

    Attributes:
      kind: the most telling type among the review's sentences (`Kind`), 1 to 4.
      positive: strength of the praise that is left after cleaning; a plain word is 1.
      negative: strength of the blame.
      level: 1 to 5; 0 where cleaning left nothing (types III and IV).
      text: the cleaned reviews; empty where nothing was left.
    """

    kind: Int[np.ndarray, " review"]
    positive: Float[np.ndarray, " review"]
    negative: Float[np.ndarray, " review"]
    level: Int[np.ndarray, " review"]
    text: tuple[str, ...]

    @property
    def balance(self) -> Float[np.ndarray, " review"]:
        """(praise - blame) / (praise + blame + 1), in (-1, 1)."""
        return balance(self.positive, self.negative)

    @property
    def good(self) -> Bool[np.ndarray, " review"]:
        """The binary rating; False also where there is none (`level` 0)."""
        return good(self.level)

    @property
    def stars(self) -> Float[np.ndarray, " review"]:
        """The level as stars from 1 to 5; NaN where there is none."""
        return np.where(self.level > 0, self.level, np.nan)


def balance(
    positive: Float[np.ndarray, " review"], negative: Float[np.ndarray, " review"]
) -> Float[np.ndarray, " review"]:
    """(praise - blame) / (praise + blame + 1): one word alone is no extreme."""
    return (positive - negative) / (positive + negative + 1)


def good(level: Int[np.ndarray, " review"]) -> Bool[np.ndarray, " review"]:
    """Whether a level is one of the upper three."""
    return level > BAD_LEVELS


def rate(
    text: str, *, lexicon: Lexicon, subjects: Collection[str] = terms.SUBJECTS
) -> tuple[Kind, Opinion, str]:
    """One review's type, what is left for and against, and the cleaned text."""
    sentences = read_sentences(text, lexicon=lexicon, subjects=subjects)
    kept = [s for s in sentences if s.kind in (Kind.RULES, Kind.FEELING)]
    opinion = sum((s.opinion for s in kept), Opinion())
    kind = min((s.kind for s in sentences), default=Kind.EQUIVOCAL)
    return kind, opinion, clean(kept)


def rate_reviews(
    texts: Sequence[str],
    *,
    lexicon: str = "photographic",
    subjects: Collection[str] = terms.SUBJECTS,
    workers: int | None = None,
    progress: bool = True,
) -> Rated:
    """All reviews rated, in order; the result does not depend on `workers`.

    Args:
      texts: the reviews.
      lexicon: one of `LEXICONS`.
      subjects: words on photographic rules, such as `vocabulary.aesthetic_words` finds.
      workers: processes; by default as many as there are cores, and one for few
        reviews. A script that uses several guards `__main__`, for they are spawned.
      progress: whether to show a bar.

    Raises:
      DataError: an unknown lexicon, or a review that is no text.
    """
    _check(texts, lexicon)
    chunks = [list(texts[i : i + _CHUNK]) for i in range(0, len(texts), _CHUNK)]
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if len(chunks) > 10 else 1
    work = functools.partial(_rate_chunk, lexicon=lexicon, subjects=frozenset(subjects))
    rows: list[tuple[int, float, float, str]] = []
    with tqdm(
        total=len(texts), desc="rate reviews", unit="review", disable=not progress
    ) as bar:
        for done in _run(work, chunks, workers):
            rows += done
            bar.update(len(done))
    kind, positive, negative, text = zip(*rows, strict=True) if rows else ((),) * 4
    return _rated(
        np.asarray(kind, int), np.asarray(positive), np.asarray(negative), text
    )


def _check(texts: Sequence[str], lexicon: str) -> None:
    if lexicon not in LEXICONS:
        raise DataError(f"lexicon={lexicon!r}; expected one of {', '.join(LEXICONS)}")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"review {row} is {text!r}; expected a text")


def _run(work, chunks: list[list[str]], workers: int) -> Iterator[list]:
    if workers == 1:
        yield from map(work, chunks)
        return
    # Not forked: a forked process would inherit JAX's threads half-way.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        yield from pool.map(work, chunks)


def _rate_chunk(
    texts: list[str], *, lexicon: str, subjects: Collection[str]
) -> list[tuple[int, float, float, str]]:
    chosen = LEXICONS[lexicon]()
    rows = []
    for text in texts:
        kind, opinion, left = rate(text, lexicon=chosen, subjects=subjects)
        rows.append((int(kind), opinion.positive, opinion.negative, left))
    return rows


def _rated(
    kind: Int[np.ndarray, " review"],
    positive: Float[np.ndarray, " review"],
    negative: Float[np.ndarray, " review"],
    text: tuple[str, ...],
) -> Rated:
    level = 1 + np.digitize(balance(positive, negative), STEPS)
    level = np.where(kind <= Kind.FEELING, level, 0)
    return Rated(kind, positive, negative, level, text)


def consistency(
    image: Int[np.ndarray, " review"],
    good: Bool[np.ndarray, " review"],
    crowd_good: Bool[np.ndarray, " image"],
) -> float:
    """Mean over images of the share of reviews that agree with the votes (eq. 7).

    `image` are rows of `crowd_good`, which tells whether an image's mean vote is above
    5 (AVA's convention). Images without a review do not count.

    Raises:
      DataError: no reviews.
    """
    if not len(image):
        raise DataError("no reviews: there is nothing to agree with the votes")
    agrees = good == crowd_good[image]
    reviews = np.bincount(image, minlength=len(crowd_good))
    agreeing = np.bincount(image, weights=agrees, minlength=len(crowd_good))
    reviewed = reviews > 0
    return float(np.mean(agreeing[reviewed] / reviews[reviewed]))
