"""Algorithm 1 and its baselines: what each asks for, and both ways to run it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.personalize.active import STRATEGIES, ActiveLearner, LiveRater, make_album
from jiaa.personalize.active.strategies import _bootstrap
from jiaa.personalize.nu_svr import fit_nu_svr

IMAGES = 14


@pytest.fixture(scope="module")
def world():
    """An album with one padded place, and the user's true scores."""
    rng = np.random.default_rng(3)
    features = jnp.asarray(rng.normal(size=(IMAGES, 3)), jnp.float32)
    generic = jnp.asarray(rng.uniform(0.2, 1.0, IMAGES), jnp.float32)
    mask = jnp.arange(IMAGES) < IMAGES - 1
    album = make_album(features, generic, mask=mask, visual_weight=1.0)
    stars = jnp.clip(jnp.round(generic * 5 + features[:, 0] / 2), 1, 5)
    scores = jnp.where(mask, stars / 5, jnp.nan)
    return album, scores


@functools.partial(jax.jit, static_argnums=0, static_argnames="rounds")
def play(learner, album, scores, *, rounds):
    state = learner.begin(album, key=jax.random.key(1))
    one = lambda state, _: (learner.round(album, state, scores=scores),) * 2  # noqa: E731
    return jax.lax.scan(one, state, length=rounds)[1]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_round_asks_about_one_more_real_image(world, strategy):
    album, scores = world
    states = play(ActiveLearner(strategy, first=1), album, scores, rounds=IMAGES - 1)
    rated = np.asarray(states.rated)
    assert rated.sum(axis=1).tolist() == list(range(1, IMAGES))
    assert np.all(rated[1:] >= rated[:-1])
    assert not rated[:, -1].any()
    assert np.isfinite(np.asarray(states.offsets)).all()


def state_of(world, rated):
    album, scores = world
    learner = ActiveLearner(first=1)
    state = learner.begin(album, key=jax.random.key(0))
    rated = jnp.isin(jnp.arange(IMAGES), jnp.asarray(rated))
    scores = jnp.where(rated, scores, 0.0)
    state = dataclasses.replace(state, rated=rated, scores=scores)
    return album, jax.jit(learner.learn)(album, state)


def test_active_pam_is_equations_5_and_6_by_hand(world):
    album, state = state_of(world, [0, 3, 7])
    missed = np.abs(np.asarray(album.generic + state.offsets - state.scores))[[0, 3, 7]]
    weights = 1 - missed / missed.sum()
    expected = np.asarray(album.distances)[:, [0, 3, 7]] @ weights
    got = STRATEGIES["active_pam"](album, state, fit=fit_nu_svr, key=state.key)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_greedy_asks_furthest_first(world):
    album, state = state_of(world, [2, 5])
    learner = ActiveLearner("greedy", first=1)
    nearest = np.asarray(album.distances)[:, [2, 5]].min(axis=1)
    nearest[[2, 5, IMAGES - 1]] = -1
    assert int(learner.choose(album, state)) == nearest.argmax()


def test_the_first_images_are_random_whatever_the_strategy(world):
    """Algorithm 1, line 2; of a single rating, eq. 5 makes every weight 0."""
    album, state = state_of(world, [2, 5])
    draws = [
        int(ActiveLearner(strategy, first=first).choose(album, state))
        for strategy, first in (("greedy", 3), ("random", 3), ("greedy", 2))
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_bootstrap_draws_as_many_as_are_rated():
    rated = jnp.arange(IMAGES) % 3 == 0
    for seed in range(5):
        drawn = np.asarray(_bootstrap(rated, key=jax.random.key(seed)))
        assert drawn.sum() == int(rated.sum())
        assert not drawn[~np.asarray(rated)].any()


def test_mcal_leaves_clusters_with_known_images_for_last():
    """Three tight groups: one has rated images that are no support vectors."""
    centres = np.repeat(np.eye(3) * 9, [4, 4, 6], axis=0)
    features = jnp.asarray(centres + 0.01 * np.arange(14)[:, None], jnp.float32)
    album = make_album(features, jnp.full(14, 0.5), mask=jnp.ones(14, bool))
    learner = ActiveLearner("mcal", first=1)
    state = learner.begin(album, key=jax.random.key(2))
    rated = jnp.isin(jnp.arange(14), jnp.asarray([8, 9, 10, 11]))
    state = dataclasses.replace(state, rated=rated)  # no coefficients: all are known
    for seed in range(4):
        keyed = dataclasses.replace(state, key=jax.random.key(seed))
        assert int(learner.choose(album, keyed)) < 8


def test_a_live_rater_walks_the_rounds_of_the_protocol(world):
    album, scores = world
    learner = ActiveLearner(first=3)
    expected = play(learner, album, scores, rounds=6)
    live = LiveRater(learner, album, high=5.0)
    state = live.begin(key=jax.random.key(1))
    for number in range(6):
        (image,) = live.next_images(state, 1)
        state = live.tell(state, int(image), round(float(scores[image]) * 5))
        np.testing.assert_array_equal(state.rated, expected.rated[number])
    np.testing.assert_allclose(
        live.predict(state), album.generic + expected.offsets[-1], atol=1e-4
    )


def test_several_images_at_once_are_different_and_not_rated(world):
    album, state = state_of(world, [0, 3, 7])
    live = LiveRater(ActiveLearner(), album)
    asked = live.next_images(state, 50).tolist()
    assert sorted(asked) == sorted(set(range(IMAGES - 1)) - {0, 3, 7})


def test_errors_name_what_was_expected(world):
    live = LiveRater(ActiveLearner(), world[0])
    state = live.begin(key=jax.random.key(0))
    with pytest.raises(IndexError, match="image 13 of an album of 13"):
        live.tell(state, 13, 3.0)
    for stars in (9, 0, float("nan")):
        with pytest.raises(ValueError, match=rf"stars={stars}; expected 1.0 to 5.0"):
            live.tell(state, 0, stars)
    with pytest.raises(TypeError):
        live.tell(state, 1.5, 3.0)
    with pytest.raises(ValueError, match=r"n=0; expected 1 or more"):
        live.next_images(state, 0)
    with pytest.raises(ValueError, match="unknown strategy 'best'"):
        ActiveLearner("best")
    for options in ({"c": 0.0}, {"nu": 1.2}, {"first": 0}, {"gap": 0.0}):
        with pytest.raises(ValueError, match="expected"):
            ActiveLearner(**options)
    with pytest.raises(ValueError, match=r"low=5.0, high=5.0; expected"):
        LiveRater(ActiveLearner(), world[0], low=5.0)


def test_an_album_with_features_that_are_not_finite_is_refused():
    features = jnp.eye(4).at[2, 0].set(jnp.nan)
    album = make_album(features, jnp.full(4, 0.5), mask=jnp.ones(4, bool))
    with pytest.raises(ValueError, match=r"images \[2\] of the album"):
        LiveRater(ActiveLearner(), album)


def test_an_album_of_one_photograph_learns_its_rating():
    album = make_album(jnp.ones((1, 3)), jnp.full(1, 0.5), mask=jnp.ones(1, bool))
    live = LiveRater(ActiveLearner(), album)
    state = live.begin(key=jax.random.key(0))
    (image,) = live.next_images(state, 3).tolist()
    state = live.tell(live.tell(state, image, 1.0), image, 4.0)  # the last one counts
    np.testing.assert_allclose(live.predict(state), 0.8, atol=1e-5)
    assert not len(live.next_images(state, 1))
