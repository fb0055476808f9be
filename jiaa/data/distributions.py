"""How a crowd's scores of each image are distributed: what PA_IAA and NIMA learn."""

import numpy as np
from jaxtyping import Float, Int

from jiaa.types import UserTasks


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
