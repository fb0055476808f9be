"""What the papers' tables report: SROCC, PLCC, RMSE, accuracy, EMD, AUC.

Pure functions of one user's or one test set's images, masked, to be batched by `vmap`.
A coefficient that does not exist (one side is constant) is `defined = False` with value
0, never NaN: NaN is written on the host only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jiaa import losses


class Measured(NamedTuple):
    """A metric's value, and whether it exists for these images."""

    value: Float[Array, ""]
    defined: Bool[Array, ""]


def average_ranks(
    values: Float[Array, " image"], mask: Bool[Array, " image"]
) -> Float[Array, " image"]:
    """Ranks 1..n of the masked values, ties sharing their average; else 0."""
    count = values.shape[0]
    if not count:
        return values
    order = jnp.lexsort((values, ~mask))
    ordered, real = values[order], mask[order]
    differs = (ordered[1:] != ordered[:-1]) | (real[1:] != real[:-1])
    edge = jnp.ones(1, bool)
    # Places of the first and of the last of each run of ties.
    place = jnp.arange(count)
    first = jnp.where(jnp.concatenate([edge, differs]), place, 0)
    last = jnp.where(jnp.concatenate([differs, edge]), place, count)
    first, last = jax.lax.cummax(first), jax.lax.cummin(last, reverse=True)
    ranks = jnp.where(real, (first + last) / 2 + 1, 0.0).astype(values.dtype)
    return jnp.zeros_like(values).at[order].set(ranks, unique_indices=True)


def pearson(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"],
) -> Measured:
    """Linear correlation (PLCC) in [-1, 1] over the masked images."""
    count = jnp.maximum(jnp.sum(mask), 1)

    def centred(values):
        values = jnp.where(mask, values, 0.0)
        return jnp.where(mask, values - jnp.sum(values) / count, 0.0)

    predicted_gap, target_gap = centred(predicted), centred(target)
    # Rounding leaves a constant side a spread of about one part in 10^7 of its level.
    spread, expected = jnp.sum(predicted_gap**2), jnp.sum(target_gap**2)
    floor = 1e-12 * count
    defined = (spread > floor * _level(predicted, mask)) & (
        expected > floor * _level(target, mask)
    )
    scale = jnp.sqrt(jnp.where(defined, spread, 1.0)) * jnp.sqrt(
        jnp.where(defined, expected, 1.0)
    )
    value = jnp.clip(jnp.sum(predicted_gap * target_gap) / scale, -1.0, 1.0)
    return Measured(jnp.where(defined, value, 0.0), defined)


def _level(values, mask):
    return jnp.max(jnp.where(mask, jnp.square(values), 0.0))


def spearman(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"],
) -> Measured:
    """Rank correlation (SROCC) in [-1, 1] with average ranks for ties, as SciPy's.

    (TIP 2020 eq. 10 misprints the denominator and assumes no ties; stars tie always.)
    """
    return pearson(average_ranks(predicted, mask), average_ranks(target, mask), mask)


def rmse(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"],
) -> Measured:
    """Root mean squared error, in the unit of the scores."""
    mean = losses.masked_mean(jnp.square(predicted - target), mask)
    return Measured(jnp.sqrt(mean), jnp.any(mask))


def accuracy(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"],
    *,
    threshold: float = 0.5,
) -> Measured:
    """Share of images put on the right side of `threshold` (good means above it)."""
    right = (predicted > threshold) == (target > threshold)
    return Measured(losses.masked_mean(right.astype(float), mask), jnp.any(mask))


def emd(
    predicted: Float[Array, "image bin"],
    target: Float[Array, "image bin"],
    mask: Bool[Array, " image"],
    *,
    order: float = 2.0,
) -> Measured:
    """Mean earth mover's distance of predicted and true distributions (eq. 11)."""
    distances = losses.earth_mover_distance(predicted, target, order=order)
    return Measured(losses.masked_mean(distances, mask), jnp.any(mask))


def auc(
    predicted: Float[Array, " image"],
    positive: Bool[Array, " image"],
    mask: Bool[Array, " image"],
) -> Measured:
    """Area under the ROC curve, by ranks (Mann-Whitney); ties count half."""
    ranks = average_ranks(predicted, mask)
    good = positive & mask
    num_good = jnp.sum(good)
    num_bad = jnp.sum(mask) - num_good
    defined = (num_good > 0) & (num_bad > 0)
    above = jnp.sum(jnp.where(good, ranks, 0.0)) - num_good * (num_good + 1) / 2
    value = above / jnp.where(defined, num_good * num_bad, 1)
    return Measured(jnp.where(defined, value, 0.0), defined)


METRICS = {"srocc": spearman, "plcc": pearson, "rmse": rmse}
