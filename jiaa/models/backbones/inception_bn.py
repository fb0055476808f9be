"""Inception-BN: Ioffe and Szegedy, Batch normalization, 2015; trimmed as in PAM.

Stem, ten blocks and a mean over positions. PAM (ICCV 2017, Table 2) trims the last
block, 5b, to 176 features: 88 of a 1x1 layer, 56 of a double 3x3 and 32 of a pool.
Every convolution is followed by BatchNorm and ReLU.
"""

from typing import Any

import flax.linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import Outputs, check_size, outputs
from jiaa.models.backbones.inception_v3 import Branch, Branches, Pool, Unit

FEATURES = 176  # of the trimmed block


def block(
    ones: int, three: tuple[int, int], double: tuple[int, int], pool: int, *, last=False
) -> tuple[Branch, ...]:
    """1x1, 3x3 and double 3x3 layers and a pool, which is a maximum in the `last`."""
    return (
        (Unit("1x1", ones),),
        (Unit("3x3_reduce", three[0]), Unit("3x3", three[1], (3, 3))),
        double_3x3(double[0], double[1], double[1]),
        (Pool("max_same" if last else "average"), Unit("pool_proj", pool)),
    )


def double_3x3(reduce: int, first: int, second: int, *, stride: int = 1) -> Branch:
    """A 1x1 layer and two of 3x3, the last of which has the stride."""
    return (
        Unit("double_3x3_reduce", reduce),
        Unit("double_3x3_1", first, (3, 3)),
        Unit("double_3x3_2", second, (3, 3), stride),
    )


def reduction(three: tuple[int, int], double: tuple[int, int]) -> tuple[Branch, ...]:
    """Half the height and width; the pool passes its channels on."""
    return (
        (Unit("3x3_reduce", three[0]), Unit("3x3", three[1], (3, 3), 2)),
        double_3x3(double[0], double[1], double[1], stride=2),
        (Pool("max_halved"),),
    )


STEM: tuple[Unit | Pool, ...] = (
    Unit("conv1_7x7", 64, (7, 7), 2),
    Pool("max_halved"),
    Unit("conv2_3x3_reduce", 64),
    Unit("conv2_3x3", 192, (3, 3)),
    Pool("max_halved"),
)
BLOCKS: dict[str, tuple[Branch, ...]] = {
    "inception_3a": block(64, (64, 64), (64, 96), 32),
    "inception_3b": block(64, (64, 96), (64, 96), 64),
    "inception_3c": reduction((128, 160), (64, 96)),
    "inception_4a": block(224, (64, 96), (96, 128), 128),
    "inception_4b": block(192, (96, 128), (96, 128), 128),
    "inception_4c": block(160, (128, 160), (128, 160), 128),
    "inception_4d": block(96, (128, 192), (160, 192), 128),
    "inception_4e": reduction((128, 192), (192, 256)),
    "inception_5a": block(352, (192, 320), (160, 224), 128),
    "inception_5b": block(352, (192, 320), (192, 224), 128, last=True),
}
# Table 2 of PAM: no 3x3 branch, and a double 3x3 of 192, 224 and 56 features.
TRIMMED_5B: tuple[Branch, ...] = (
    (Unit("1x1", 88),),
    double_3x3(192, 224, 56),
    (Pool("max_same"), Unit("pool_proj", 32)),
)


class InceptionBN(nn.Module):
    """Inception-BN; with `trimmed`, PAM's generic network, whose features are 176.

    Attributes:
      num_classes: of the classifier behind the pooled features.
      trimmed: whether the last block is PAM's; without, the image classifier that PAM's
        content features come from.
    """

    num_classes: int = 1000
    trimmed: bool = False
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
        """Outputs as in `backbones.common`; dropout of 0.5 stands before the logits."""
        check_size("InceptionBN", x, self.minimum_size)
        training: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        options: dict[str, Any] = {"dtype": self.dtype, "convolution": self.convolution}
        x = Branches((STEM,), name="stem", **options)(x, **training)
        stages = {"stem": x}
        blocks = BLOCKS | ({"inception_5b": TRIMMED_5B} if self.trimmed else {})
        for name, branches in blocks.items():
            x = stages[name] = Branches(branches, name=name, **options)(x, **training)
        pooled = x.mean((1, 2))
        x = nn.Dropout(0.5)(pooled, deterministic=not dropout)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)
        return outputs(logits, pooled, stages)
