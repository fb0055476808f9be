"""What a crowd says of each image: mean scores, and how scores are distributed.

PDMTL learns the means, PA_IAA and NIMA the distributions.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from jiaa.data.dataset import Dataset
from jiaa.data.table import DataError
from jiaa.types import UserTasks


@dataclasses.dataclass(frozen=True, eq=False)
class Crowd:
    """What people said of each image of a dataset; 0 for images that nobody scored.

    Attributes:
      scores: mean unit scores.
      shares: of each of the stars 1, 2, ...; None where only means are known.
    """

    scores: Float[np.ndarray, " image"]
    shares: Float[np.ndarray, "image bin"] | None = None

    def distribution(self, name: str) -> Float[np.ndarray, "image bin"]:
        """The shares.

        Raises:
          DataError: only means are known of the dataset `name`.
        """
        if self.shares is None:
            raise DataError(
                f"{name!r} has mean scores, or a scale that is not of whole stars from "
                "1: no distribution to learn. Learn its mean scores (a sigmoid: "
                "config.model.aesthetics='sigmoid'), or give whole stars from 1 as its "
                "scale, such as (1, 5)"
            )
        return self.shares


def crowd(dataset: Dataset, split: str) -> Crowd:
    """What a split's users said; of a database without users, what its crowd did.

    AVA has votes for all images, AADB without raters' own stars has mean scores alone.
    """
    columns = dataset.metadata
    if not dataset.tasks and "votes" in columns:
        return _of_shares(distributions(np.asarray(columns["votes"])))
    if not dataset.tasks:
        return Crowd(np.asarray(columns["mean_score"], np.float32))
    (low, high), images = dataset.scale, len(dataset.image_names)
    tasks = dataset.split(split)
    if low != 1 or high != int(high):
        return Crowd(task_means(tasks, images=images))
    return _of_shares(distributions(score_counts(tasks, images=images, bins=int(high))))


def _of_shares(shares: Float[np.ndarray, "image bin"]) -> Crowd:
    """With the mean unit scores of distributions over stars 1..N."""
    bins = shares.shape[1]
    return Crowd((shares @ np.arange(1, bins + 1) / bins).astype(np.float32), shares)


def score_counts(
    tasks: UserTasks, *, images: int, bins: int
) -> Int[np.ndarray, "image bin"]:
    """How many of the users gave each image each of the stars 1..bins.

    Unit scores are stars / bins; anything between two stars counts for the nearer.

    Raises:
      ValueError: a score outside of the stars.
    """
    real = np.asarray(tasks.mask)
    rows = np.asarray(tasks.image_ids)[real]
    stars = np.rint(np.asarray(tasks.scores, np.float64)[real] * bins).astype(int)
    if len(stars) and not 1 <= stars.min() <= stars.max() <= bins:
        raise ValueError(
            f"scores from {stars.min()} to {stars.max()} stars; expected 1 to {bins}. "
            "Pass the scale's highest score as bins; its lowest has to be 1"
        )
    counts = np.bincount(rows * bins + stars - 1, minlength=images * bins)
    return counts.reshape(images, bins)


def distributions(
    counts: Int[np.ndarray, "image bin"],
) -> Float[np.ndarray, "image bin"]:
    """Shares of each star, summing to 1; 0 throughout where nobody rated."""
    total = counts.sum(axis=1, keepdims=True)
    return (counts / np.maximum(total, 1)).astype(np.float32)


def task_means(tasks: UserTasks, *, images: int) -> Float[np.ndarray, " image"]:
    """Each image's mean unit score by the users; 0 for images that nobody rated."""
    real = np.asarray(tasks.mask)
    rows = np.asarray(tasks.image_ids)[real]
    scores = np.asarray(tasks.scores, np.float64)[real]
    total = np.bincount(rows, weights=scores, minlength=images)
    count = np.bincount(rows, minlength=images)
    return (total / np.maximum(count, 1)).astype(np.float32)
