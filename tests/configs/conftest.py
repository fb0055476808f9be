"""The tiny folder dataset that every experiment is tried on."""

import jax
import pytest
from experiments import tiny_world

__all__ = ["tiny_world"]


@pytest.fixture(autouse=True, scope="package")
def _compiled_in_a_hurry():
    """Each program here runs a few times: most of the time goes to compiling it."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
