"""How much an image is worth asking about: a score for each, the highest is asked.

A strategy is a function (album, state, fit, key) of one user, where `fit` gives the
machine of the ratings so far, reweighted if asked. It may give any score to images that
are rated or padding: the selector leaves them out.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jiaa.personalize import nu_svr
from jiaa.personalize.active import design
from jiaa.personalize.active.album import Album, State

COMMITTEE = 5  # bagged models of QBC
CLUSTERS = 10  # of MCAL
CLUSTER_STEPS = 10

Fit = Callable[..., nu_svr.SupportVectors]
Strategy = Callable[..., Float[Array, " image"]]


def at_random(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """Any image, with equal chances."""
    del state, fit
    return jax.random.uniform(key, album.mask.shape)


def active_pam(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """Eqs. 5 and 6: far from what is rated, least from where the model is wrong.

    w_j = 1 - |o_j - t_j| / sum |o - t| over the rated images, for the model's score o
    and the user's score t; the image's score is sum_j w_j dist(v, v_j).
    """
    del fit, key
    predicted = album.generic + state.offsets
    missed = jnp.where(state.rated, jnp.abs(predicted - state.scores), 0.0)
    total = jnp.sum(missed)
    share = missed / jnp.where(total > 0, total, 1.0)
    return album.distances @ jnp.where(state.rated, 1.0 - share, 0.0)


def diversity(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """Eq. 6 with equal weights: one criterion of two (Fig. 5b)."""
    del fit, key
    return album.distances @ state.rated.astype(album.distances.dtype)


def greedy(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """Passive sampling (Yu and Kim, 2010): furthest from its nearest rated image."""
    del fit, key
    return jnp.min(jnp.where(state.rated[None], album.distances, jnp.inf), axis=1)


def query_by_committee(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """Burbidge et al., 2007: where models of bootstrapped ratings disagree."""

    def member(key):
        found = fit(weights=_bootstrap(state.rated, key=key))
        return album.kernel.kernel @ found.coefficients + found.offset

    return jnp.var(jax.vmap(member)(jax.random.split(key, COMMITTEE)), axis=0)


def _bootstrap(rated: Bool[Array, " image"], *, key) -> Float[Array, " image"]:
    """How often each rated image is drawn, with replacement, in as many draws."""
    count, size = jnp.sum(rated), rated.shape[0]
    draws = jnp.floor(jax.random.uniform(key, (size,)) * count).astype(int)
    rank = jnp.where(rated, jnp.cumsum(rated) - 1, -1)
    hits = (rank[:, None] == draws[None]) & (jnp.arange(size) < count)[None]
    return jnp.sum(hits, axis=1).astype(jnp.float32)


def multiple_criteria(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """MCAL (Demir and Bruzzone, 2014): dense, among images unlike what is known.

    Images not rated and rated ones that are no support vectors are clustered by kernel
    k-means. A cluster without such a rated image is unknown ground; there, an image is
    worth the sum of its likeness to the cluster's members. Where no cluster is unknown,
    all are equal.
    """
    del fit
    kernel = album.kernel.kernel
    known = state.rated & (state.coefficients == 0)
    member = album.mask & (~state.rated | known)
    cluster = _kernel_clusters(kernel, member, key=key)
    explored = jnp.any(cluster & known[:, None], axis=0)
    density = jnp.sum(cluster * (kernel @ cluster.astype(kernel.dtype)), axis=1)
    in_explored = jnp.any(cluster & explored[None], axis=1)
    return density - jnp.where(in_explored, jnp.sum(jnp.abs(kernel)), 0.0)


def _kernel_clusters(kernel, member, *, key) -> Bool[Array, "image cluster"]:
    """Lloyd's steps in the kernel's space, from centres drawn among the members."""
    draw = jnp.where(member, jax.random.uniform(key, member.shape), -1.0)
    _, centres = jax.lax.top_k(draw, min(CLUSTERS, member.shape[0]))
    likeness, level = kernel[:, centres], jnp.diag(kernel)[centres]

    def assign(likeness, level):
        nearest = jnp.argmin(level[None] - 2.0 * likeness, axis=1)
        chosen = nearest[:, None] == jnp.arange(level.shape[0])[None]
        return chosen & member[:, None]

    def step(_, cluster):
        size = jnp.sum(cluster, axis=0)
        mean = cluster / jnp.maximum(size, 1)[None]
        likeness = kernel @ mean
        level = jnp.sum(mean * likeness, axis=0)
        # A cluster that lost its members stays empty.
        return assign(likeness, jnp.where(size > 0, level, jnp.inf))

    return jax.lax.fori_loop(0, CLUSTER_STEPS, step, assign(likeness, level))


def experimental_design(
    album: Album, state: State, *, fit: Fit, key: Key[Array, ""]
) -> Float[Array, " image"]:
    """What takes most of the variance that the ratings leave (`active.design`)."""
    del fit, key

    def seen(covariance, row):
        image, rated = row
        return jnp.where(rated, design.told(covariance, image), covariance), None

    start = design.taste_kernel(album.kernel.kernel, mask=album.mask)
    rows = jnp.arange(len(album.mask)), state.rated
    return design.gains(jax.lax.scan(seen, start, rows)[0])


STRATEGIES: dict[str, Strategy] = {
    "random": at_random,
    "active_pam": active_pam,
    "diversity": diversity,
    "experimental_design": experimental_design,
    "greedy": greedy,
    "mcal": multiple_criteria,
    "qbc": query_by_committee,
}
