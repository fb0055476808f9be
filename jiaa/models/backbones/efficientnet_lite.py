"""EfficientNet-Lite: Tan and Le, ICML 2019, as released for devices in 2020.

The release (github.com/tensorflow/tpu, efficientnet/lite) leaves out squeeze and
excitation, takes ReLU6 for swish, and keeps the stem and the head as wide as they are
in Lite0 however wide the rest is. Padding is TensorFlow's "SAME". Images lie in
[-127/128, 1], (pixel - 127) / 128.

The stages are "stem"; "stage1" to "stage7", the outputs of the seven groups of blocks
(Table 1 of the paper counts the stem as its stage 1, and so these as 2 to 8); and
"head", the 1,280 maps whose mean over positions is "pooled". Counted from 0, as in
notes on features "0 to 8" of this network, index i is "stage(i + 1)", 7 is "head" and
8 the logits.

Training is a plain forward pass with batch statistics, and with dropout before the
classifier: drop connect, which the released training program had, is left out.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import (
    ConvNorm,
    Outputs,
    check_size,
    outputs,
    same_padding,
)


class Group(NamedTuple):
    """A group of blocks of Lite0; only the first block of a group has its stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    features: int


GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


def blocks_of(group: int, depth: float) -> int:
    """Blocks of `GROUPS[group]`, `depth` times as many; first and last stay as are."""
    blocks = GROUPS[group].blocks
    if group in (0, len(GROUPS) - 1):
        return blocks
    return math.ceil(depth * blocks)


def features_of(group: int, width: float) -> int:
    """Channels of `GROUPS[group]`, `width` times as many, to a multiple of eight."""
    exact = width * GROUPS[group].features
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def _unit(
    x: Array,
    features: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    training: dict[str, Any],
    **options: Any,
) -> Array:
    """Convolution padded to "SAME", and BatchNorm with TensorFlow's numbers."""
    layer = ConvNorm(
        features,
        (kernel, kernel),
        strides=(stride, stride),
        padding=same_padding(x, kernel=kernel, stride=stride),
        epsilon=1e-3,
        momentum=0.99,
        **options,
    )
    return layer(x, **training)


class Block(nn.Module):
    """Expands by a 1x1 layer, filters each channel alone, projects by a 1x1 layer.

    The input is added where it has the output's shape. No activation at the end.
    """

    features: int
    kernel: int
    stride: int = 1
    expansion: int = 6
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
        options: dict[str, Any] = {
            "dtype": self.dtype,
            "convolution": self.convolution,
            "training": {"mask": mask, "batch_statistics": batch_statistics},
        }
        wide, out = self.expansion * x.shape[-1], x
        if self.expansion > 1:
            out = nn.relu6(_unit(out, wide, name="expand", **options))
        window = {"kernel": self.kernel, "stride": self.stride, "groups": wide}
        out = nn.relu6(_unit(out, wide, name="depthwise", **window, **options))
        out = _unit(out, self.features, name="project", **options)
        return x + out if out.shape == x.shape else out


class EfficientNetLite(nn.Module):
    """A stem, seven groups of blocks, a 1x1 head, and a mean over positions ("pooled").

    `width` multiplies the channels and `depth` the blocks of `GROUPS`; `rate` is that
    of dropout before the classifier.
    """

    num_classes: int = 1000
    width: float = 1.0
    depth: float = 1.0
    rate: float = 0.2
    dtype: DTypeLike | None = None
    convolution: str | None = None
    minimum_size = 1

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "image height width 3"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Outputs:
        """Outputs as in `backbones.common`."""
        check_size(type(self).__name__, x, self.minimum_size)
        options: dict[str, Any] = {"dtype": self.dtype, "convolution": self.convolution}
        training: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        ends: dict[str, Any] = {**options, "training": training}
        x = nn.relu6(_unit(x, STEM, kernel=3, stride=2, name="stem", **ends))
        stages = {"stem": x}
        for i, group in enumerate(GROUPS):
            for block in range(blocks_of(i, self.depth)):
                x = Block(
                    features_of(i, self.width),
                    group.kernel,
                    group.stride if block == 0 else 1,
                    group.expansion,
                    name=f"stage{i + 1}_block{block + 1}",
                    **options,
                )(x, **training)
            stages[f"stage{i + 1}"] = x
        x = stages["head"] = nn.relu6(_unit(x, HEAD, name="head", **ends))
        pooled = x.mean((1, 2))
        x = nn.Dropout(self.rate)(pooled, deterministic=not dropout)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)
        return outputs(logits, pooled, stages)


class EfficientNetLite0(EfficientNetLite):
    """For images of 224 pixels."""


class EfficientNetLite1(EfficientNetLite):
    """For images of 240 pixels: deeper."""

    depth: float = 1.1


class EfficientNetLite2(EfficientNetLite):
    """For images of 260 pixels: wider and deeper."""

    width: float = 1.1
    depth: float = 1.2
    rate: float = 0.3
