"""Generic regression of a linear head in closed form."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


def fit_ridge(
    features: Float[np.ndarray, "image feature"],
    targets: Float[np.ndarray, " image"],
    *,
    strength: float,
    weights: Float[np.ndarray, " image"] | None = None,
) -> tuple[Float[np.ndarray, " feature"], float]:
    """(w, b) of the least sum_i v_i (t_i - b - F_i w)^2 + strength |w|^2.

    The bias is the targets' mean and F is not centred: features of a kernel's map have
    no meaningful origin to move to. In float64; w comes back as float32.

    Args:
      features: F.
      targets: t, such as mean unit scores.
      strength: 0 or more; with fewer images than features it has to be above 0.
      weights: v, such as each image's number of raters; positive, and their scale is
        free: their mean becomes 1. By default all images count alike.

    Raises:
      ValueError: a strength below 0, or a weight that is not positive.
      numpy.linalg.LinAlgError: strength 0, and the features do not decide w.
    """
    solved = _solved(features, targets, strength=strength, weights=weights)
    return solved.slow.astype(np.float32), solved.bias


def held_out_scores(
    features: Float[np.ndarray, "image feature"],
    targets: Float[np.ndarray, " image"],
    *,
    strength: float,
    weights: Float[np.ndarray, " image"] | None = None,
) -> Float[np.ndarray, " image"]:
    """Each image's score by `fit_ridge` on all the others, around the same bias.

    Leave-one-out in closed form: the residual of the whole fit over 1 - h_i, where h_i
    is the image's own influence (Allen's PRESS; Hastie, Tibshirani and Friedman, The
    Elements of Statistical Learning, eq. 7.64). Args and Raises are those of
    `fit_ridge`.
    """
    solved = _solved(features, targets, strength=strength, weights=weights)
    gaps = targets.astype(np.float64) - solved.bias
    fitted = features.astype(np.float64) @ solved.slow
    held_out = gaps - (gaps - fitted) / np.maximum(1 - solved.influence, 1e-9)
    return (solved.bias + held_out).astype(np.float32)


class _Solved(NamedTuple):
    slow: Float[np.ndarray, " feature"]
    bias: float
    influence: Float[np.ndarray, " image"]


def _solved(features, targets, *, strength, weights) -> _Solved:
    if strength < 0:
        raise ValueError(f"strength is {strength}; expected 0 or more")
    features, targets = features.astype(np.float64), targets.astype(np.float64)
    images, width = features.shape
    if weights is None:
        share = np.ones(images)
    else:
        if not weights.min() > 0:
            raise ValueError(
                f"the least weight is {weights.min()}; expected positive weights. "
                "Leave out the images that nobody rated"
            )
        share = weights.astype(np.float64) / weights.mean(dtype=np.float64)
    bias = float(np.average(targets, weights=share))
    # In as many unknowns as there are features or images, whichever are fewer.
    if strength and images < width:
        gram = features @ features.T + strength * np.diag(1 / share)
        solve = features.T @ np.linalg.inv(gram)
    else:
        weighted = features.T * share[None]
        square = weighted @ features + strength * np.eye(width)
        solve = np.linalg.solve(square, weighted)
    influence = np.einsum("if,fi->i", features, solve)
    return _Solved(solve @ (targets - bias), bias, influence)
