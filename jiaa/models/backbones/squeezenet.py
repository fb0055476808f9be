"""SqueezeNet 1.1: Iandola et al., arXiv 1602.07360 (2016), and its released update."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import Outputs, check_size, outputs
from jiaa.models.convolution import Conv
from jiaa.models.pooling import max_pool

# name: (channels of the squeeze layer, of each expand layer)
FIRES = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}
POOLED_BEFORE = ("fire2", "fire4", "fire6")


class Fire(nn.Module):
    """A 1x1 layer with few channels, expanded by 1x1 and 3x3 layers side by side."""

    squeeze: int
    expand: int
    dtype: DTypeLike | None = None
    convolution: str | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "image height width channel"]
    ) -> Float[Array, "image height width feature"]:
        """Maps of `2 * expand` channels."""
        options: dict[str, Any] = {
            "dtype": self.dtype,
            "implementation": self.convolution,
        }
        x = nn.relu(Conv(self.squeeze, (1, 1), name="squeeze", **options)(x))
        narrow = Conv(self.expand, (1, 1), name="expand1x1", **options)(x)
        wide = Conv(self.expand, (3, 3), padding=(1, 1), name="expand3x3", **options)(x)
        return nn.relu(jnp.concatenate((narrow, wide), axis=-1))


class SqueezeNet(nn.Module):
    """Eight fire modules; the logits are the mean over positions of a 1x1 convolution.

    "pooled" is the mean and then the maximum over positions of the last fire module.
    """

    num_classes: int = 1000
    dtype: DTypeLike | None = None
    convolution: str | None = None
    minimum_size = 17

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
        check_size("SqueezeNet", x, self.minimum_size)
        options: dict[str, Any] = {
            "dtype": self.dtype,
            "implementation": self.convolution,
        }
        x = nn.relu(Conv(64, (3, 3), strides=(2, 2), name="conv1", **options)(x))
        stages = {"conv1": x}
        for name, (squeeze, expand) in FIRES.items():
            if name in POOLED_BEFORE:
                x = max_pool(x, 3, stride=2, ceil=True)
            fire = Fire(squeeze, expand, self.dtype, self.convolution, name=name)
            x = stages[name] = fire(x)
        pooled = jnp.concatenate((x.mean((1, 2)), x.max((1, 2))), axis=-1)
        x = nn.Dropout(0.5)(x, deterministic=not dropout)
        # Drawn narrower than the rest, as in torchvision: these are already the logits.
        narrow = nn.initializers.normal(0.01)
        x = Conv(
            self.num_classes, (1, 1), name="classifier", kernel_init=narrow, **options
        )(x)
        return outputs(nn.relu(x).mean((1, 2)), pooled, stages)
