"""Shipped experiments made small: the same methods on fewer of everything."""

import contextlib
import dataclasses
import fcntl
import importlib
import inspect
import os
import shutil
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.cli import run
from jiaa.data import synthetic
from jiaa.data.feature_file import write_features
from jiaa.models import pretrained
from jiaa.models.backbones import (
    BACKBONES,
    alexnet,
    efficientnet_lite,
    inception_bn,
    inception_v3,
    resnet,
    squeezenet,
    vgg,
)
from jiaa.models.backbones.inception_v3 import Fork, Unit

ROOT = Path(__file__).resolve().parents[1]
TRAIN_IMAGES = 24
SIZES = {
    "train_users": 5,
    "test_users": 2,
    "train_images": TRAIN_IMAGES,
    "raters_per_image": 3,
    "test_ratings": (7, 8),
}
# Pixels stored and shown: little more than each architecture's least.
PIXELS = {"alexnet": (72, 64), "inception_v3": (80, 76)}
# Of Inception's eleven blocks: two branches of convolutions, and one that pools.
INCEPTION = ("Mixed_6a",)
INCEPTION_BN = ("inception_3a", "inception_3c")  # and 5b, as PAM trims it
# Of SqueezeNet's eight modules: one of each width, with the stages that are tapped.
SQUEEZENET = ("fire2", "fire4", "fire7", "fire9")
NARROWER = 8
FEATURES = "features.npz"  # of the tiny world's images, as if computed elsewhere


def names(program: str | None = None) -> list[str]:
    """The experiments of one program, as "method/dataset_backbone".

    None: those of `configs/common.py`.
    """
    files = sorted((ROOT / "configs").glob("*/*.py"))
    every = [f"{x.parent.name}/{x.stem}" for x in files if not x.stem.startswith("_")]
    return [name for name in every if load(name).get("program") == program]


def module_of(name):
    """The module of an experiment."""
    return importlib.import_module("configs." + name.replace("/", "."))


def variants(name):
    """What may follow the colon in --config; only None where there is no choice."""
    module = module_of(name)
    if not inspect.signature(module.get_config).parameters:
        return [None]
    table2 = module_of("ba_piaa/synthetic_table2").BACKBONES
    return list(getattr(module, "VARIANTS", table2))


def load(name, variant=None):
    """The experiment's config, as `--config` makes it."""
    get_config = module_of(name).get_config
    if variant is None and inspect.signature(get_config).parameters:
        variant = variants(name)[0]
    return get_config() if variant is None else get_config(variant)


def made_once(tmp_path_factory, name, make):
    """A folder that `make(folder)` fills: once, whichever of xdist's workers asks."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which all workers of this run share
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory):
    """A folder dataset of 80 px images, with users held out by images.csv.

    And a file of features of its images.
    """

    def make(folder):
        sizes = {**SIZES, "gold_images": 0}
        view = synthetic.flickr_aes_view(seed=0, image_size=80, workers=1, **sizes)
        synthetic.write_folder(view, folder)
        names = [x.name for x in sorted((folder / "images").iterdir())]
        features = np.random.default_rng(0).normal(size=(len(names), 6))
        write_features(folder / FEATURES, names, features)

    return made_once(tmp_path_factory, "world", make)


@pytest.fixture
def shallow(monkeypatch):
    """`make_shallow`, for one test."""
    make_shallow(monkeypatch.setattr)


def make_shallow(set_attribute=setattr):
    """Takes layers and channels from the backbones; tests/models has all of them.

    Most of a step's time here goes to tracing and compiling one layer after another.
    """
    narrow = {name: _narrower(inception_v3.BLOCKS[name]) for name in INCEPTION}
    set_attribute(inception_v3, "BLOCKS", narrow)
    set_attribute(inception_v3, "STEM", _narrower(inception_v3.STEM))
    few = {name: _narrower(inception_bn.BLOCKS[name]) for name in INCEPTION_BN}
    set_attribute(inception_bn, "BLOCKS", few)
    set_attribute(inception_bn, "STEM", _narrower(inception_bn.STEM))
    layers = [(x[0] // NARROWER, *x[1:]) for x in alexnet.LAYERS]
    set_attribute(alexnet, "LAYERS", layers)
    set_attribute(alexnet, "DENSE", 16)
    groups = [
        x._replace(blocks=1, features=x.features // NARROWER)
        for x in efficientnet_lite.GROUPS
    ]
    set_attribute(efficientnet_lite, "GROUPS", groups)
    set_attribute(efficientnet_lite, "HEAD", 16)
    fires = {name: squeezenet.FIRES[name] for name in SQUEEZENET}
    set_attribute(squeezenet, "FIRES", fires)
    set_attribute(resnet, "BLOCKS", (1, 1, 1, 1))
    set_attribute(vgg, "BLOCKS", ((1,),) * 5)


def _narrower(part):
    """A unit, or nested tuples of units, with an eighth of the channels."""
    if isinstance(part, Unit):
        return part._replace(features=part.features // NARROWER)
    if isinstance(part, Fork):
        return Fork(_narrower(part.units))
    nested = isinstance(part, tuple) and not hasattr(part, "_fields")
    return tuple(map(_narrower, part)) if nested else part


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


@contextlib.contextmanager
def glancing():
    """Registers the backbone "glance" while open."""
    spec = dataclasses.replace(pretrained.SPECS["squeezenet"], feature_dim=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "glance", Glance)
        patch.setitem(pretrained.SPECS, "glance", spec)
        yield


def glance_at(name, world, **changes):
    """The experiment's config on the folder `world`, with the backbone "glance"."""
    config = load(name)
    with config.unlocked():
        config.model.backbone = "glance"
        if config.trunk.taps:
            config.trunk.taps = (("logits",), ("fire.mean", "fire.std"))
        if config.trunk.map_options.get("weights"):
            config.trunk.map_options.weights = (1.0, 0.5)
    shrink(config, world)
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config


