"""Inter-task fusion: a user's score from the generic one and a second task's outputs.

PA_IAA (Li et al., IEEE TIP 2020), eqs. 6 and 7: s_b = s_a + w_b . s_p, where s_a is the
generic score of an image, s_p the Big-Five traits of people who like it (MT_IAA: AVA's
ten votes), and w_b five (ten) numbers that are fitted to the user's ratings with all
else fixed. PDMTL (ICME 2019), eqs. 5 and 6, is the same fit to the crowd's mean scores.

The store holds both tasks' outputs, computed once (`output_store`). `RidgeFusion`
solves for w_b; the paper's gradient steps are `Finetune` on an `InterTask`
(`stepped_fusion`), and the released program's way is `Finetune` on a
`models.personality.WeightedFusion`, which adapts the whole network.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jiaa import losses
from jiaa.meta.inner import InnerLoop
from jiaa.meta.inner_optimizer import InnerOptimizer
from jiaa.models.personality import AESTHETICS, unit_score
from jiaa.personalize.finetune import Finetune
from jiaa.types import Episode, Examples, ImageStore


def fusion_weights(
    second: Float[Array, "image output"],
    residual: Float[Array, " image"],
    mask: Bool[Array, " image"],
    *,
    strength: float,
    offset: bool = False,
) -> tuple[Float[Array, " output"], Float[Array, ""]]:
    """(w, b) of the least sum (r - b - w . s_p)^2 + strength |w|^2 over real images.

    With strength lambda, |w| <= |r| / (2 sqrt(lambda)) whatever `second` is: columns
    that are all alike share a weight instead of sending two to opposite infinities.

    Args:
      second: s_p, the second task's outputs.
      residual: r = s_b - s_a, what the generic score leaves of the user's.
      mask: which images count; the others may hold anything finite or not.
      strength: lambda, above 0.
      offset: whether b is fitted (without penalty); eqs. 6 and 7 have none: b = 0.
    """
    real = mask[:, None]
    second = jnp.where(real, second, 0.0)
    residual = jnp.where(mask, residual, 0.0)
    center, level = jnp.zeros(second.shape[1]), jnp.zeros(())
    if offset:
        center = jnp.sum(second, axis=0) / jnp.maximum(jnp.sum(mask), 1)
        level = losses.masked_mean(residual, mask)
        second = jnp.where(real, second - center[None], 0.0)
        residual = jnp.where(mask, residual - level, 0.0)
    square = second.T @ second + strength * jnp.eye(second.shape[1])
    weights = jnp.linalg.solve(square, second.T @ residual)
    return weights, level - center @ weights


@dataclasses.dataclass(frozen=True)
class RidgeFusion:
    """Eq. 6 with w_b in closed form: five unknowns, so thousands of users in one call.

    Attributes:
      width: how many outputs the second task has: 5 traits, or AVA's 10 votes.
      strength: of the ridge, above 0 (`fusion_weights`).
      offset: whether a user's own level is fitted too, which eq. 6 has not. It changes
        no ranking by itself, but keeps a harsh or generous user's level out of w_b.

    Raises:
      ValueError: the strength is not above 0, or there is no second output.
    """

    width: int = 5
    strength: float = 1.0
    offset: bool = True

    def __post_init__(self):
        """Refuses what has no bounded solution."""
        if self.strength <= 0 or self.width < 1:
            raise ValueError(
                f"RidgeFusion has width={self.width}, strength={self.strength}; "
                "expected at least one output of the second task, and a strength above "
                "0: without it collinear outputs leave the weights unbounded"
            )

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior: nothing is meta-learned."""
        return prior

    def init(self, prior: PyTree) -> dict[str, Any]:
        """Weights 0: the generic score."""
        del prior
        return {"weights": jnp.zeros(self.width), "offset": jnp.zeros(())}

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """{"weights" [output], "offset"}: the solution on the support set."""
        del prior, key
        support = episode.support
        generic, second = split_outputs(store.take(support.image_ids), self.width)
        mask = jnp.asarray(support.mask)
        residual = jnp.where(mask, support.scores, 0.0) - generic
        weights, offset = fusion_weights(
            second, residual, mask, strength=self.strength, offset=self.offset
        )
        return {"weights": weights, "offset": offset}

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores (eq. 6); nothing keeps them within (0, 1)."""
        del prior
        generic, second = split_outputs(store.take(query.image_ids), self.width)
        return generic + second @ adapted["weights"] + adapted["offset"]


def output_store(
    images: int,
    outputs: Mapping[str, Float[Array | np.ndarray, "needed output"]],
    ids: Int[np.ndarray, " needed"],
    *,
    second: str,
) -> ImageStore:
    """What fusion reads: a row an image, column 0 s_a, then the second task's s_p.

    Args:
      images: how many rows there are; those that `ids` lack are 0.
      outputs: task -> outputs of the images `ids`, as of a `MultiTask`.
      ids: rows of the images that were predicted.
      second: name of the second task.
    """
    columns = np.zeros((images, 1 + outputs[second].shape[1]), np.float32)
    columns[ids, 0] = unit_score(jnp.asarray(outputs[AESTHETICS]))
    columns[ids, 1:] = outputs[second]
    return ImageStore(features=jnp.asarray(columns))


def split_outputs(
    content: Float[Array, "image column"], width: int
) -> tuple[Float[Array, " image"], Float[Array, "image output"]]:
    """(s_a, s_p) of a store's rows.

    Raises:
      ValueError: not one generic score and `width` outputs.
    """
    if content.shape[1] != 1 + width:
        raise ValueError(
            f"the store has {content.shape[1]} columns; expected {1 + width}: the "
            f"generic unit score, then {width} outputs of the second task"
        )
    return content[:, 0], content[:, 1:]


class InterTask(nn.Module):
    """Eq. 6 as a network of one layer, with the weights as its parameters, 0 at first.

    `score` reads a store's rows, as a head reads a frozen trunk's features.
    """

    width: int = 5

    def setup(self):
        """The one parameter there is."""
        self.weights = self.param("weights", nn.initializers.zeros, (self.width,))

    def __call__(
        self, content: Float[Array, "image column"], **options: Any
    ) -> Float[Array, " image"]:
        """`score`."""
        return self.score(content, **options)

    def score(
        self, content: Float[Array, "image column"], **options: Any
    ) -> Float[Array, " image"]:
        """Unit scores; there is no BatchNorm or dropout for `options` to change."""
        del options
        generic, second = split_outputs(content, self.width)
        return generic + second @ self.weights


def stepped_fusion(
    *,
    shots: int,
    width: int = 5,
    epochs: int = 50,
    batch_size: int = 50,
    rate: float = 1e-4,
    rate_decay: float = 0.9,
    momentum: float = 0.9,
    decay: float = 1e-5,
) -> Finetune:
    """Eq. 6 fitted by the papers' SGD ("Implementation Details"); for `InterTask`.

    Each epoch takes ceil(shots / batch_size) batches, drawn anew; the rate falls by
    `rate_decay` from one epoch to the next. With the papers' numbers, the defaults, the
    weights hardly move: over all epochs the steps add up to one of rate 0.01.
    PDMTL has 20 epochs, PA_IAA 50. `shots` is how many ratings a user gives.
    """
    per_epoch = -(-shots // batch_size)
    sgd = InnerOptimizer(
        "sgd",
        ((".*", rate),),
        momentum=momentum,
        rate_decay=rate_decay,
        steps_per_epoch=per_epoch,
    )
    loop = InnerLoop(
        InterTask(width),
        method="score",
        optimizer=sgd,
        decay=decay,
        batch_size=batch_size,
    )
    return Finetune(loop, steps=epochs * per_epoch)


def fusion_prior(width: int = 5) -> dict[str, Any]:
    """The prior of `InterTask`: weights 0, so that the un-adapted score is s_a."""
    return {"params": {"weights": jnp.zeros(width)}, "batch_stats": {}}
