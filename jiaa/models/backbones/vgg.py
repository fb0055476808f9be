"""VGG-16 (configuration D): Simonyan and Zisserman, ICLR 2015, as in torchvision."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import Outputs, check_size, outputs
from jiaa.models.convolution import Conv
from jiaa.models.pooling import adaptive_average_pool, max_pool
from jiaa.models.products import dense_product

# Channels, as multiples of the width, of the 3x3 convolutions of each block.
BLOCKS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


class VGG16(nn.Module):
    """Thirteen convolutions in five max-pooled blocks, and three dense layers.

    "pooled" is the second dense layer. The stages `block1` to `block5` are the blocks'
    outputs after pooling: CFAN's map of 10 x 10 x 512 is `block5` at 320 pixels.
    `dense` is the width of the dense layers; with 0 there are none, "pooled" is the
    mean of `block5` over positions and the logits a layer on that.
    """

    num_classes: int = 1000
    width: int = 64
    dense: int = 4096
    dtype: DTypeLike | None = None
    convolution: str | None = None
    minimum_size = 32

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
        check_size("VGG16", x, self.minimum_size)
        stages = {}
        for block, multiples in enumerate(BLOCKS, 1):
            for layer, multiple in enumerate(multiples, 1):
                x = Conv(
                    multiple * self.width,
                    (3, 3),
                    padding=(1, 1),
                    dtype=self.dtype,
                    implementation=self.convolution,
                    kernel_init=nn.initializers.he_normal(),
                    name=f"conv{block}_{layer}",
                )(x)
                x = nn.relu(x)
            x = stages[f"block{block}"] = max_pool(x, 2, stride=2)
        if self.dense:
            x = self._dense_layers(x, dropout=dropout)
        else:
            x = x.mean((1, 2))
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)
        return outputs(logits, x, stages)

    def _dense_layers(
        self, x: Float[Array, "image height width channel"], *, dropout: bool
    ) -> Float[Array, "image feature"]:
        """Other sizes than 224 pixels reach these layers through 7 x 7 bins."""
        x = adaptive_average_pool(x, (7, 7))
        x = jnp.reshape(x, (x.shape[0], -1))
        for i in (1, 2):
            dense = nn.Dense(
                self.dense,
                dtype=self.dtype,
                dot_general=dense_product,
                name=f"dense{i}",
            )
            x = nn.relu(dense(x))
            x = nn.Dropout(0.5)(x, deterministic=not dropout)
        return x
