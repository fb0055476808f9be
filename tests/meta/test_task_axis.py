"""However the user axis is run, the numbers are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.meta import task_axis


def one_user(x, y):
    return {"fit": x @ y, "gap": jnp.sum(x) - y}


@pytest.fixture
def users(next_key):
    return jax.random.normal(next_key(), (6, 3, 4)), jax.random.normal(
        next_key(), (6, 4)
    )


@pytest.mark.parametrize(
    ("strategy", "chunk"), [("map", 1), ("map", 4), ("unroll", 1), ("vmap", 1)]
)
def test_strategies_agree(strategy, chunk, users):
    got = task_axis.over_users(one_user, strategy=strategy, chunk=chunk)(*users)
    want = jax.vmap(one_user)(*users)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, want)


@pytest.mark.parametrize(
    ("strategy", "chunk"), [("map", 1), ("map", 3), ("unroll", 1), ("vmap", 1)]
)
def test_sums_agree_and_each_is_stacked(strategy, chunk, users):
    def pair(x, y):
        return one_user(x, y), jnp.sum(y)

    total, each = task_axis.sum_over_users(pair, strategy=strategy, chunk=chunk)(*users)
    want = jax.vmap(one_user)(*users)
    np.testing.assert_allclose(total["fit"], want["fit"].sum(0), atol=1e-5)
    np.testing.assert_allclose(total["gap"], want["gap"].sum(0), atol=1e-5)
    np.testing.assert_allclose(each, users[1].sum(1), atol=1e-6)


def test_chunks_that_do_not_divide_the_users_are_refused(users):
    def pair(x, y):
        return jnp.sum(x), jnp.sum(y)

    with pytest.raises(ValueError, match="6 users do not divide into chunks of 4"):
        task_axis.sum_over_users(pair, strategy="map", chunk=4)(*users)
