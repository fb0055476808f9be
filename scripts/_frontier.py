"""Every hypothesis of a blend, and blends of them all, on the same random splits.

A hypothesis is a fixed setting: what share of the crowd holds for everybody, and how
strong their own taste is. One compiled call a number of ratings fits all of them to
each rater and split, from one eigendecomposition, and mixes them by their evidence.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from jiaa.data.tasks import episode_key, sample_episode
from jiaa.metrics import spearman
from jiaa.personalize import Blend
from jiaa.types import Episode, UserTasks


def srocc_of_settings(
    blend: Blend,
    kernel: Float[Array, "image image"],
    crowd: Float[Array, " image"],
    tasks: UserTasks,
    log_priors: Float[np.ndarray, "blend hypothesis"],
    *,
    shots: int,
    repeats: int,
    key: Key[Array, ""],
) -> Float[np.ndarray, "user setting"]:
    """Each rater's mean SROCC over splits; NaN where it is not defined in any.

    The settings are `blend.hypotheses`, each for itself, and then the blend with each
    of `log_priors`. The splits are those of `evaluate.personalization`.

    Args:
      blend: whose hypotheses they are.
      kernel: between the features of all images (`blend.kernel`).
      crowd: the prior's unit score of each image.
      tasks: the raters, with more than `shots` ratings each.
      log_priors: of the hypotheses, one row a blend.
      shots: own ratings.
      repeats: random splits of each rater.
      key: of the splits.
    """
    settings = {"blend": blend, "shots": shots, "repeats": repeats}
    shared = map(jnp.asarray, (kernel, crowd, log_priors))
    tasks = jax.tree.map(jnp.asarray, tasks)
    values, defined = map(np.asarray, _all_splits(*shared, tasks, key, **settings))
    total, counts = np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


@functools.partial(jax.jit, static_argnames=("blend", "shots", "repeats"))
def _all_splits(
    kernel: Float[Array, "image image"],
    crowd: Float[Array, " image"],
    log_priors: Float[Array, "blend hypothesis"],
    tasks: UserTasks,
    key: Key[Array, ""],
    *,
    blend: Blend,
    shots: int,
    repeats: int,
) -> tuple[Float[Array, "user repeat setting"], Bool[Array, "user repeat setting"]]:
    def one_split(task, repeat):
        split_key = episode_key(key, repeat=repeat, user_id=task.user_id)
        split_key = jax.random.fold_in(split_key, 0)
        episode = sample_episode(task, shots=shots, key=split_key)
        predicted = predictions(blend, kernel, crowd, episode, log_priors)
        query = episode.query
        in_turn = jax.vmap(spearman, in_axes=(0, None, None))
        return tuple(in_turn(predicted, query.scores, query.mask))

    def one_user(task):
        return jax.vmap(one_split, in_axes=(None, 0))(task, jnp.arange(repeats))

    return jax.lax.map(one_user, tasks)


def predictions(
    blend: Blend,
    kernel: Float[Array, "image image"],
    crowd: Float[Array, " image"],
    episode: Episode,
    log_priors: Float[Array, "blend hypothesis"],
) -> Float[Array, "setting query"]:
    """Unit scores of one rater's query: of each hypothesis, then of each blend."""
    support, query = episode.support, episode.query
    mask = jnp.asarray(support.mask)
    rated = jnp.where(mask[None], kernel[:, support.image_ids], 0.0)
    within = jnp.where(mask[:, None], rated[support.image_ids], 0.0)
    found = blend.candidates(
        within,
        jnp.where(mask, crowd[support.image_ids], 0.0),
        jnp.where(mask, support.scores, 0.0),
        mask=mask,
    )
    shares = jnp.asarray([share for share, _ in blend.hypotheses])
    each = shares[:, None] * crowd[query.image_ids][None] + found.offset[:, None]
    each = each + found.dual @ rated[query.image_ids].T
    weights = jax.nn.softmax(found.log_evidence[None] + log_priors, axis=1)
    return jnp.concatenate([each, weights @ each])
