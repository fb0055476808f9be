"""A shipped experiment with a backbone that compiles in no time but has BatchNorm.

For runs in processes of their own, whose config file calls `register`.
"""

import dataclasses

import experiments
import flax.linen as nn
import jax.numpy as jnp

from configs.blg_piaa import flickr_aes_resnet18
from jiaa.models import pretrained
from jiaa.models.backbones import BACKBONES
from jiaa.models.normalization import BatchNorm


class Sketch(nn.Module):
    """One dense layer on the normalised mean colours of a 4 x 4 grid."""

    num_classes: int = 8
    convolution: str | None = None
    minimum_size = 8

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        options = {"mask": mask, "batch_statistics": batch_statistics}
        maps = BatchNorm(name="bn")(nn.avg_pool(x, (8, 8), strides=(8, 8)), **options)
        logits = nn.Dense(self.num_classes, name="dense")(jnp.mean(maps, axis=(1, 2)))
        return {"logits": logits, "pooled": nn.relu(logits), "stages": {"maps": maps}}


def register():
    """Adds the backbone "sketch", as a new architecture would be."""
    BACKBONES["sketch"] = Sketch
    spec = dataclasses.replace(pretrained.SPECS["resnet18"], feature_dim=8)
    pretrained.SPECS["sketch"] = spec


def unregister():
    """Leaves no trace of it for other tests."""
    del BACKBONES["sketch"], pretrained.SPECS["sketch"]


def config(world, **changes):
    """Nothing is frozen: crops, flips, dropout and BatchNorm in both stages.

    By SGD: where a gradient is 0 but for rounding (a bias before BatchNorm), Adam takes
    steps of full length in the direction of the rounding.
    """
    made = experiments.shrink(flickr_aes_resnet18.get_config(), world)
    with made.unlocked():
        made.model.backbone = "sketch"
        made.model.backbone_options = {"num_classes": 8}
        made.generic.update(steps=3, batch_size=16, log_every=1, optimizer="sgd")
        made.generic.rates = made.inner.rates = ((".*", 0.05),)
        made.meta.update(steps=4, users_per_step=4, inner_steps=2)
        made.inner.update(batch_norm="carry", optimizer="sgd")
        made.evaluate.repeats = 3
        made.update_from_flattened_dict(changes)
    return made.lock()
