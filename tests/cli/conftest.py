"""A shipped experiment on the tiny folder, with a backbone that compiles in no time."""

import dataclasses

import experiments
import flax.linen as nn
import jax.numpy as jnp
import pytest
from experiments import tiny_world

from jiaa.models import pretrained
from jiaa.models.backbones import BACKBONES

__all__ = ["tiny_world"]


class Glance(nn.Module):
    """One dense layer on the mean colours of a 4 x 4 grid."""

    num_classes: int = 8
    convolution: str | None = None
    minimum_size = 8

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        maps = nn.avg_pool(x, (8, 8), strides=(8, 8))
        logits = nn.Dense(self.num_classes, name="dense")(jnp.mean(maps, axis=(1, 2)))
        return {"logits": logits, "pooled": nn.relu(logits), "stages": {"fire": maps}}


@pytest.fixture
def glance(monkeypatch):
    """Registers the backbone "glance", as a new architecture would be."""
    monkeypatch.setitem(BACKBONES, "glance", Glance)
    spec = dataclasses.replace(pretrained.SPECS["squeezenet"], feature_dim=8)
    monkeypatch.setitem(pretrained.SPECS, "glance", spec)


@pytest.fixture
def small(glance, tiny_world):
    """Experiment by name -> its config on the tiny folder, with the quick backbone."""

    def make(name, **changes):
        config = experiments.load(name)
        with config.unlocked():
            config.model.backbone = "glance"
            if config.trunk.taps:
                config.trunk.taps = (("logits",), ("fire.mean", "fire.std"))
            if config.trunk.map == "kernel":
                config.trunk.map_options.weights = (1.0, 0.5)
        experiments.shrink(config, tiny_world)
        with config.unlocked():
            config.update_from_flattened_dict(changes)
        return config

    return make
