"""A shipped experiment on the tiny folder, with a backbone that compiles in no time."""

import experiments
import pytest
from experiments import finished_run, glancing, tiny_world

__all__ = ["finished_run", "tiny_world"]


@pytest.fixture
def glance():
    """The backbone "glance" is known, as a new architecture would be."""
    with glancing():
        yield


@pytest.fixture
def small(glance, tiny_world):
    """Experiment by name -> its config on the tiny folder, with the quick backbone."""
    return lambda name, **changes: experiments.glance_at(name, tiny_world, **changes)
