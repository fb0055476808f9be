"""Several tasks on one trunk: PDMTL (ICME 2019, Fig. 3) and PA_IAA (TIP 2020, Fig. 3).

The trunk's pooled features (GAP vector d) are shared; each task has a branch of its
own, FC 1024 and FC 512, and an output: sigmoid for a mean score (PDMTL eq. 1), softmax
for the distribution of scores (PA_IAA eq. 1), tanh for traits in [-1, 1] (PDMTL eq. 3,
PA_IAA eq. 4).
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import FrozenDict
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from jiaa.models import heads
from jiaa.models.backbones import create_backbone
from jiaa.models.generic import TAPS
from jiaa.models.normalization import BatchNorm

AESTHETICS = "aesthetics"  # the branch whose output is the generic score
OUTPUTS = {**heads.OUTPUTS, "softmax": nn.softmax, "tanh": jnp.tanh}

LECUN_NORMAL = nn.initializers.lecun_normal()  # Linen's own


class Branch(heads.PooledHead):
    """A head of several outputs; its hidden layers are those of `PooledHead`.

    Attributes:
      hidden: FC 1024 and FC 512 in the papers; the released programs have FC 2048 and
        FC 1024 on the 1,000 logits (`MultiTask.tap`).
      outputs: how many there are: 1 score, 5 traits, N buckets of a distribution.
      output: "sigmoid", "softmax", "tanh" or "linear".
      output_norm: whether a BatchNorm stands before the output's function, as in the
        released program before tanh.
      zero: whether the output layer starts at 0 instead of at random.
    """

    hidden: tuple[int, ...] = (1024, 512)
    outputs: int = 1
    output_norm: bool = False
    zero: bool = False

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "image feature"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, "image output"]:
        """The task's outputs, float32; a distribution's sum to 1.

        Raises:
          ValueError: an unknown output or activation; lists the known ones.
        """
        output = heads.choose("output", self.output, OUTPUTS)
        options: dict[str, Any] = {"mask": mask, "batch_statistics": batch_statistics}
        x = self.hidden_layers(features, dropout=dropout, **options)
        start = nn.initializers.zeros if self.zero else LECUN_NORMAL
        x = nn.Dense(self.outputs, dtype=self.dtype, kernel_init=start, name="output")(
            x
        )
        if self.output_norm:
            x = BatchNorm(dtype=self.dtype, name="output_norm")(x, **options)
        return output(x.astype(jnp.float32))


class MultiTask(nn.Module):
    """A backbone and a branch for each task; params "backbone", "branches_NAME".

    Attributes:
      backbone: what all tasks share.
      branches: task -> `Branch`.
      tap: what they read of the backbone (`models.generic.TAPS`).
    """

    backbone: nn.Module
    branches: Mapping[str, nn.Module]
    tap: str = "pooled"

    def __call__(
        self,
        images: Float[Array, "image height width 3"],
        *,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> dict[str, Float[Array, "image output"]]:
        """Each task's outputs of normalised images; of `tasks` alone if given.

        A branch that is not asked for leaves no trace: neither gradient nor BatchNorm
        statistics, so that each learns from the images of its own data alone. Options
        are `mask`, `batch_statistics` and `dropout`, as of every backbone and head.
        """
        return self.outputs(self.features(images, **options), tasks=tasks, **options)

    def features(
        self, images: Float[Array, "image height width 3"], **options: Any
    ) -> Float[Array, "image feature"]:
        """The shared vector d that branches read."""
        found = self.backbone(images, **options)
        return jnp.concatenate([found[name] for name in TAPS[self.tap]], axis=-1)

    def outputs(
        self,
        features: Float[Array, "image feature"],
        *,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> dict[str, Float[Array, "image output"]]:
        """The branches' outputs; needs their variables alone.

        Raises:
          ValueError: an unknown task; lists the known ones.
        """
        if unknown := sorted(set(tasks or ()) - set(self.branches)):
            raise ValueError(f"no branch {unknown}; known: {sorted(self.branches)}")
        return {
            name: branch(features, **options)
            for name, branch in self.branches.items()
            if tasks is None or name in tasks
        }

    def score(
        self, features: Float[Array, "image feature"], **options: Any
    ) -> Float[Array, " image"]:
        """Generic unit scores from the shared features: PA_IAA eq. 3, PDMTL eq. 1."""
        outputs = self.outputs(features, tasks=(AESTHETICS,), **options)
        return unit_score(outputs[AESTHETICS])


class WeightedFusion(nn.Module):
    """The released PA_IAA program's second stage: weights w_b that depend on the image.

    s_b = s_a + w(d) . s_p, where a small network gives w from the shared vector d, and
    the whole network adapts to the user (Adam 1e-5; the small network 1e-3; 20 epochs):

        small = Branch(hidden=(64,), outputs=5, output="linear", zero=True)
        adam = InnerOptimizer("adam", (("weights/.*", 1e-3), (".*", 1e-5)))
        model = WeightedFusion(network, small)
        Finetune(InnerLoop(model, view, optimizer=adam), steps=20)

    Attributes:
      network: the first stage, with branches "aesthetics" and `second`.
      weights: the small network, a linear `Branch` with an output for each of
        `second`'s; with `zero` the un-adapted score is s_a.
      second: name of the second task's branch.
    """

    network: MultiTask
    weights: nn.Module
    second: str = "traits"

    def __call__(
        self, images: Float[Array, "image height width 3"], **options: Any
    ) -> Float[Array, " image"]:
        """Personal unit scores of normalised images."""
        return self.score(self.network.features(images, **options), **options)

    def score(
        self, features: Float[Array, "image feature"], **options: Any
    ) -> Float[Array, " image"]:
        """Personal unit scores from the shared features."""
        tasks = (AESTHETICS, self.second)
        outputs = self.network.outputs(features, tasks=tasks, **options)
        weights = self.weights(features, **options)
        personal = jnp.sum(weights * outputs[self.second], axis=-1)
        return unit_score(outputs[AESTHETICS]) + personal


def unit_score(output: Float[Array, "image output"]) -> Float[Array, " image"]:
    """The generic score of an aesthetics branch's output, in unit scores.

    One output is the score itself; of a distribution over stars 1..N it is the mean,
    sum n s_n / N (PA_IAA eq. 3, which counts in stars).
    """
    bins = output.shape[1]
    if bins == 1:
        return output[:, 0]
    return output @ jnp.arange(1, bins + 1, dtype=output.dtype) / bins


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("variables", "feature_map"),
    meta_fields=("network", "second"),
)
@dataclasses.dataclass(frozen=True, eq=False)
class OutputColumns:
    """Shared features -> what fusion reads: the generic unit score, then s_p.

    Attributes:
      variables: the branches'.
      feature_map: that features pass first, or None.
      network: with the branches "aesthetics" and `second`.
      second: name of the second task's branch.
    """

    variables: Any
    feature_map: Any
    network: MultiTask
    second: str

    def __call__(
        self, features: Float[Array, "image feature"]
    ) -> Float[Array, "image column"]:
        """One row an image; as many columns as `second` has outputs, and one."""
        if self.feature_map is not None:
            features = self.feature_map(features)
        tasks = (AESTHETICS, self.second)
        outputs: Any = self.network.apply(
            self.variables, features, tasks=tasks, method="outputs"
        )
        generic = unit_score(outputs[AESTHETICS])
        return jnp.concatenate([generic[:, None], outputs[self.second]], axis=1)


def create_multi_task(
    *,
    backbone: str,
    branches: Mapping[str, Mapping[str, Any]],
    tap: str = "pooled",
    backbone_options: Mapping[str, Any] | None = None,
    dtype: DTypeLike | None = None,
) -> MultiTask:
    """A `MultiTask` from a name of `BACKBONES` and each branch's options.

    Raises ValueError for unknown names, TypeError for unknown options.
    """
    computing = {} if dtype is None else {"dtype": dtype}
    if tap not in TAPS:
        raise ValueError(f"unknown tap {tap!r}; known: {sorted(TAPS)}")
    trunk = create_backbone(backbone, **{**computing, **(backbone_options or {})})
    heads = {
        name: Branch(**{**computing, **options}) for name, options in branches.items()
    }
    return MultiTask(trunk, FrozenDict(heads), tap)  # hashable: static under jit
