"""DenseNet-121: Huang et al., Densely connected convolutional networks, CVPR 2017."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import Outputs, check_size, outputs
from jiaa.models.convolution import Conv, Padding, Pair
from jiaa.models.normalization import BatchNorm
from jiaa.models.pooling import average_pool, max_pool

BLOCKS = (6, 12, 24, 16)  # layers of each dense block


class NormConv(nn.Module):
    """BatchNorm, rectifier, convolution without bias: DenseNet's order."""

    features: int
    kernel_size: Pair = (1, 1)
    padding: Padding = (0, 0)
    dtype: DTypeLike | None = None
    convolution: str | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "image height width channel"],
        *,
        mask: Array | None = None,
        batch_statistics: bool = False,
    ) -> Float[Array, "image out_height out_width feature"]:
        """Maps of `features` channels."""
        norm = BatchNorm(dtype=self.dtype, name="norm")
        x = nn.relu(norm(x, mask=mask, batch_statistics=batch_statistics))
        return Conv(
            self.features,
            self.kernel_size,
            padding=self.padding,
            use_bias=False,
            dtype=self.dtype,
            implementation=self.convolution,
            kernel_init=nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
            name="conv",
        )(x)


class DenseNet121(nn.Module):
    """A 7x7 stem, four dense blocks, and a mean over positions ("pooled").

    Each layer of a block sees the stem's and all earlier layers' maps of the block and
    adds `growth` channels; between blocks, channels and sides are halved. torchvision's
    growth is 32; the stem has twice as many channels, the bottleneck four times.
    `blocks` are the numbers of layers.
    """

    num_classes: int = 1000
    growth: int = 32
    blocks: tuple[int, ...] = BLOCKS
    dtype: DTypeLike | None = None
    convolution: str | None = None
    # The stem and three transitions halve the sides five times.
    minimum_size = 29

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "image height width 3"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Outputs:
        """Outputs as in `backbones.common`; there is no dropout."""
        check_size("DenseNet121", x, self.minimum_size)
        options: dict[str, Any] = {"dtype": self.dtype, "convolution": self.convolution}
        training: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        x = self._stem(x, training)
        stages = {"stem": x}
        x = max_pool(x, 3, stride=2, padding=1)
        for block, layers in enumerate(self.blocks, 1):
            for layer in range(1, layers + 1):
                name = f"block{block}_layer{layer}"
                new = NormConv(4 * self.growth, name=f"{name}_unit1", **options)(
                    x, **training
                )
                unit2 = NormConv(
                    self.growth,
                    (3, 3),
                    padding=(1, 1),
                    name=f"{name}_unit2",
                    **options,
                )
                x = jnp.concatenate([x, unit2(new, **training)], axis=-1)
            if block < len(self.blocks):
                half = NormConv(x.shape[-1] // 2, name=f"transition{block}", **options)
                x = average_pool(half(x, **training), 2, stride=2)
                stages[f"block{block}"] = x
        norm = BatchNorm(dtype=self.dtype, name="norm")
        x = stages[f"block{len(self.blocks)}"] = nn.relu(norm(x, **training))
        pooled = x.mean((1, 2))
        classifier = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")
        return outputs(classifier(pooled), pooled, stages)

    def _stem(self, x, training):
        """7x7 convolution of stride 2, BatchNorm, rectifier."""
        x = Conv(
            2 * self.growth,
            (7, 7),
            strides=(2, 2),
            padding=(3, 3),
            use_bias=False,
            dtype=self.dtype,
            implementation=self.convolution,
            kernel_init=nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
            name="stem_conv",
        )(x)
        return nn.relu(BatchNorm(dtype=self.dtype, name="stem_norm")(x, **training))
