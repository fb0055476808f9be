"""How far raters can be relied upon: PAM (Ren et al., ICCV 2017), Sec. 3, eq. 1."""

import numpy as np
from jaxtyping import Float, Int

from jiaa.types import Ratings


def worker_quality(
    gold: Ratings, true_stars: Float[np.ndarray, " rating"]
) -> dict[str, float]:
    """Each worker's mean performance score on images whose stars are known.

    An answer scores 1 if it is less than two stars off, 0.5 at two and 0 beyond (eq.
    1), so the mean lies in [0, 1].
    """
    off = np.abs(gold.stars - true_stars)
    score = np.where(off < 2, 1.0, np.where(off == 2, 0.5, 0.0))
    workers, index, counts = np.unique(
        gold.worker, return_inverse=True, return_counts=True
    )
    means = np.bincount(index, weights=score) / counts
    return {
        str(worker): float(mean) for worker, mean in zip(workers, means, strict=True)
    }


def weighted_means(
    scores: Float[np.ndarray, " rating"],
    image: Int[np.ndarray, " rating"],
    quality: Float[np.ndarray, " rating"],
    *,
    images: int,
) -> Float[np.ndarray, " image"]:
    """Each image's mean score, every rating weighted by its worker's quality.

    `image` holds rows in [0, images). NaN for images that nobody of positive quality
    rated, or somebody of unknown (NaN) quality.
    """
    weights = np.bincount(image, weights=quality, minlength=images)
    totals = np.bincount(image, weights=quality * scores, minlength=images)
    defined = weights > 0
    means = np.full(images, np.nan)
    means[defined] = totals[defined] / weights[defined]
    return means


def weighted_deviations(
    scores: Float[np.ndarray, " rating"],
    image: Int[np.ndarray, " rating"],
    quality: Float[np.ndarray, " rating"],
    *,
    images: int,
) -> Float[np.ndarray, " image"]:
    """Each image's weighted standard deviation about `weighted_means` (PAM, Sec. 3).

    The root of sum(w (s - mean)^2) / ((n - 1) / n sum(w)), n being how many rated the
    image: of equal weights, the usual sample deviation. In the scores' unit; NaN where
    the mean is, and for an image with one rating.
    """
    means = weighted_means(scores, image, quality, images=images)
    counts = np.bincount(image, minlength=images)
    squares = quality * (scores - means[image]) ** 2
    totals = np.bincount(image, weights=squares, minlength=images)
    weights = np.bincount(image, weights=quality, minlength=images)
    found = np.full(images, np.nan)
    defined = np.isfinite(means) & (counts > 1)
    n = counts[defined]
    found[defined] = np.sqrt(totals[defined] / ((n - 1) / n * weights[defined]))
    return found
