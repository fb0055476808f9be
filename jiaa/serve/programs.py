"""What a model computes, compiled: a person's scores, and what their ratings change."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from jiaa.types import Episode, Examples, ImageStore

Map = Callable[[Array], Array]
SMALLEST_SUPPORT = 8  # ratings are padded to a power of two, this one at least


def padded(values: Shaped[np.ndarray, "row ..."], rows: int) -> np.ndarray:
    """`values` with rows of zeros appended."""
    return np.pad(values, [(0, rows - len(values))] + [(0, 0)] * (values.ndim - 1))


def capacity(ratings: int) -> int:
    """Rows that so many ratings are padded to, so that few programs serve all."""
    return max(SMALLEST_SUPPORT, 1 << (ratings - 1).bit_length())


def store_of(feature_map: Map | None, content: Array) -> ImageStore:
    """What a personalizer reads: pixels, or features behind the map."""
    if content.ndim == 4:
        return ImageStore(images=content)
    return ImageStore(features=content if feature_map is None else feature_map(content))


def _all_of(scores: Array, mask: Bool[Array, " image"]) -> Examples:
    return Examples(jnp.arange(scores.shape[0]), scores, mask)


@functools.partial(jax.jit, static_argnames="personalizer")
def scores_of(prior, adapted, feature_map, content, *, personalizer):
    """Unit scores of all the content [image], after adaptation."""
    count = content.shape[0]
    query = _all_of(jnp.zeros(count), jnp.ones(count, bool))
    store = store_of(feature_map, content)
    return personalizer.predict(prior, adapted, query, store)


@functools.partial(jax.jit, static_argnames="personalizer")
def adapted_to(prior, feature_map, content, scores, mask, key, *, personalizer):
    """What the masked unit scores of the content change."""
    support = _all_of(scores, mask)
    episode = Episode(jnp.zeros((), jnp.int32), support, support)
    return personalizer.adapt(prior, episode, store_of(feature_map, content), key=key)
