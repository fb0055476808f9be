"""Generic regression of a linear head in closed form."""

import numpy as np
from jaxtyping import Float


def fit_ridge(
    features: Float[np.ndarray, "image feature"],
    targets: Float[np.ndarray, " image"],
    *,
    strength: float,
) -> tuple[Float[np.ndarray, " feature"], float]:
    """(weights w, bias b): w of the least |t - b - F w|^2 + strength |w|^2.

    The bias is the targets' mean and F is not centred: features of a kernel's map have
    no meaningful origin to move to. In float64; the weights come back as float32.
    """
    features, targets = features.astype(np.float64), targets.astype(np.float64)
    bias = targets.mean()
    square = features.T @ features + strength * np.eye(features.shape[1])
    weights = np.linalg.solve(square, features.T @ (targets - bias))
    return weights.astype(np.float32), float(bias)
