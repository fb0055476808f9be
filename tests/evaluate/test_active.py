"""Active curves: the protocol's facts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.evaluate.active import Curves, active_curves
from jiaa.personalize.active import ActiveLearner, make_album
from jiaa.types import UserTasks

USERS, IMAGES = 2, 12


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.normal(size=(USERS, IMAGES, 3)), jnp.float32)
    generic = jnp.asarray(rng.uniform(0.2, 1, (USERS, IMAGES)), jnp.float32)
    mask = jnp.ones((USERS, IMAGES), bool).at[1, -1].set(False)
    albums = jax.vmap(lambda x, g, m: make_album(x, g, mask=m))(features, generic, mask)
    ids = np.tile(np.arange(IMAGES, dtype=np.int32), (USERS, 1))
    scores = np.asarray(generic + 0.1 * features[..., 0])
    tasks = UserTasks(np.arange(USERS) + 3, ids, scores, np.asarray(mask))
    return albums, tasks


def curves_of(world, strategies, **options):
    learners = {name: ActiveLearner(name) for name in strategies}
    options = {"first": 3, "last": 6, "trials": 2, **options}
    return active_curves(learners, *world, key=jax.random.key(0), **options)


@pytest.fixture(scope="module")
def curves(world):
    return curves_of(world, ("random", "active_pam"))


def test_all_strategies_begin_with_the_same_images(curves):
    first, other = (curves.values[name][..., 0] for name in curves.values)
    np.testing.assert_array_equal(first, other)
    assert curves.values["random"].shape == (USERS, 2, 4)
    assert curves.ratings.tolist() == [3, 4, 5, 6]


def test_a_user_s_curve_does_not_depend_on_the_other_users(world, curves):
    """Same shapes as above: the same program."""
    albums, tasks = world
    rows = np.array([1, 1])
    twice = jax.tree.map(lambda x: x[jnp.asarray(rows)], albums), tasks[rows]
    found = curves_of(twice, ("active_pam",)).values["active_pam"]
    expected = curves.values["active_pam"][rows]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_held_out_images_are_the_same_in_every_round(world):
    """The generic score does not learn: on fixed images its SROCC stays."""
    found = curves_of(world, ("random",), held_out=4)
    generic = found.generic["random"]
    np.testing.assert_array_equal(generic, np.broadcast_to(generic[..., :1], (2, 2, 4)))


def test_means_and_the_ratings_that_reach_a_level():
    values = np.array([[[0.1, 0.3, 0.5], [0.3, 0.5, np.nan]]])
    curves = Curves(np.arange(10, 13), {"a": values}, {"a": values - 0.1}, {"a": 1.0})
    np.testing.assert_allclose(curves.mean("a"), [0.2, 0.4, 0.5])
    np.testing.assert_allclose(curves.mean("a", gain=True), 0.1)
    np.testing.assert_allclose(curves.band("a"), [0.1, 0.1, 0.0])
    assert curves.ratings_to_reach("a", 0.4) == 11
    assert curves.ratings_to_reach("a", 0.6) is None


def test_more_ratings_than_images_are_refused(world):
    with pytest.raises(ValueError, match=r"of 11, the smallest album's"):
        curves_of(world, ("random",), last=10)
