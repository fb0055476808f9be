"""ResNet-18: He et al., Deep residual learning, CVPR 2016."""

from typing import Any

import flax.linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import ConvNorm, Outputs, check_size, outputs
from jiaa.models.convolution import Pair
from jiaa.models.pooling import max_pool

# Blocks of each stage.
BLOCKS = (2, 2, 2, 2)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, projected where the shapes differ."""

    features: int
    strides: Pair = (1, 1)
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
        options: dict[str, Any] = {"dtype": self.dtype, "convolution": self.convolution}
        training: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        window: dict[str, Any] = {"kernel_size": (3, 3), "padding": (1, 1)} | options
        unit1 = ConvNorm(self.features, strides=self.strides, name="unit1", **window)
        out = nn.relu(unit1(x, **training))
        out = ConvNorm(self.features, name="unit2", **window)(out, **training)
        if out.shape != x.shape:
            shortcut = ConvNorm(
                self.features, (1, 1), strides=self.strides, name="shortcut", **options
            )
            x = shortcut(x, **training)
        return nn.relu(x + out)


class ResNet18(nn.Module):
    """A 7x7 stem, four stages of two blocks, and a mean over positions ("pooled").

    The stages have `width`, 2, 4 and 8 times `width` channels; torchvision's is 64.
    """

    num_classes: int = 1000
    width: int = 64
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
        """Outputs as in `backbones.common`; there is no dropout."""
        check_size("ResNet18", x, self.minimum_size)
        options: dict[str, Any] = {"dtype": self.dtype, "convolution": self.convolution}
        training: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        stem = ConvNorm(
            self.width, (7, 7), strides=(2, 2), padding=(3, 3), name="stem", **options
        )
        x = nn.relu(stem(x, **training))
        stages = {"stem": x}
        x = max_pool(x, 3, stride=2, padding=1)
        for stage, blocks in enumerate(BLOCKS, 1):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = BasicBlock(
                    self.width * 2 ** (stage - 1),
                    (stride, stride),
                    name=f"stage{stage}_block{block}",
                    **options,
                )(x, **training)
            stages[f"stage{stage}"] = x
        pooled = x.mean((1, 2))
        classifier = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")
        return outputs(classifier(pooled), pooled, stages)
