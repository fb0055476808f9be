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


ALL = [("map", 1), ("map", 3), ("map", 4), ("map", 9), ("unroll", 1), ("vmap", 1)]


@pytest.mark.parametrize(("strategy", "chunk"), ALL)
def test_sums_agree_whether_or_not_the_chunks_divide_the_users(strategy, chunk, users):
    add_up = task_axis.sum_over_users(one_user, strategy=strategy, chunk=chunk)
    want = jax.vmap(one_user)(*users)
    total = jax.jit(add_up)(*users)
    np.testing.assert_allclose(total["fit"], want["fit"].sum(0), atol=1e-5)
    np.testing.assert_allclose(total["gap"], want["gap"].sum(0), atol=1e-5)


@pytest.mark.parametrize(("strategy", "chunk"), ALL)
def test_users_who_are_not_real_take_no_part_even_with_nan(strategy, chunk, users):
    x, y = users
    real = jnp.array([True, False, True, True, False, True])
    poisoned = jnp.where(real[:, None], y, jnp.nan)
    add_up = task_axis.sum_over_users(one_user, strategy=strategy, chunk=chunk)
    total = add_up(x, poisoned, real=real)
    want = jax.vmap(one_user)(*users)
    np.testing.assert_allclose(total["gap"], want["gap"][real].sum(0), atol=1e-5)


def test_a_chunk_that_nothing_would_use_is_refused():
    for make in (task_axis.over_users, task_axis.sum_over_users):
        for strategy, chunk in (("vmap", 4), ("unroll", 2), ("map", 0)):
            with pytest.raises(ValueError, match=rf"chunk={chunk} with .*'{strategy}'"):
                make(one_user, strategy=strategy, chunk=chunk)


def memory(function, users):
    shape = jax.ShapeDtypeStruct((users, 2000), jnp.float32)
    return jax.jit(function).lower(shape).compile().memory_analysis().temp_size_in_bytes


def test_memory_of_a_mapped_sum_does_not_grow_with_the_users():
    def one(x):
        return jnp.sin(x) * jnp.sum(x)

    add_up = task_axis.sum_over_users(one, strategy="map", chunk=2)
    few, many = memory(add_up, 8), memory(add_up, 80)
    assert many < few + 80 * 100  # bookkeeping, not 8000 bytes a user
