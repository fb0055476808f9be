"""Whether personal taste exists at all: PAM (ICCV 2017), Sec. 5.2 and Fig. 4.

A fake worker gives the crowd's score and noise. Offsets of real workers correlate with
the images' features more than a fake worker's, whose offsets are noise: ranked by the
sum of absolute correlations, fake workers come low, the lower the more they rated.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from jiaa import metrics
from jiaa.types import UserTasks


def fake_worker_ranks(
    features: Float[Array | np.ndarray, "image feature"],
    crowd: Float[Array | np.ndarray, " image"],
    tasks: UserTasks,
    *,
    images: int,
    noise: float,
    fakes: int = 10,
    repeats: int = 50,
    key: Key[Array, ""],
) -> Float[np.ndarray, " repeat"]:
    """The fake workers' mean rank among all workers, in each repeat.

    Rank 1 is the least correlation; among n real workers and m fake ones, fake workers
    that cannot be told from real ones would have a mean rank of (n + m + 1) / 2.

    Args:
      features: the 20 of PAM, of the training images.
      crowd: mean unit scores, what offsets are measured from.
      tasks: the real workers; those with more than 150 images in the paper.
      images: k, how many a fake worker rates.
      noise: sigma, in unit scores.
      fakes: m.
      repeats: with other images and noise.
      key: both derive from it and the repeat.

    Raises:
      ValueError: there are not that many images.
    """
    rated = np.unique(np.asarray(tasks.image_ids)[np.asarray(tasks.mask)])
    if not 2 < images <= len(rated):
        raise ValueError(f"images={images}; expected 3 to {len(rated)}, those rated")
    features, crowd = jnp.asarray(features), jnp.asarray(crowd)
    offsets = jnp.asarray(tasks.scores) - crowd[tasks.image_ids]
    pool = jnp.asarray(rated)

    def worker(row):
        ids, gaps, mask = row
        return _correlation(features[ids], gaps, mask)

    real = jax.lax.map(worker, (jnp.asarray(tasks.image_ids), offsets, tasks.mask))

    @functools.partial(jax.vmap, in_axes=(0, None))
    def fake(number, repeat):
        drawn = jax.random.fold_in(jax.random.fold_in(key, repeat), number)
        one, other = jax.random.split(drawn)
        ids = jax.random.choice(one, pool, (images,), replace=False)
        gaps = noise * jax.random.normal(other, (images,))
        return _correlation(features[ids], gaps, jnp.ones(images, bool))

    def mean_rank(repeat):
        found = fake(jnp.arange(fakes), repeat)
        everybody = jnp.concatenate([real, found])
        ranks = metrics.average_ranks(everybody, jnp.ones(len(everybody), bool))
        return jnp.mean(ranks[-fakes:])

    return np.asarray(jax.jit(lambda r: jax.lax.map(mean_rank, r))(jnp.arange(repeats)))


def _correlation(
    features: Float[Array, "image feature"],
    offsets: Float[Array, " image"],
    mask: Bool[Array, " image"],
) -> Float[Array, ""]:
    """wc: the sum over features of |Spearman's correlation| with the offsets."""
    each = jax.vmap(metrics.spearman, in_axes=(1, None, None))
    return jnp.sum(jnp.abs(each(features, offsets, mask).value))
