"""Inception-v3: Szegedy et al., Rethinking the Inception architecture, CVPR 2016.

As in torchvision, without its auxiliary classifier, which only helps ImageNet training.
A block is a table of branches, a branch a chain of units; modules and units carry
torchvision's names.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models.backbones.common import ConvNorm, Outputs, check_size, outputs
from jiaa.models.convolution import Pair
from jiaa.models.pooling import average_pool, max_pool


class Unit(NamedTuple):
    """One ConvNorm with ReLU; without padding unless `same`."""

    name: str
    features: int
    kernel: Pair = (1, 1)
    stride: int = 1
    same: bool = True


class Fork(NamedTuple):
    """Units that read the same map and are concatenated: an end of a branch."""

    units: tuple[Unit, ...]


class Pool(NamedTuple):
    """A 3x3 pool: "average" with stride 1 and padding, or one of `MAX_POOLS`."""

    kind: str


# Stride and padding of each.
MAX_POOLS = {"max": (2, 0), "max_halved": (2, 1), "max_same": (1, 1)}


Branch = tuple[Unit | Fork | Pool, ...]


def block_a(pool_features: int) -> tuple[Branch, ...]:
    """35 x 35 maps: 1x1, 5x5 and two 3x3 layers."""
    return (
        (Unit("branch1x1", 64),),
        (Unit("branch5x5_1", 48), Unit("branch5x5_2", 64, (5, 5))),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, (3, 3)),
            Unit("branch3x3dbl_3", 96, (3, 3)),
        ),
        (Pool("average"), Unit("branch_pool", pool_features)),
    )


def block_b() -> tuple[Branch, ...]:
    """From 35 x 35 to 17 x 17."""
    return (
        (Unit("branch3x3", 384, (3, 3), 2, False),),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, (3, 3)),
            Unit("branch3x3dbl_3", 96, (3, 3), 2, False),
        ),
        (Pool("max"),),
    )


def block_c(inner: int) -> tuple[Branch, ...]:
    """17 x 17 maps: 7x7 kernels factored into 1x7 and 7x1."""
    return (
        (Unit("branch1x1", 192),),
        (
            Unit("branch7x7_1", inner),
            Unit("branch7x7_2", inner, (1, 7)),
            Unit("branch7x7_3", 192, (7, 1)),
        ),
        (
            Unit("branch7x7dbl_1", inner),
            Unit("branch7x7dbl_2", inner, (7, 1)),
            Unit("branch7x7dbl_3", inner, (1, 7)),
            Unit("branch7x7dbl_4", inner, (7, 1)),
            Unit("branch7x7dbl_5", 192, (1, 7)),
        ),
        (Pool("average"), Unit("branch_pool", 192)),
    )


def block_d() -> tuple[Branch, ...]:
    """From 17 x 17 to 8 x 8."""
    return (
        (Unit("branch3x3_1", 192), Unit("branch3x3_2", 320, (3, 3), 2, False)),
        (
            Unit("branch7x7x3_1", 192),
            Unit("branch7x7x3_2", 192, (1, 7)),
            Unit("branch7x7x3_3", 192, (7, 1)),
            Unit("branch7x7x3_4", 192, (3, 3), 2, False),
        ),
        (Pool("max"),),
    )


def block_e() -> tuple[Branch, ...]:
    """8 x 8 maps: branches that end in a 1x3 and a 3x1 layer side by side."""

    def fork(name: str) -> Fork:
        return Fork(
            (Unit(f"{name}a", 384, (1, 3)), Unit(f"{name}b", 384, (3, 1))),
        )

    return (
        (Unit("branch1x1", 320),),
        (Unit("branch3x3_1", 384), fork("branch3x3_2")),
        (
            Unit("branch3x3dbl_1", 448),
            Unit("branch3x3dbl_2", 384, (3, 3)),
            fork("branch3x3dbl_3"),
        ),
        (Pool("average"), Unit("branch_pool", 192)),
    )


STEM: tuple[Unit | Pool, ...] = (
    Unit("Conv2d_1a_3x3", 32, (3, 3), 2, False),
    Unit("Conv2d_2a_3x3", 32, (3, 3), 1, False),
    Unit("Conv2d_2b_3x3", 64, (3, 3)),
    Pool("max"),
    Unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, (3, 3), 1, False),
    Pool("max"),
)
BLOCKS: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": block_a(32),
    "Mixed_5c": block_a(64),
    "Mixed_5d": block_a(64),
    "Mixed_6a": block_b(),
    "Mixed_6b": block_c(128),
    "Mixed_6c": block_c(160),
    "Mixed_6d": block_c(160),
    "Mixed_6e": block_c(192),
    "Mixed_7a": block_d(),
    "Mixed_7b": block_e(),
    "Mixed_7c": block_e(),
}


class Branches(nn.Module):
    """Runs branches on one map and concatenates what they give."""

    branches: tuple[Branch, ...]
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
        """The branches' maps, in the order of the table."""

        def unit(x: Array, spec: Unit) -> Array:
            height, width = spec.kernel
            layer = ConvNorm(
                spec.features,
                spec.kernel,
                strides=(spec.stride, spec.stride),
                padding=(height // 2, width // 2) if spec.same else (0, 0),
                epsilon=1e-3,
                dtype=self.dtype,
                convolution=self.convolution,
                name=spec.name,
            )
            return nn.relu(layer(x, mask=mask, batch_statistics=batch_statistics))

        def step(x: Array, spec: Unit | Fork | Pool) -> Array:
            if isinstance(spec, Unit):
                return unit(x, spec)
            if isinstance(spec, Fork):
                return jnp.concatenate([unit(x, u) for u in spec.units], axis=-1)
            if spec.kind == "average":
                return average_pool(x, 3, stride=1, padding=1)
            stride, padding = MAX_POOLS[spec.kind]
            return max_pool(x, 3, stride=stride, padding=padding)

        ends = []
        for branch in self.branches:
            end = x
            for spec in branch:
                end = step(end, spec)
            ends.append(end)
        return jnp.concatenate(ends, axis=-1)


class InceptionV3(nn.Module):
    """Stem, eleven blocks and a mean over positions ("pooled").

    Images lie in [-1, 1] (`INCEPTION_V3_SPEC`): torchvision normalises with ImageNet's
    numbers and turns them into this range inside the network (`transform_input`).
    """

    num_classes: int = 1000
    dtype: DTypeLike | None = None
    convolution: str | None = None
    minimum_size = 75

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
        check_size("InceptionV3", x, self.minimum_size)
        training: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        options: dict[str, Any] = {"dtype": self.dtype, "convolution": self.convolution}
        x = Branches((STEM,), name="stem", **options)(x, **training)
        stages = {"stem": x}
        for name, branches in BLOCKS.items():
            x = stages[name] = Branches(branches, name=name, **options)(x, **training)
        pooled = x.mean((1, 2))
        x = nn.Dropout(0.5)(pooled, deterministic=not dropout)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(x)
        return outputs(logits, pooled, stages)
