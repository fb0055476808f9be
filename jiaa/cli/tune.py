"""Teaches a trunk the training raters' tastes, before configs freeze it.

`config.tune` says how. The weights go to WORKDIR/trunk.safetensors under torchvision's
names, and then to the experiments as `config.model.weights`.
"""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jiaa.cli import build
from jiaa.cli.options import Config, ConfigError
from jiaa.data import Dataset, loader
from jiaa.data import store as data_store
from jiaa.models import export, feature_map, trunk
from jiaa.models.generic import Aesthetic
from jiaa.models.views import ImageView
from jiaa.train import optimizers
from jiaa.train.loop import fit
from jiaa.train.state import create_train_state
from jiaa.train.trunk_steps import TrunkStep, tastes
from jiaa.train.workdir import Workdir

TRUNK_FILE = "trunk.safetensors"
MAY_DIFFER = ("data.root", "data.cache_dir", "model.weights")


def tune(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains the trunk, or goes on where a killed run stopped; the weights' path.

    Raises:
      ConfigError: the config has no section `tune`, or no kernel map to tune for; or
        there are several processes; or the photographs are not to be kept.
    """
    if jax.process_count() > 1:
        raise ConfigError(
            f"{jax.process_count()} processes; the trunk is tuned by one. Start "
            "scripts/tune_trunk.py alone"
        )
    if "tune" not in config or config.trunk.map != "kernel":
        raise ConfigError(
            f"config.trunk.map={config.trunk.map!r}, with"
            f"{'' if 'tune' in config else 'out'} config.tune; expected the map "
            "'kernel' and a section tune, as in "
            "configs/ba_piaa/_oasis_squeezenet_trunk.py"
        )
    if config.data.get("features"):
        raise ConfigError(
            f"config.data.features={config.data.features!r} leaves no trunk to tune; "
            "set it to None"
        )
    if config.data.get("images") == "stream":
        raise ConfigError(
            "config.data.images='stream'; tuning draws a rater's photographs on the "
            "device, where all of them have to be. Expected 'device' or None"
        )
    recorded = {n: build.plain(config[n]) for n in ("data", "model", "trunk", "tune")}
    with Workdir(
        workdir, config={**recorded, "seed": config.seed}, may_differ=MAY_DIFFER
    ) as opened:
        target = Path(workdir) / TRUNK_FILE
        if target.is_file():
            return target
        network = build.model(config)
        dataset = build.dataset(config, progress=progress)
        params = _trained(config, network, dataset, opened, progress)
        backbone: Any = network.backbone
        export.save_state_dict(target, {"params": params}, backbone)
    return target


def _trained(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    workdir: Workdir,
    progress: bool,
) -> PyTree:
    """The backbone's parameters after `config.tune.steps`."""
    section = config.tune
    whole = build.initial_variables(config, network, key=jax.random.key(config.seed))
    if jax.tree.leaves(whole["batch_stats"]):
        raise ConfigError(
            f"config.model.backbone={config.model.backbone!r} has BatchNorm, whose "
            "statistics are not tuned; expected a backbone without, such as squeezenet"
        )
    tasks = dataset.split("train")
    known = tastes(
        tasks, images=len(dataset.store), spread=config.model.head_options["spread"]
    )
    blocks = _blocks(config, network, dataset, whole, progress)
    step = _step(config, network, blocks)
    compiled = jax.jit(step, donate_argnums=0)
    store = data_store.place(dataset.store)
    raters, known = jax.tree.map(jnp.asarray, (tasks, known))

    def iterate(state, user):
        return compiled(state, jnp.asarray(user)[0], raters, known, store)

    state = fit(
        create_train_state(
            {"params": whole["params"]["backbone"]},
            optimizer=step.optimizer,
            key=jax.random.key(config.seed),
        ),
        iterate,
        loader.index_batches(len(tasks), batch_size=1, seed=config.seed),
        num_steps=section.steps,
        workdir=workdir,
        save_every=section.save_every,
        name="tune the trunk",
        progress=progress,
    )
    return state.params


def _step(
    config: Config, network: Aesthetic, blocks: tuple[feature_map.Block, ...]
) -> TrunkStep:
    section = build.plain(config.tune)
    gamma = config.trunk.map_options.get("gamma", 1.0)
    taps = _taps(config)

    backbone: Any = network.backbone

    def kernel(params, inputs):
        outputs: Any = backbone.apply({"params": params}, inputs)
        pairs = zip(blocks, trunk.tapped(outputs, taps), strict=True)
        shares = [block.among(part, gamma) for block, part in pairs]
        return functools.reduce(jnp.add, shares)

    view = build.image_view(config)
    rate = optimizers.cosine(
        section["rate"], steps=section["steps"], warmup_steps=section["warmup_steps"]
    )
    return TrunkStep(
        kernel=kernel,
        prepare=ImageView(view.mean, view.std, section["size"]).learning,
        optimizer=optimizers.adamw(rate, weight_decay=section["weight_decay"]),
        batch_size=section["batch_size"],
        strengths=section["strengths"],
        crowd=section["crowd"],
    )


def _taps(config: Config) -> trunk.Taps:
    return build.plain(config.trunk)["taps"][: config.tune.blocks]


def _blocks(
    config: Config, network: Aesthetic, dataset: Dataset, whole: PyTree, progress: bool
) -> tuple[feature_map.Block, ...]:
    """How features are standardised and weighted in the kernel: as before the tuning.

    One whole view is enough to tell means and spreads.
    """
    ids = dataset.generic_ids()
    features, widths = trunk.trunk_features(
        dataset.store,
        model=network,
        variables={"params": {"backbone": whole["params"]["backbone"]}},
        views=(build.image_view(config),),
        taps=_taps(config),
        image_ids=ids,
        progress=progress,
    )
    fitted = feature_map.fit_feature_map(features[ids], widths=widths)
    assert fitted is not None
    options = build.plain(config.trunk.map_options)
    weights = np.asarray(options.get("weights") or [1.0] * len(widths), np.float32)
    shares = weights[: len(widths)] / weights[: len(widths)].sum()
    return tuple(
        dataclasses.replace(block, weight=np.asarray(share))
        for block, share in zip(fitted.blocks, shares, strict=True)
    )
