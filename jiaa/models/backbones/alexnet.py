"""AlexNet as in torchvision: Krizhevsky, One weird trick, arXiv 1404.5997 (2014)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import Outputs, check_size, outputs
from jiaa.models.convolution import Conv
from jiaa.models.pooling import adaptive_average_pool, max_pool
from jiaa.models.products import dense_product

# features, kernel, stride, padding, max-pooled afterwards
LAYERS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
# Features of the two hidden dense layers.
DENSE = 4096


class AlexNet(nn.Module):
    """Five convolutions and three dense layers; "pooled" is the second dense layer.

    Other sizes than 224 pixels reach the dense layers through 6 x 6 averaging bins.
    """

    num_classes: int = 1000
    dtype: DTypeLike | None = None
    convolution: str | None = None
    minimum_size = 63

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "image height width 3"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Outputs:
        """Outputs as in `backbones.common`; `mask` has no effect without BatchNorm."""
        check_size("AlexNet", x, self.minimum_size)
        stages = {}
        for i, (features, kernel, stride, padding, pooled) in enumerate(LAYERS, 1):
            x = Conv(
                features,
                (kernel, kernel),
                strides=(stride, stride),
                padding=(padding, padding),
                dtype=self.dtype,
                implementation=self.convolution,
                name=f"conv{i}",
            )(x)
            x = nn.relu(x)
            x = max_pool(x, 3, stride=2) if pooled else x
            stages[f"conv{i}"] = x
        x = adaptive_average_pool(x, (6, 6))
        x = jnp.reshape(x, (x.shape[0], -1))
        for i in (1, 2):
            x = nn.Dropout(0.5)(x, deterministic=not dropout)
            dense = nn.Dense(
                DENSE, dtype=self.dtype, dot_general=dense_product, name=f"dense{i}"
            )
            x = nn.relu(dense(x))
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)
        return outputs(logits, x, stages)
