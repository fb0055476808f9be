"""The images of the next meta-iterations, gathered ahead, where no device holds all.

Which images an episode has is known beforehand: it is drawn from the run's key, the
iteration and the user alone, here on the host as later on the device.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from jiaa.data import loader
from jiaa.data.store import compact
from jiaa.data.stream import ReadAhead
from jiaa.meta.bilevel import iteration_episode
from jiaa.types import Episode, ImageStore, UserTasks

Sampling = Callable[..., Episode]


def gathered_batches(
    tasks: UserTasks,
    store: ImageStore,
    *,
    sampling: Sampling,
    users_per_step: int,
    steps_per_batch: int = 1,
    seed: int,
    threads: int = 2,
    sharding: jax.Device | jax.sharding.Sharding | None = None,
    key: Key[Array, ""],
) -> ReadAhead:
    """Endless batches of users, in the order of `loader.index_batches`, with images.

    Args:
      tasks: the training users' ratings; `image_ids` are rows of `store`.
      store: images on the host, in memory or as files.
      sampling: the meta-step's own.
      users_per_step: k, of one meta-iteration.
      steps_per_batch: meta-iterations that a dispatch does.
      seed: of the order of users.
      threads: of `ReadAhead`: batches that are gathered at the same time.
      sharding: where to put the batches.
      key: that of the training state.

    Returns:
      Batches {"users": int32 [user], "store": ImageStore}. The store has `image_ids`
      and as many rows in every batch, for one compiled program.

    Raises:
      ValueError: as `index_batches`; or several processes.
    """
    _check_alone()
    size = users_per_step * steps_per_batch
    pad_to = min(size * _longest(sampling, tasks, key=key), len(store))
    gather = _Gather(tasks, store, sampling, key, users_per_step, pad_to)
    options: dict[str, Any] = {"batch_size": size, "drop_remainder": True}
    users = loader.shares(len(tasks), seed=seed, **options)
    ahead = loader.batched_shares(users, **options).repeat(None).map_with_index(gather)
    return ReadAhead(ahead, threads=threads, workers=0, sharding=sharding)


def _check_alone() -> None:
    """Each of several processes would have to gather what the others drew."""
    if jax.process_count() > 1:
        raise ValueError(
            f"images gathered for each meta-iteration by {jax.process_count()} "
            "processes; expected one process, or a store that fits on each device. "
            "Lower the images' size, freeze the trunk, or start one process"
        )


def _longest(sampling: Sampling, tasks: UserTasks, *, key: Key[Array, ""]) -> int:
    """Places for ratings in an episode, of both sides."""
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[0], tasks)
    episode = jax.eval_shape(sampling, one, key=key)
    return episode.support.mask.shape[0] + episode.query.mask.shape[0]


@dataclasses.dataclass(frozen=True, eq=False)
class _Gather:
    """(number of the batch, users) -> the batch."""

    tasks: UserTasks
    store: ImageStore
    sampling: Sampling
    key: Key[Array, ""]
    users_per_step: int
    pad_to: int

    def __call__(self, number: int, users: np.ndarray) -> dict[str, Any]:
        users = np.asarray(users, np.int32)
        steps = len(users) // self.users_per_step
        step = number * steps + np.repeat(np.arange(steps), self.users_per_step)
        # Not on the accelerator, where it would wait behind the step that runs.
        with jax.default_device(jax.devices("cpu")[0]):
            key = jax.random.wrap_key_data(
                jnp.asarray(np.asarray(jax.random.key_data(self.key))),
                impl=jax.random.key_impl(self.key),
            )
            ids, mask = jax.device_get(
                _drawn(
                    jax.tree.map(lambda leaf: np.asarray(leaf)[users], self.tasks),
                    step.astype(np.int32),
                    sampling=self.sampling,
                    key=key,
                )
            )
        gathered, kept = compact(self.store, ids, mask=mask, pad_to=self.pad_to)
        return {
            "users": users,
            "store": ImageStore(images=gathered.images, image_ids=kept),
        }


@functools.partial(jax.jit, static_argnames="sampling")
def _drawn(
    tasks: UserTasks,
    step: Int[Array, " user"],
    *,
    sampling: Sampling,
    key: Key[Array, ""],
) -> tuple[Int[Array, "user shot"], Bool[Array, "user shot"]]:
    """The images of each user's episode, and which of them are real."""

    def of_one(task, step):
        episode, _ = iteration_episode(sampling, task, step=step, key=key)
        sides = episode.support, episode.query
        ids = jnp.concatenate([side.image_ids for side in sides])
        return ids, jnp.concatenate([side.mask for side in sides])

    return jax.vmap(of_one)(tasks, step)
