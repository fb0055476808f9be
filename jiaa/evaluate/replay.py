"""One user of one repeat again, alone: the split and the model that were measured."""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa.data import store as data_store
from jiaa.data import tasks as data_tasks
from jiaa.types import Episode, ImageStore, Personalizer, UserTasks


@dataclasses.dataclass(frozen=True, eq=False)
class Replay:
    """A user's model after a split, and the query images, in the order of their ids.

    Attributes:
      adapted: what the personalizer learned; the measuring protocol never returns it.
      image_ids: query images, as the task numbers them.
      user: the user's unit scores of them.
      generic: the un-adapted prior's.
      scores: the adapted model's.
    """

    adapted: PyTree
    image_ids: Int[np.ndarray, " query"]
    user: Float[np.ndarray, " query"]
    generic: Float[np.ndarray, " query"]
    scores: Float[np.ndarray, " query"]


def replay(
    personalizer: Personalizer,
    prior: PyTree,
    task: UserTasks,
    store: ImageStore,
    *,
    shots: int,
    repeat: int = 0,
    names: Mapping[int, str] | None = None,
    key: Key[Array, ""],
) -> Replay:
    """What `personalization` measured of one user in one repeat, for the same key.

    Args:
      personalizer: the method; static under jit.
      prior: what all users share.
      task: one user's ratings (no user axis); `image_ids` are rows of `store`.
      store: images or features.
      shots: ratings to learn from.
      repeat: number of the split.
      names: user id -> name, for errors.
      key: the protocol's.

    Raises:
      DataError: the user has no more than `shots` ratings.
    """
    alone = jax.tree.map(lambda x: np.asarray(x)[None], task)
    data_tasks.check_shots(alone, shots=shots, names=names or {})
    # As many rows for every user, so that one compiled program serves all.
    rows = task.image_ids.shape[-1]
    compact, kept = data_store.compact(
        store, task.image_ids, mask=task.mask, pad_to=rows
    )
    episode, adapted, generic, scores = _replay(
        prior,
        task,
        compact,
        jnp.asarray(kept),
        data_tasks.episode_key(key, repeat=repeat, user_id=task.user_id),
        personalizer=personalizer,
        shots=shots,
    )
    query = jax.tree.map(np.asarray, episode.query)
    real = np.flatnonzero(query.mask)
    order = real[np.argsort(query.image_ids[real])]
    sides = (query.image_ids, query.scores, np.asarray(generic), np.asarray(scores))
    return Replay(adapted, *(side[order] for side in sides))


@functools.partial(jax.jit, static_argnames=("personalizer", "shots"))
def _replay(
    prior: PyTree,
    task: UserTasks,
    store: ImageStore,
    kept: Int[Array, " unique"],
    key: Key[Array, ""],
    *,
    personalizer: Personalizer,
    shots: int,
) -> tuple[Episode, PyTree, Float[Array, " query"], Float[Array, " query"]]:
    # The same two keys as in the protocol: one for the split, one for the method.
    sampled = data_tasks.sample_episode(
        task, shots=shots, key=jax.random.fold_in(key, 0)
    )
    episode = data_store.remap_episode(sampled, kept)
    adapted = personalizer.adapt(prior, episode, store, key=jax.random.fold_in(key, 1))
    generic = personalizer.predict(
        prior, personalizer.init(prior), episode.query, store
    )
    scores = personalizer.predict(prior, adapted, episode.query, store)
    return sampled, adapted, generic, scores
