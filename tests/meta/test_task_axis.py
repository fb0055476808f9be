"""However the user axis is run, the numbers are the same."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.meta import memory, task_axis

LOG = "jiaa.meta.task_axis"


def one_user(x, y):
    return {"fit": x @ y, "gap": jnp.sum(x) - y}


@pytest.fixture
def users(next_key):
    return jax.random.normal(next_key(), (6, 3, 4)), jax.random.normal(
        next_key(), (6, 4)
    )


@pytest.mark.parametrize(
    ("strategy", "chunk"),
    [("map", 1), ("map", 4), ("unroll", 1), ("vmap", 1), ("auto", 1)],
)
def test_strategies_agree(strategy, chunk, users):
    got = task_axis.over_users(one_user, strategy=strategy, chunk=chunk)(*users)
    want = jax.vmap(one_user)(*users)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, want)


ALL = [
    *(("map", chunk) for chunk in (1, 3, 4, 9)),
    *((strategy, 1) for strategy in ("unroll", "vmap", "auto")),
]


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
        for strategy, chunk in (("vmap", 4), ("unroll", 2), ("map", 0), ("auto", 2)):
            with pytest.raises(ValueError, match=rf"chunk={chunk} with .*'{strategy}'"):
                make(one_user, strategy=strategy, chunk=chunk)


def compiled_bytes(function, users):
    shape = jax.ShapeDtypeStruct((users, 2000), jnp.float32)
    return jax.jit(function).lower(shape).compile().memory_analysis().temp_size_in_bytes


def test_memory_of_a_mapped_sum_does_not_grow_with_the_users():
    def one(x):
        return jnp.sin(x) * jnp.sum(x)

    add_up = task_axis.sum_over_users(one, strategy="map", chunk=2)
    few, many = (compiled_bytes(add_up, users) for users in (8, 80))
    assert many < few + 80 * 100  # bookkeeping, not 8000 bytes a user


SMALL, LARGE, PLENTY = 50_000, 50_000_000, 10**12


@pytest.mark.parametrize(
    ("backend", "user_bytes", "users", "usable", "expected"),
    [
        ("cpu", SMALL, 37, PLENTY, ("vmap", 1)),
        ("cpu", SMALL, 37, 20 * SMALL, ("map", 19)),
        ("cpu", LARGE, 37, PLENTY, ("map", 1)),
        ("gpu", LARGE, 37, PLENTY, ("vmap", 1)),
        ("gpu", LARGE, 37, 10 * LARGE, ("map", 10)),
        ("tpu", LARGE, 9, 8 * LARGE, ("map", 5)),
        ("gpu", LARGE, 4, LARGE, ("map", 1)),
        ("gpu", LARGE, 1, PLENTY, ("map", 1)),
        ("gpu", 100 * LARGE, 37, PLENTY, ("map", 1)),
    ],
)
def test_auto_goes_by_backend_size_users_and_memory(
    backend, user_bytes, users, usable, expected
):
    options = {"users": users, "usable": usable, "backend": backend}
    assert task_axis.choose(user_bytes, **options) == expected


def test_every_rule_names_its_evidence_and_the_last_one_covers_all():
    assert all(rule.evidence for rule in task_axis.RULES)
    assert task_axis.RULES[-1].applies("any", PLENTY)


def test_rounds_are_as_few_and_as_even_as_the_memory_allows():
    for users in range(1, 40):
        for most in range(1, 45):
            size = task_axis.fitting(100, users, 100 * most + 99)
            assert 1 <= size <= min(most, users)
            rounds = -(-users // size)
            assert rounds == -(-users // min(most, users))
            assert size * rounds - users < rounds


def test_a_user_who_does_not_fit_is_run_alone_with_a_warning(caplog):
    chosen = task_axis.choose(LARGE, users=3, usable=LARGE // 2, backend="gpu")
    assert chosen == ("map", 1)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "one takes about 50 MB, and 25 MB may be used" in record.getMessage()


def test_auto_speaks_once_a_compilation_and_traces_a_user_once(
    users, caplog, monkeypatch
):
    monkeypatch.setattr(memory, "usable_bytes", lambda: 10_000)
    traced = []

    def counted(x, y):
        traced.append(None)
        return one_user(x, y)

    add_up = jax.jit(task_axis.sum_over_users(counted, strategy="auto"))
    with caplog.at_level(logging.INFO, LOG):
        for _ in range(2):
            add_up(*users)
    (record,) = caplog.records
    assert "user axis on cpu: vmap, 6 of 6 users at once" in record.getMessage()
    assert "0.01 MB may be used (rule: vmap, by " in record.getMessage()
    assert len(traced) == 1


@pytest.mark.parametrize("fit", [1, 2, 4])
def test_auto_in_chunks_gives_the_same_sum(users, monkeypatch, fit):
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), users)
    user_bytes = memory.peak_bytes(jax.jit(one_user).trace(*one).jaxpr)
    monkeypatch.setattr(memory, "usable_bytes", lambda: fit * user_bytes)
    got = jax.jit(task_axis.sum_over_users(one_user, strategy="auto"))(*users)
    want = jax.vmap(one_user)(*users)
    np.testing.assert_allclose(got["fit"], want["fit"].sum(0), atol=1e-5)
    np.testing.assert_allclose(got["gap"], want["gap"].sum(0), atol=1e-5)
