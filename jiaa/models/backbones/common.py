"""What every backbone takes and returns.

A backbone maps normalised images to a dict: `"logits"` [image class] and `"pooled"`
[image feature], both float32, and `"stages"`, its named intermediate maps in order.
`mask` says which images are real, `batch_statistics` and `dropout` switch on what
training does (dropout needs the random stream "dropout").
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jiaa.models.convolution import Conv, Padding, Pair
from jiaa.models.normalization import BatchNorm

Outputs = dict[str, Any]


def check_size(
    name: str, x: Float[Array, "image height width 3"], minimum: int
) -> None:
    """Raises ValueError if the images are too small for the architecture."""
    if min(x.shape[1:3]) < minimum:
        raise ValueError(
            f"{name} takes images of at least {minimum} x {minimum} pixels, got "
            f"{x.shape[1]} x {x.shape[2]}: enlarge them or choose another backbone"
        )


def outputs(logits: Array, pooled: Array, stages: dict[str, Array]) -> Outputs:
    """The dict that backbones return; what leaves the backbone is float32."""
    float32 = jnp.float32
    return {
        "logits": logits.astype(float32),
        "pooled": pooled.astype(float32),
        "stages": stages,
    }


def same_padding(
    x: Float[Array, "image height width channel"], *, kernel: int, stride: int
) -> tuple[Pair, Pair]:
    """TensorFlow's "SAME": outputs of size / stride, rounded up.

    It depends on the size, and an odd pixel goes to the bottom and to the right.
    """
    height, width = (
        max((-(-size // stride) - 1) * stride + kernel - size, 0)
        for size in x.shape[1:3]
    )
    return (height // 2, height - height // 2), (width // 2, width - width // 2)


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm: the unit of ResNet and Inception."""

    features: int
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = (0, 0)
    groups: int = 1
    epsilon: float = 1e-5
    momentum: float = 0.9
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
        """Normalised maps, before any activation."""
        x = Conv(
            self.features,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            groups=self.groups,
            use_bias=False,
            dtype=self.dtype,
            implementation=self.convolution,
            kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            name="conv",
        )(x)
        norm = BatchNorm(self.momentum, self.epsilon, self.dtype, name="norm")
        return norm(x, mask=mask, batch_statistics=batch_statistics)
