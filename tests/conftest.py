"""Strict numerics, the CPU, and the real data where it is at hand."""

import gc
import itertools
import os
import tempfile
from pathlib import Path

# Before JAX makes its backend: the CPU unless the caller chose otherwise.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest

# Tests compile many programs alike: each process keeps its own for as long as it lives.
# A cache is executable code, so it is private, and none is read from elsewhere or left.
programs = tempfile.TemporaryDirectory(prefix="jiaa-programs-")
jax.config.update("jax_compilation_cache_dir", programs.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Tracing makes objects by the million: looked through less often, they cost less.
gc.set_threshold(50_000, 20, 20)


def pytest_addoption(parser):
    """`--all`: what a cheaper test holds as well, too."""
    parser.addoption("--all", action="store_true", help="tests marked slow as well")


def pytest_collection_modifyitems(config, items):
    """The longest first, of each worker's share; slow ones only with --all."""
    if not config.getoption("--all"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    # xdist deals halves of the list to two workers: one long test to each in turn.
    longest = [item for item in items if item.get_closest_marker("longest")]
    others = [item for item in items if not item.get_closest_marker("longest")]
    half = len(others) // 2
    items[:] = longest[::2] + others[:half] + longest[1::2] + others[half:]


def pytest_runtest_setup(item):
    """Skip the tests marked `gpu` where JAX sees none."""
    # Not `item.keywords`: they hold the names of folders as well.
    if item.get_closest_marker("gpu") and jax.default_backend() != "gpu":
        pytest.skip(f"needs a GPU; JAX runs on the {jax.default_backend()} here")


@pytest.fixture
def next_key():
    """A function that returns a new PRNG key at each call; every run has the same."""
    numbers = itertools.count()
    root = jax.random.key(0)
    return lambda: jax.random.fold_in(root, next(numbers))


@pytest.fixture
def rng():
    """A NumPy generator, seeded."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that JIAA_DATA names, or `../shared/data` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("JIAA_DATA") or beside)
    if not root.is_dir():
        pytest.skip(
            f"no real data: {root} is no folder. Set JIAA_DATA to the folder that "
            "holds oasis/, ava/, aadb/, flickr_aes/ and pccd/."
        )
    return root


def _within(root: Path, name: str) -> Path:
    folder = root / name
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is no folder (JIAA_DATA is {root})")
    return folder


@pytest.fixture(scope="session")
def oasis_root(data_root) -> Path:
    """The OASIS photographs and ratings (a folder dataset)."""
    return _within(data_root, "oasis")


@pytest.fixture(scope="session")
def weights_root(data_root) -> Path:
    """The folder of pretrained weights, beside the data folder."""
    return _within(data_root.parent, "weights")
