"""One step of teaching a trunk what tastes depend on, before it is frozen.

A batch is photographs of one rater. For everybody who rated some of them, each score is
predicted from the same person's others, by kernel regression on the trunk's features,
and the trunk follows the gradient of the squared error: so it learns features by which
a few ratings tell the most of photographs that are not among them. The crowd's mean is
one more rater. Nothing is personal in what is learned.

A closed-form learner inside the episode, differentiated through, is R2-D2 (Bertinetto
et al., ICLR 2019); that the error of leaving an example out of a ridge regression is
known without solving it again is PRESS (Allen, Technometrics 1974).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jiaa import losses
from jiaa.data.tasks import sample_episode
from jiaa.types import ImageStore, TrainState, UserTasks, value

Metrics = dict[str, Float[Array, ""]]


@value
class Tastes:
    """What raters think of each image of a store, in units of their own spread.

    `crowd` is the mean over the raters of an image, 0 where there is none, `personal`
    what each rater thinks beyond it, 0 where `mask` says that they did not rate it.
    """

    crowd: Float[Array | np.ndarray, " image"]
    personal: Float[Array | np.ndarray, "user image"]
    mask: Bool[Array | np.ndarray, "user image"]


def tastes(
    tasks: UserTasks, *, images: int, spread: float, weight: float = 0.2
) -> Tastes:
    """Every rater's scores less their mean, by their spread; and the crowd's.

    Args:
      tasks: the raters' unit scores.
      images: how many images the store has.
      spread: the raters' usual standard deviation of unit scores.
      weight: of it in a rater's own; see `meta.calibration.Calibration`.
    """
    rows = np.arange(len(tasks))[:, None].repeat(np.shape(tasks.mask)[1], axis=1)
    real = np.asarray(tasks.mask)
    where = rows[real], np.asarray(tasks.image_ids)[real]
    mask = np.zeros((len(tasks), images), bool)
    mask[where] = True
    scores = np.zeros(mask.shape, np.float64)
    scores[where] = np.asarray(tasks.scores)[real]
    counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    scores = np.where(mask, scores - scores.sum(axis=1, keepdims=True) / counts, 0)
    variance = (scores**2).sum(axis=1, keepdims=True) / counts
    scale = np.sqrt((1 - weight) * variance + weight * spread**2)
    scores = scores / np.where(scale > 0, scale, 1)  # who scores all alike: 0 anyway
    crowd = scores.sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    personal = np.where(mask, scores - crowd[None], 0)
    return Tastes(crowd.astype(np.float32), personal.astype(np.float32), mask)


def left_out_errors(
    kernel: Float[Array, "image image"],
    targets: Float[Array, " image"],
    mask: Bool[Array, " image"],
    *,
    strength: float,
) -> Float[Array, " image"]:
    """Target less what kernel ridge regression on all other images predicts for it.

    Targets are taken less their mean; images that the mask leaves out are in no
    regression and have the error 0.
    """
    targets = jnp.where(mask, targets - losses.masked_mean(targets, mask), 0.0)
    both = mask[:, None] & mask[None, :]
    size = kernel.shape[0]
    inverse = jnp.linalg.inv(jnp.where(both, kernel, 0.0) + strength * jnp.eye(size))
    return inverse @ targets / jnp.diagonal(inverse)


@dataclasses.dataclass(frozen=True, eq=False)
class TrunkStep:
    """(state, row of a user) -> state after a gradient step of the trunk, and metrics.

    Attributes:
      kernel: (params, inputs) -> kernel [image image] between them.
      prepare: `prepare(images, key=key) -> inputs`: crops, flips and normalises.
      optimizer: the transformation that made `state.opt_state`.
      batch_size: photographs a step; a rater of fewer gives all of theirs.
      strengths: of the ridge, for the crowd's mean and for what raters think beyond it.
      crowd: weight of the crowd's error beside the mean of the raters'.
    """

    kernel: Callable[[PyTree, Any], Float[Array, "image image"]]
    prepare: Callable[..., Any]
    optimizer: optax.GradientTransformation
    batch_size: int = 64
    strengths: tuple[float, float] = (0.3, 1.2)
    crowd: float = 1.0

    def __call__(
        self,
        state: TrainState,
        user: Int[Array, ""],
        tasks: UserTasks,
        scores: Tastes,
        store: ImageStore,
    ) -> tuple[TrainState, Metrics]:
        """Pure; the state's key and step give the draws, so a resumed run repeats them.

        `user` is a row of `tasks` and of `scores`.
        """
        draw, augment = jax.random.split(jax.random.fold_in(state.key, state.step))
        chosen = sample_episode(
            tasks[user], shots=self.batch_size, query_size=1, key=draw
        ).support
        inputs = self.prepare(store.take(chosen.image_ids), key=augment)

        def error(params):
            kernel = self.kernel(params, inputs)
            return self._error(kernel, chosen.image_ids, chosen.mask, scores)

        (loss, metrics), gradient = jax.value_and_grad(error, has_aux=True)(
            state.params
        )
        updates, opt_state = self.optimizer.update(
            gradient, state.opt_state, state.params
        )
        state = state.replace(
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            step=state.step + 1,
        )
        return state, {"loss": loss, **metrics}

    def _error(self, kernel, ids, real, scores: Tastes) -> tuple[Any, Metrics]:
        crowd, personal = self.strengths
        general = left_out_errors(
            kernel, jnp.asarray(scores.crowd)[ids], real, strength=crowd
        )
        general = losses.masked_mean(jnp.square(general), real)
        mask = jnp.asarray(scores.mask)[:, ids] & real[None]
        theirs = jax.vmap(
            lambda y, m: left_out_errors(kernel, y, m, strength=personal)
        )(jnp.asarray(scores.personal)[:, ids], mask)
        raters = jnp.sum(jnp.square(theirs)) / jnp.maximum(jnp.sum(mask), 1)
        return self.crowd * general + raters, {"crowd": general, "raters": raters}
