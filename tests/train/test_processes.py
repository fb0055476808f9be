"""In one process nothing is sent; tests/cli/test_devices.py runs two."""

import jax
import jax.numpy as jnp
import numpy as np

from jiaa.train import processes
from jiaa.train.mesh import user_mesh


def test_one_process_is_the_first_and_keeps_what_it_has():
    tree = {"a": jnp.arange(3), "b": np.ones(2)}
    assert processes.is_first()
    assert processes.from_first(tree) is tree
    assert processes.agreed(True)
    assert not processes.agreed(False)
    rows = np.arange(4)
    assert processes.whole_batch(rows, user_mesh(jax.devices()[:1])) is rows
    assert processes.whole_batch(rows, None) is rows


def test_one_process_waits_for_nobody():
    processes.wait_for_all("here")
    with processes.first_before_others("a file"):
        entered = True
    assert entered


def test_trees_come_to_the_host_as_they_are():
    tree = {"a": jnp.arange(3), "b": (np.ones(2), None)}
    got = processes.to_host(tree)
    assert type(got["a"]) is np.ndarray
    np.testing.assert_array_equal(got["a"], [0, 1, 2])
    np.testing.assert_array_equal(got["b"][0], [1, 1])
    assert got["b"][1] is None
