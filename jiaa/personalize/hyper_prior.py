"""The blended taste's prior probabilities, learned over training raters.

Meta-learning of a hyper-prior (empirical Bayes over users, as in Baxter, Machine
Learning 28, 1997): an episode is one training rater's random split, and what is
maximised is the correlation of the averaged hypotheses with the query scores. The
crowd's score of a photograph must not have seen that photograph, as for a new user
(`train.ridge.held_out_scores`). Where the crowd is always right, it would be trusted
always; so a share of the raters are made strangers, whose own scores meet the crowd's
scores of other photographs.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa.personalize.blend import Blend
from jiaa.types import UserTasks


@dataclasses.dataclass(frozen=True)
class Strangers:
    """How episodes are drawn to learn the prior probabilities from.

    Attributes:
      share: of the raters, whose crowd is made wrong; in [0, 1).
      episodes: how many.
      fewest: support ratings, from so many to four fifths of a rater's, every order of
        magnitude alike.
      pull: weight of the squared log priors, towards all alike.

    Raises:
      ValueError: a field out of its range.
    """

    share: float = 0.1
    episodes: int = 3000
    fewest: int = 3
    pull: float = 1e-3

    def __post_init__(self):
        """Checks the ranges."""
        if not 0 <= self.share < 1 or min(self.episodes, self.fewest) < 1:
            raise ValueError(
                f"share={self.share}, episodes={self.episodes}, fewest={self.fewest}; "
                "expected a share from 0 to below 1, and whole numbers from 1"
            )
        if self.pull < 0:
            raise ValueError(f"pull={self.pull}; expected 0 or more")


class Moments(NamedTuple):
    """What an episode says about the hypotheses, on its query set.

    With probabilities p, the averaged prediction correlates with the rater's scores by
    covariance . p / sqrt(p . products p).

    Attributes:
      log_evidence: of the support set under each hypothesis.
      products: of the hypotheses' centred predictions, mean over the query images.
      covariance: with the rater's scores, over the scores' standard deviation.
    """

    log_evidence: Float[Array, "*episode hypothesis"]
    products: Float[Array, "*episode hypothesis hypothesis"]
    covariance: Float[Array, "*episode hypothesis"]


def learn_log_prior(
    blend: Blend,
    prior: PyTree,
    features: Float[np.ndarray, "image feature"],
    crowd: Float[np.ndarray, " image"],
    tasks: UserTasks,
    *,
    strangers: Strangers = Strangers(),
    key: Key[Array, ""],
) -> Float[np.ndarray, " hypothesis"]:
    """Log prior of each of `blend.hypotheses`; the largest is 0.

    Args:
      blend: whose hypotheses they are.
      prior: whose warp the features go through.
      features: of all images.
      crowd: unit scores of all images, each learned without that image.
      tasks: the training raters.
      strangers: how their episodes are drawn.
      key: of the draws.

    Raises:
      ValueError: no rater has `fewest` + 2 ratings.
    """
    counts = np.asarray(tasks.mask).sum(axis=1)
    able = np.flatnonzero(counts >= strangers.fewest + 2)
    if not len(able):
        raise ValueError(
            f"no training rater has {strangers.fewest + 2} ratings, which the hyper-"
            "prior's episodes need; lower `fewest`, or leave the prior as it is"
        )
    directions = blend.directions(prior, jnp.asarray(features))
    kernel = blend.kernel(directions, directions)
    draw, keys = jax.random.split(key)
    rows = able[
        np.asarray(jax.random.randint(draw, (strangers.episodes,), 0, len(able)))
    ]
    found = _all_moments(
        jax.random.split(keys, strangers.episodes),
        jnp.asarray(rows),
        jax.tree.map(jnp.asarray, tasks),
        kernel,
        jnp.asarray(crowd),
        blend=blend,
        strangers=strangers,
    )
    return _best_log_prior(jax.tree.map(np.asarray, found), pull=strangers.pull)


@functools.partial(jax.jit, static_argnames=("blend", "strangers"))
def _all_moments(keys, rows, tasks, kernel, crowd, *, blend, strangers) -> Moments:
    def one(pair):
        key, row = pair
        task = tasks[row]
        return episode_moments(key, task, kernel, crowd, blend, strangers)

    return jax.lax.map(one, (keys, rows), batch_size=16)


def episode_moments(
    key: Key[Array, ""],
    task: UserTasks,
    kernel: Float[Array, "image image"],
    crowd: Float[Array, " image"],
    blend: Blend,
    strangers: Strangers,
) -> Moments:
    """One rater's random split, and what each hypothesis makes of the query."""
    mask, scores, ids = map(jnp.asarray, (task.mask, task.scores, task.image_ids))
    size_key, split_key, stranger_key, wrong_key = jax.random.split(key, 4)
    count = jnp.sum(mask)
    most = jnp.maximum(0.8 * count, strangers.fewest)
    low, high = jnp.log(float(strangers.fewest)), jnp.log(most)
    shots = jnp.exp(low + (high - low) * jax.random.uniform(size_key))
    in_support = _smallest(split_key, mask, jnp.round(shots).astype(int))
    stranger = jax.random.uniform(stranger_key) < strangers.share
    shown = jnp.where(stranger, _shuffled(wrong_key, ids, mask), ids)
    support, query = mask & in_support, mask & ~in_support
    between = kernel[ids][:, ids]
    level = crowd[shown]
    found = blend.candidates(
        jnp.where(support[:, None] & support[None], between, 0.0),
        jnp.where(support, level, 0.0),
        jnp.where(support, scores, 0.0),
        mask=support,
    )
    shares = jnp.asarray([share for share, _ in blend.hypotheses])
    own = jnp.where(support[None], found.dual, 0.0) @ between
    predicted = shares[:, None] * level[None] + own
    centred, target = _centred(predicted, query[None]), _centred(scores, query)
    images = jnp.maximum(jnp.sum(query), 1)
    spread = jnp.sqrt(jnp.maximum(jnp.sum(target**2) / images, 1e-9))
    return Moments(
        found.log_evidence,
        centred @ centred.T / images,
        centred @ target / (images * spread),
    )


