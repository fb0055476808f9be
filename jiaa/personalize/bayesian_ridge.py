"""Bayesian ridge regression by evidence: MacKay 1992; Tipping 2001, as scikit-learn's.

Weights have prior variance 1 / lambda and targets noise of variance 1 / alpha, both
found by maximising the evidence. In the basis of the Gram matrix of the ratings, which
are few, a step costs as many operations as there are ratings.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def fit_bayesian_ridge(
    features: Float[Array, "rating feature"],
    targets: Float[Array, " rating"],
    *,
    mask: Bool[Array, " rating"],
    weight: float = 0.0,
    noise: float = 1.0,
    prior: float = 1.0,
    steps: int = 100,
) -> dict[str, Float[Array, "..."]]:
    """{"weights" [feature], "offset"}: the posterior mean, on centred features.

    Args:
      features: x; rows outside of the mask are not read.
      targets: y.
      mask: the ratings to learn from; none gives weights and an offset of 0.
      weight: pseudo-ratings that hold the variances to `noise` and `prior`: Gamma
        priors of shape weight / 2 (scikit-learn's alpha_1 and lambda_1).
      noise: usual variance of the noise, in the targets' unit squared.
      prior: usual variance of a weight.
      steps: of the fixed point.
    """
    count = jnp.sum(mask)
    divisor = jnp.maximum(count, 1)
    features = jnp.where(mask[:, None], features, 0.0)
    targets = jnp.where(mask, targets, 0.0)
    center, mean = jnp.sum(features, axis=0) / divisor, jnp.sum(targets) / divisor
    centred = jnp.where(mask[:, None], features - center[None], 0.0)
    gaps = jnp.where(mask, targets - mean, 0.0)
    # Rows of padding are zero: they add eigenvalues of 0, along which nothing lies.
    values, vectors = jnp.linalg.eigh(centred @ centred.T)
    values = jnp.maximum(values, 0.0)
    along = vectors.T @ gaps
    held = {"weight": weight, "noise": noise, "prior": prior, "steps": steps}
    ratio = _strength_ratio(values, along, gaps, count=count, **held)
    dual = vectors @ (along / (ratio + values + jnp.finfo(gaps.dtype).tiny))
    weights = centred.T @ dual
    return {"weights": weights, "offset": mean - center @ weights}


def _strength_ratio(values, along, gaps, *, count, weight, noise, prior, steps):
    """What lambda / alpha is where the evidence is greatest.

    `values` are the Gram matrix' eigenvalues, `along` the gaps in its basis, `count`
    how many gaps are real.
    """
    total = jnp.sum(gaps**2)
    tiny = jnp.finfo(gaps.dtype).eps * jnp.maximum(total, jnp.finfo(gaps.dtype).tiny)

    def step(_, strengths):
        alpha, lambda_ = strengths
        gain = alpha / (lambda_ + alpha * values)  # w = X' U (gain * along)
        gamma = jnp.sum(values * gain)
        squares = jnp.sum(values * (gain * along) ** 2)
        missed = jnp.sum((along * (1.0 - values * gain)) ** 2)
        lambda_ = (gamma + weight) / (squares + weight * prior + tiny)
        alpha = jnp.maximum(count - gamma + weight, tiny) / (
            missed + weight * noise + tiny
        )
        return alpha, lambda_

    start = 1.0 / (total / jnp.maximum(count, 1) + tiny), jnp.ones(())
    if weight:
        start = jnp.float32(1.0 / noise), jnp.float32(1.0 / prior)
    alpha, lambda_ = jax.lax.fori_loop(0, steps, step, start)
    # Divided so that neither overflows where the other is next to nothing.
    return lambda_ / alpha
