"""Losses: one value per example; the caller weights, masks and reduces."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def squared_error(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"] | None = None,
) -> Float[Array, " image"]:
    """Squared error of unit scores: BA-PIAA's and BLG-PIAA's loss (slides, "Key idea").

    `mask` is accepted and ignored, because each value depends on its own image alone.
    """
    del mask
    return jnp.square(predicted - target)


def centred_squared_error(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"] | None = None,
) -> Float[Array, " image"]:
    """Squared error after the best constant for the user was added to the predictions.

    A user's offset (harsh or generous) is thus solved for exactly, and a constant added
    to all predictions changes nothing. Masked images take no part in the offset.
    """
    real = jnp.ones(predicted.shape, bool) if mask is None else mask
    gap = jnp.where(real, target - predicted, 0.0)
    return jnp.square(gap - masked_mean(gap, real))


def pairwise_rank(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"] | None = None,
    *,
    temperature: float = 0.1,
) -> Float[Array, " image"]:
    """Logistic rank loss of each image against all that the user scored otherwise.

    For image i, the mean over partners j with another target of log(1 + exp(-sign(t_i -
    t_j) (p_i - p_j) / temperature)); at a tie of predictions each pair costs log 2. An
    image without such a partner has loss 0. `temperature` is in unit scores. Masked
    images are partners of nobody. (RankNet, Burges et al., ICML 2005.)
    """
    real = jnp.ones(predicted.shape, bool) if mask is None else mask
    order = jnp.sign(target[:, None] - target[None, :])
    partner = (order != 0) & real[None, :]
    gap = (predicted[:, None] - predicted[None, :]) * order / temperature
    total = jnp.sum(jnp.where(partner, jax.nn.softplus(-gap), 0.0), axis=1)
    return total / jnp.maximum(jnp.sum(partner, axis=1), 1)


def earth_mover_distance(
    predicted: Float[Array, "image bin"],
    target: Float[Array, "image bin"],
    mask: Bool[Array, " image"] | None = None,
    *,
    order: float = 2.0,
) -> Float[Array, " image"]:
    """Distance of two score distributions, (mean |CDF gap|^r)^(1/r) (PA_IAA, eq. 11).

    With r = 1 it equals SciPy's `wasserstein_distance / bins`, with r = 2
    `energy_distance / sqrt(2 bins)`, on the grid of bin numbers. Each row sums to 1.
    """
    del mask
    if predicted.ndim != 2:
        raise ValueError(
            f"EMD compares distributions, one row an image; got {predicted.shape}."
            " A head with one score an image needs another loss, such as 'mse'"
        )
    gap = jnp.abs(jnp.cumsum(predicted - target, axis=-1))
    mean = jnp.mean(gap**order, axis=-1)
    # The derivative of a root at 0 is infinite: a perfect prediction must not give NaN.
    root = jnp.where(mean > 0, mean, 1.0) ** (1.0 / order)
    return jnp.where(mean > 0, root, 0.0)


def euclidean(
    predicted: Float[Array, "image output"],
    target: Float[Array, "image output"],
    mask: Bool[Array, " image"] | None = None,
    *,
    total: bool = False,
) -> Float[Array, " image"]:
    """Squared error of several outputs: their mean (PA_IAA, eqs. 2 and 5) or `total`.

    PDMTL's loss of the five traits (eq. 4) is the total.
    """
    del mask
    error = jnp.square(predicted - target)
    return jnp.sum(error, axis=-1) if total else jnp.mean(error, axis=-1)


def cross_entropy(
    predicted: Float[Array, "image output"],
    target: Float[Array, "image output"],
    mask: Bool[Array, " image"] | None = None,
) -> Float[Array, " image"]:
    """-sum t log p of distributions, such as of content classes; 0 log 0 is 0."""
    del mask
    return -jnp.sum(target * jnp.log(jnp.maximum(predicted, 1e-7)), axis=-1)


def margin_rank(
    predicted: Float[Array, " image"],
    target: Float[Array, " image"],
    mask: Bool[Array, " image"] | None = None,
    *,
    margin: float = 0.02,
    least: float = 0.0,
) -> Float[Array, " image"]:
    """Kong's rank loss of each image against the batch (ECCV 2016, eq. 2), halved.

    For image i, half the mean over partners j of max(0, margin - sign(t_i - t_j) (p_i -
    p_j)); a partner's target is further than `least` away, in unit scores, and it is
    not masked. An image without a partner has loss 0. (Kong et al., Photo aesthetics
    ranking network with attributes and content adaptation, sample pairs; here every
    pair of the batch counts.)
    """
    real = jnp.ones(predicted.shape, bool) if mask is None else mask
    apart = target[:, None] - target[None, :]
    partner = (jnp.abs(apart) > least) & real[None, :]
    gap = jnp.sign(apart) * (predicted[:, None] - predicted[None, :])
    total = jnp.sum(jnp.where(partner, jnp.maximum(margin - gap, 0.0), 0.0), axis=1)
    return total / jnp.maximum(jnp.sum(partner, axis=1), 1) / 2


def attribute_loss(
    predicted: Float[Array, "image attribute"],
    observed: Float[Array, "image attribute"],
    *,
    weight: float = 0.1,
) -> Float[Array, " image"]:
    """PAM (ICCV 2017), eq. 4: sum_i w_i loss_att_i, each half a squared error."""
    return 0.5 * weight * euclidean(predicted, observed, total=True)


LOSSES = {
    "mse": squared_error,
    "centred": centred_squared_error,
    "rank": pairwise_rank,
    "emd": earth_mover_distance,
}


def masked_mean(
    values: Float[Array, " image"], mask: Bool[Array, " image"]
) -> Float[Array, ""]:
    """Mean of the values where `mask` holds; 0 where it holds nowhere."""
    return jnp.sum(jnp.where(mask, values, 0.0)) / jnp.maximum(jnp.sum(mask), 1)


def binary_cross_entropy(
    logits: Float[Array, "*example"], target: Float[Array, "*example"]
) -> Float[Array, "*example"]:
    """-(t log p + (1 - t) log(1 - p)), p = sigmoid(logits): CFAN's eq. 6, negated."""
    return jax.nn.softplus(logits) - target * logits


def bpr(
    preferred: Float[Array, " pair"], other: Float[Array, " pair"]
) -> Float[Array, " pair"]:
    """-log sigmoid(preferred - other): BPR's criterion; log 2 at a tie."""
    return jax.nn.softplus(other - preferred)
