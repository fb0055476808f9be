"""A shipped experiment on the tiny folder, with a backbone that compiles in no time."""

import experiments
import pytest
from experiments import finished_run, glancing, tiny_world

from jiaa.models import pretrained

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


@pytest.fixture(scope="module")
def read_once():
    """A network's published weights are read and converted once, whoever loads."""
    kept, read = {}, pretrained.load_pretrained

    def load(path, network):
        if path not in kept:
            kept[path] = read(path, network)
        return kept[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "load_pretrained", load)
        yield