def _smallest(key, mask, count):
    """`count` of the masked places, at random."""
    drawn = jnp.where(mask, jax.random.uniform(key, mask.shape), jnp.inf)
    return jnp.argsort(jnp.argsort(drawn)) < count


def _shuffled(key, ids: Int[Array, " rating"], mask) -> Int[Array, " rating"]:
    """The masked ids among themselves at random; padding stays where it is."""
    drawn = jnp.where(mask, jax.random.uniform(key, ids.shape), jnp.inf)
    real = jnp.argsort(~mask)  # stable: the masked places, then the padding
    return ids.at[real].set(ids[jnp.argsort(drawn)])


def _centred(values, mask):
    mean = jnp.sum(jnp.where(mask, values, 0.0), axis=-1, keepdims=True)
    mean = mean / jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1)
    return jnp.where(mask, values - mean, 0.0)


def _best_log_prior(
    moments: Moments, *, pull: float
) -> Float[np.ndarray, " hypothesis"]:
    """Where the mean correlation over episodes is greatest, from all alike."""
    evidence, products, covariance = (np.asarray(x, np.float64) for x in moments)

    def loss(log_prior):
        logits = evidence + log_prior
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        turned = np.einsum("ehk,ek->eh", products, weights)
        spread = np.sqrt(np.sum(weights * turned, axis=1, keepdims=True) + 1e-12)
        correlation = np.sum(weights * covariance, axis=1, keepdims=True) / spread
        slope = (correlation * turned / spread - covariance) / spread
        slope = weights * (slope - np.sum(weights * slope, axis=1, keepdims=True))
        penalty = pull * np.mean(log_prior**2)
        gradient = slope.mean(axis=0) + 2 * pull * log_prior / log_prior.size
        return penalty - correlation.mean(), gradient

    start = np.zeros(evidence.shape[1])
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x
    return (found - found.max()).astype(np.float32)
