import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.train.mesh import (
    pad_users,
    shard_user_sum,
    shard_users,
    spare_threads,
    user_mesh,
)

SCRIPT = Path(__file__).with_name("mesh_run.py")


def test_eight_devices_give_the_numbers_of_one_without_talking_to_each_other():
    tests = SCRIPT.parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all well\n"


@pytest.mark.parametrize(
    ("flags", "given", "threads"),
    [
        ("", None, None),
        ("--xla_force_host_platform_device_count=3", None, (os.cpu_count() or 1) + 3),
        ("--xla_force_host_platform_device_count=3", "2", 2),
    ],
)
def test_the_pool_has_more_threads_than_devices(monkeypatch, flags, given, threads):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setenv("NPROC", given or "")
    if given is None:
        monkeypatch.delenv("NPROC")
    spare_threads()
    assert os.environ.get("NPROC") == (None if threads is None else str(threads))


def test_a_mesh_of_one_device_and_no_mesh_change_nothing(next_key):
    shared, users = jax.random.normal(next_key(), (4,)), jnp.arange(12.0).reshape(3, 4)
    every = jax.vmap(lambda shared, x: jnp.sum(shared * x), (None, 0))
    mesh = user_mesh(jax.devices()[:1])
    for where in (mesh, None):
        sharded = shard_users(every, where, user_args=[1])
        np.testing.assert_array_equal(sharded(shared, users), every(shared, users))
        total = shard_user_sum(
            lambda s, x, *, real: jnp.sum(every(s, x) * real), where, user_args=[1]
        )(shared, users)
        np.testing.assert_allclose(total, jnp.sum(every(shared, users)), rtol=1e-6)


def test_padding_marks_what_it_adds():
    padded, real = pad_users({"scores": jnp.arange(5)}, multiple=4)
    assert padded["scores"].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert real.tolist() == [True] * 5 + [False] * 3
    _, real = pad_users(jnp.arange(8), multiple=4)
    assert real.tolist() == [True] * 8


def test_arguments_with_different_numbers_of_users_are_an_error():
    mesh = user_mesh(jax.devices()[:1])
    add = shard_users(lambda a, b: a + b, mesh, user_args=[0, 1])
    with pytest.raises(ValueError, match=r"\{0: 3, 1: 4\} differ.*user_args"):
        add(jnp.ones(3), jnp.ones(4))
    with pytest.raises(ValueError, match=r"lengths \[3, 4\].*argument of its own"):
        add({"a": jnp.ones(3), "b": jnp.ones(4)}, jnp.ones(3))


def test_a_data_axis_that_does_not_divide_the_devices_is_an_error():
    with pytest.raises(ValueError, match=r"data=2 does not divide the 1 devices"):
        user_mesh(jax.devices()[:1], data=2)
