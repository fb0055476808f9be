"""Multi-task experiments made small, with a backbone of one layer."""

import experiments
import flax.linen as nn
import pytest

from jiaa.models import backbones, pretrained


class Tiny(nn.Module):
    """Mean colours in place of a backbone: those are tested in tests/models."""

    num_classes: int = 8
    minimum_size = 8

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        pooled = nn.Dense(6, name="dense")(x.mean((1, 2)))
        logits = nn.Dense(self.num_classes, name="classifier")(pooled)
        return {"pooled": pooled, "logits": logits, "stages": {"maps": x}}


@pytest.fixture(autouse=True)
def tiny_backbone(monkeypatch):
    """`make_tiny`, for one test."""
    make_tiny(monkeypatch)


def make_tiny(patch):
    """Makes "tiny" a backbone."""
    patch.setitem(backbones.BACKBONES, "tiny", Tiny)
    patch.setitem(pretrained.SPECS, "tiny", pretrained.SPECS["resnet18"])


def shrink(config):
    """`config` on a small embedded world, with the tiny backbone; changed in place."""
    with config.unlocked():
        if config.second.task == "column":
            config.second.column = "content"
        for field in list(config.data):
            config.data[field] = None
        world = {**experiments.SIZES, "name": "synthetic", "root": "", "cache_dir": ""}
        config.data.update({**world, "image_size": 24})
        config.second.update(
            {"name": "synthetic", "users": 20, "images": 40, "shown": 12, "likes": 3}
        )
        config.second.update({"voters": 7, "image_size": 24})
        config.second.train_images = min(config.second.train_images, 8)
        config.model.update({"backbone": "tiny", "weights": "random"})
        config.model.backbone_options = {}
        config.model.hidden = config.model.hidden and (4,)
        config.view.size = 16 if config.view.size else 0
        config.trunk.update({"taps": (), "sizes": (), "five_crops": 0})
        if config.trunk.frozen:
            config.trunk.map_options = {"weights": (1.0,), "waves": 2}
        config.generic.update({"steps": 1, "batch_size": 4, "save_every": 1})
        config.evaluate.update({"shots": (2,), "repeats": 2, "strategy": "vmap"})
    return config.lock()
