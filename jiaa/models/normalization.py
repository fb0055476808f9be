"""Batch normalisation that knows which images are real (Ioffe and Szegedy, ICML 2015).

Users have different numbers of ratings, so their batches are padded; statistics take
the mask, and padded images change neither the outputs of the others nor the running
values.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float


def masked_moments(
    x: Float[Array, "image *position channel"], mask: Bool[Array, " image"] | None
) -> tuple[Float[Array, " channel"], Float[Array, " channel"], Float[Array, ""]]:
    """Mean and biased variance over real images and positions, and how many there were.

    Both are zero for a batch without a real image.
    """
    rows = x.astype(jnp.float32).reshape(-1, x.shape[-1])
    positions = rows.shape[0] // x.shape[0]
    real = jnp.ones(x.shape[0]) if mask is None else mask.astype(jnp.float32)
    count = positions * jnp.sum(real)
    # A vector times a matrix: it takes the mask for free and is a little faster than
    # a reduction on the CPU. Two passes, because E[x^2] - E[x]^2 cancels in float32.
    weights = jnp.repeat(real, positions) / jnp.maximum(count, 1)
    mean = weights @ rows
    variance = weights @ jnp.square(rows - mean[None])
    return mean, variance, count


class BatchNorm(nn.Module):
    """Normalises each channel; params `scale`, `bias`; batch_stats `mean`, `var`.

    `running = momentum * running + (1 - momentum) * batch`, where, as in torch, the
    batch variance is the biased one for the output and the unbiased one for the running
    value, and no gradient flows through the running values.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "image *position channel"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
    ) -> Float[Array, "image *position channel"]:
        """Normalised by this batch if `batch_statistics`, else by the running values.

        `mask` is True for real images (None: all). A batch without any is normalised by
        the running values, which move only if the collection "batch_stats" is mutable
        and at least one image is real.
        """
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        mean, variance = running_mean.value, running_var.value
        if batch_statistics:
            batch_mean, batch_variance, count = masked_moments(x, mask)
            # Without a real image, dividing by the root of a variance of 0 in layer
            # after layer would overflow, and the loss' zero gradient become NaN.
            mean = jnp.where(count > 0, batch_mean, mean)
            variance = jnp.where(count > 0, batch_variance, variance)
            if self.is_mutable_collection("batch_stats") and not self.is_initializing():
                unbiased = batch_variance * count / jnp.maximum(count - 1, 1)
                keep = jnp.where(count > 0, self.momentum, 1.0)
                pairs = (running_mean, batch_mean), (running_var, unbiased)
                for running, batch in pairs:
                    batch = lax.stop_gradient(batch)
                    running.value = keep * running.value + (1 - keep) * batch
        # In float32 whatever `dtype` is, and mean first: the difference may be small.
        channels = (1,) * (x.ndim - 1) + shape
        factor = (scale * lax.rsqrt(variance + self.epsilon)).reshape(channels)
        out = (x.astype(jnp.float32) - mean.reshape(channels)) * factor
        return (out + bias.reshape(channels)).astype(self.dtype or x.dtype)