@pytest.fixture(scope="session")
def finished_run(tiny_world, tmp_path_factory):
    """The workdir of BA-PIAA on the tiny folder, trained."""

    def make(workdir):
        with glancing():
            config = glance_at("ba_piaa/oasis_squeezenet_one_view", tiny_world)
            run.train(config, workdir, progress=False)

    return made_once(tmp_path_factory, "ba", make)


def shrink(config, world):
    """`config` on the folder `world`, or the embedded world as small; changed in place.

    Two users a step, four ratings to learn from and three to be measured on, one or two
    steps, narrow layers. What makes the method itself stays.
    """
    with config.unlocked():
        _shrink_data(config, world)
        _shrink_model(config)
        _shrink_trunk(config)
        config.update_from_flattened_dict(
            {
                "generic.steps": min(config.generic.steps, 1),
                "generic.batch_size": 4,
                "inner.batch_size": None,
                "meta.steps": 2 * bool(config.meta.steps),
                "meta.users_per_step": 2,
                "meta.iterations_per_dispatch": 1,
                "meta.sampling": {"support": 4, "query": 3, "fraction": 0.6},
                "meta.save_every": 2,
                "meta.log_every": 1,
                "evaluate.shots": (2,),
                "evaluate.repeats": 2,
            }
        )
        if config.meta.outer == "blg":  # maml's inner level is adapt's
            config.meta.inner_steps = 1
        if "strangers" in config.adapt.options:
            config.adapt.options.strangers.episodes = 16
        if "steps" in config.adapt:
            config.adapt.steps = 2
    return config.lock()


def _shrink_data(config, world):
    config.data.cache_dir = ""
    stored, shown = PIXELS.get(config.model.backbone, (40, 32))
    if not isinstance(config.data.image_size, int):
        stored, shown = (40, 48), 32
    config.data.image_size = stored
    config.view.size = shown if config.view.size else 0
    if config.data.name.startswith("synthetic"):
        for name, size in SIZES.items():
            config.data[name] = size
        return
    if config.data.name == "flickr_aes":
        config.data.name = "folder"  # the format differs, not what is learned
    config.data.root = str(world)
    if config.data.features:
        config.data.features = str(world / FEATURES)
    config.data.scale = (1, 5)
    config.data.progress = False


def _shrink_model(config):
    config.model.weights = "random"
    options = {"num_classes": 8}
    if config.model.backbone == "resnet18":
        options["width"] = 4
    config.model.backbone_options = options
    if config.model.backbone == "none":
        config.model.weights, config.model.backbone_options = "", {}
    if config.model.head == "warped":
        config.model.head_options.shared = TRAIN_IMAGES
    elif config.model.head != "linear":
        config.model.head_options = {
            "hidden": (8, 4)[: 1 + (config.model.head != "pooled")]
        }
    if config.model.backbone in PIXELS and config.meta.steps:
        config.generic.steps = 0  # it trains in BA-PIAA's config, slow to compile


def _shrink_trunk(config):
    if config.trunk.sizes:
        sizes = ((40, 48), 32)  # five crops have one of these shapes
        config.trunk.sizes = sizes[: len(config.trunk.sizes)]
    if config.trunk.five_crops:
        config.trunk.five_crops = 32
    if config.trunk.map == "kernel":
        config.trunk.map_options.waves = 16
