"""Generic regression of a linear head in closed form."""

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
    if strength < 0:
        raise ValueError(f"strength is {strength}; expected 0 or more")
    features, targets = features.astype(np.float64), targets.astype(np.float64)
    if weights is None:
        weighted, bias = features, targets.mean()
    else:
        if not weights.min() > 0:
            raise ValueError(
                f"the least weight is {weights.min()}; expected positive weights. "
                "Leave out the images that nobody rated"
            )
        share = weights.astype(np.float64) / weights.mean(dtype=np.float64)
        weighted, bias = features * share[:, None], np.average(targets, weights=share)
    square = weighted.T @ features + strength * np.eye(features.shape[1])
    solution = np.linalg.solve(square, weighted.T @ (targets - bias))
    return solution.astype(np.float32), float(bias)
