"""Variables survive a file bit for bit, and a half-written one is refused."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models import variables
from jiaa.models.variables import load_variables, save_variables

TREE = {
    "params": {
        "backbone": {"conv1": {"kernel": np.arange(12.0).reshape(3, 4)}},
        "head": {"bias": np.float32(0.5), "empty": np.zeros((0, 7), np.float32)},
    },
    "batch_stats": {"norm": {"count": np.int32(3)}},
}


def test_a_tree_reads_back_as_it_was_written(tmp_path):
    file = tmp_path / "new" / "prior.safetensors"
    save_variables(file, TREE)
    read = load_variables(file)
    assert jax.tree.structure(read) == jax.tree.structure(TREE)
    jax.tree.map(np.testing.assert_array_equal, read, TREE)
    for before, after in zip(jax.tree.leaves(TREE), jax.tree.leaves(read), strict=True):
        assert after.dtype == before.dtype


def test_numbers_stay_numbers_without_an_axis(tmp_path):
    save_variables(tmp_path / "a", {"bias": jnp.float32(2.0), "step": jnp.zeros(())})
    assert {k: x.shape for k, x in load_variables(tmp_path / "a").items()} == {
        "bias": (),
        "step": (),
    }


def test_transposed_and_device_arrays_keep_their_order(tmp_path):
    strided = np.arange(6.0).reshape(2, 3).T
    save_variables(tmp_path / "a", {"numpy": strided, "jax": jnp.asarray(strided).T})
    read = load_variables(tmp_path / "a")
    np.testing.assert_array_equal(read["numpy"], strided)
    np.testing.assert_array_equal(read["jax"], strided.T)


def test_the_same_variables_give_the_same_bytes(tmp_path):
    shuffled = dict(reversed(TREE.items()))
    save_variables(tmp_path / "a", TREE)
    save_variables(tmp_path / "b", shuffled)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_truncated_file_is_refused_by_name(tmp_path, length):
    file = tmp_path / "prior.safetensors"
    save_variables(file, TREE)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"prior\.safetensors is no whole .*again"):
        load_variables(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors does not exist"):
        load_variables(tmp_path / "nowhere.safetensors")


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "prior.safetensors"
    save_variables(file, TREE)
    before = file.read_bytes()

    def full(arrays, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(variables, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        save_variables(file, {"params": {"w": np.zeros(3)}})
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["prior.safetensors"]
