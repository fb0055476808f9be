"""torchvision as an oracle, importable beside a torch of any kind."""

import importlib.util
from pathlib import Path

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _compiled_in_a_hurry():
    """Each program here runs once or twice: most of the time goes to compiling it."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip(
        "torch", reason="needs the extra: pip install jiaa[torch]"
    )


@pytest.fixture(scope="session")
def torchvision(torch):
    """torchvision, also where its wheel is CUDA's and torch is not.

    Its operators in C++ then fail to load, and its import stops at the shape rules of
    two of them. They are defined here, without a body: no backbone detects objects.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None:
        pytest.skip("needs the extra: pip install jiaa[torch]")
    try:
        for library in Path(found.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(library))
    except OSError:
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", schema)
    import torchvision

    return torchvision
