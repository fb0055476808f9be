"""One user of one repeat again, alone: the split and the model that were measured."""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jiaa.data import store as data_store
from jiaa.data import tasks as data_tasks
from jiaa.types import Examples, ImageStore, Personalizer, UserTasks


@dataclasses.dataclass(frozen=True, eq=False)
class Replay:
    """A user's model after a split, and the images they rated, in order of their ids.

    Attributes:
      adapted: what the personalizer learned; the measuring protocol never returns it.
      image_ids: the rated images, as the task numbers them.
      query: which of them the model did not learn from.
      user: the user's unit scores of them.
      generic: the un-adapted prior's.
      scores: the adapted model's.
    """

    adapted: PyTree
    image_ids: Int[np.ndarray, " image"]
    query: Bool[np.ndarray, " image"]
    user: Float[np.ndarray, " image"]
    generic: Float[np.ndarray, " image"]
    scores: Float[np.ndarray, " image"]


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
    adapted, rated, generic, scores = _replay(
        prior,
        task,
        compact,
        jnp.asarray(kept),
        data_tasks.episode_key(key, repeat=repeat, user_id=task.user_id),
        personalizer=personalizer,
        shots=shots,
    )
    ids, mask = np.asarray(rated.image_ids), np.asarray(rated.mask)
    real = np.flatnonzero(mask)
    order = real[np.argsort(ids[real])]
    # The support comes first.
    columns = (ids, np.arange(len(ids)) >= shots, rated.scores, generic, scores)
    return Replay(adapted, *(np.asarray(column)[order] for column in columns))


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
) -> tuple[PyTree, Examples, Float[Array, " image"], Float[Array, " image"]]:
    """What was learned; all examples, support first; generic and adapted scores."""
    # The same two keys as in the protocol: one for the split, one for the method.
    sampled = data_tasks.sample_episode(
        task, shots=shots, key=jax.random.fold_in(key, 0)
    )
    episode = data_store.remap_episode(sampled, kept)
    adapted = personalizer.adapt(prior, episode, store, key=jax.random.fold_in(key, 1))
    rated, here = (
        jax.tree.map(lambda *x: jnp.concatenate(x), split.support, split.query)
        for split in (sampled, episode)
    )
    generic = personalizer.predict(prior, personalizer.init(prior), here, store)
    return adapted, rated, generic, personalizer.predict(prior, adapted, here, store)
