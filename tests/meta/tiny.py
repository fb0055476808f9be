"""A network and users small enough to be followed by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jiaa.models.normalization import BatchNorm
from jiaa.types import Episode, Examples, ImageStore, UserTasks

FEATURES = 6


class Line(nn.Module):
    """x . w + b."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        return nn.Dense(1, name="head")(x)[..., 0]


class Normed(nn.Module):
    """Dense, BatchNorm, tanh, Dense."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        # A bias before BatchNorm has gradient 0 up to rounding, which Adam would
        # amplify.
        x = nn.Dense(5, use_bias=False, name="hidden")(x)
        x = BatchNorm(name="norm")(x, mask=mask, batch_statistics=batch_statistics)
        x = nn.Dropout(0.5, deterministic=not dropout)(jnp.tanh(x))
        return nn.Dense(1, name="head")(x)[..., 0]


def prior_of(model, key):
    """A prior with random parameters."""
    variables = model.init(key, jnp.zeros((2, FEATURES)))
    return {
        "params": variables["params"],
        "batch_stats": variables.get("batch_stats", {}),
    }


def store_of(key, images=40):
    """A feature store."""
    return ImageStore(features=jax.random.normal(key, (images, FEATURES)))


def tasks_of(key, store, users=4, ratings=20):
    """Users who rate by their own linear taste, all with the same number of ratings."""
    ids_key, taste_key = jax.random.split(key)
    image_ids = jax.vmap(
        lambda k: jax.random.permutation(k, len(store))[:ratings].sort()
    )(jax.random.split(ids_key, users))
    tastes = jax.random.normal(taste_key, (users, FEATURES)) * 0.2
    scores = jax.nn.sigmoid(jnp.einsum("urf,uf->ur", store.take(image_ids), tastes))
    return UserTasks(
        user_id=jnp.arange(users) + 7,
        image_ids=image_ids,
        scores=scores,
        mask=jnp.ones((users, ratings), bool),
    )


def episode_of(task, shots):
    """The first ratings as support, the others as query."""
    cut = [
        Examples(task.image_ids[rows], task.scores[rows], task.mask[rows])
        for rows in (slice(None, shots), slice(shots, None))
    ]
    return Episode(task.user_id, *cut)
