"""Training of a multi-task network, and what it predicts of photographs."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree
from tqdm import tqdm

from jiaa.cli import build, learners
from jiaa.cli.learn import open_workdir
from jiaa.cli.multitask import data as sources_of
from jiaa.cli.multitask import feeding
from jiaa.cli.multitask.data import SECOND
from jiaa.cli.multitask.second import Second, second_task
from jiaa.cli.options import Config, ConfigError, construct, expected
from jiaa.cli.problem import PRIOR_FILE, Learned, compute_features, load, mapped, save
from jiaa.data import Dataset
from jiaa.models import personality
from jiaa.models.backbones import create_backbone
from jiaa.models.kong import ATTRIBUTES, CONTENT, KongNet
from jiaa.models.personality import AESTHETICS
from jiaa.models.views import FeatureView, View
from jiaa.train.loop import fit
from jiaa.train.multitask import (
    Labelled,
    MultiTaskStep,
    Source,
    source_optimizers,
)
from jiaa.types import ImageStore

TASKS = (AESTHETICS, SECOND)


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What a config learns from: its databases and the network.

    Attributes:
      dataset: of the aesthetic task, whose users are personalised.
      second: the second task, if there is one.
      network: with a branch for each task that is trained.
    """

    dataset: Dataset
    second: Second | None
    network: nn.Module


@dataclasses.dataclass(frozen=True, eq=False)
class Fed:
    """How content enters the network: the view, the method, and the map before it."""

    view: View
    method: str


def problem(config: Config, *, progress: bool) -> Problem:
    """The databases and the network of a config.

    Raises:
      ConfigError: tasks that there are not, or options that do not fit.
    """
    tasks = tuple(config.generic.tasks)
    if not tasks or set(tasks) - set(TASKS):
        raise ConfigError(
            f"config.generic.tasks is {tasks!r}; expected some of {TASKS}"
        )
    dataset = build.dataset(config, progress=progress)
    second = None
    if SECOND in tasks:
        second = second_task(config, dataset, progress=progress)
    if SECOND in tasks and second is None:
        raise ConfigError(
            "config.generic.tasks names 'second', and config.second.task is 'none'; "
            "take one of them back"
        )
    return Problem(dataset, second, _network(config, dataset, second))


def _network(config: Config, dataset: Dataset, second: Second | None) -> nn.Module:
    """The network of `config.model`: a `MultiTask`, or one of Kong's."""
    section = build.plain(config.model)
    if section["kong"]:
        return _kong(config, dataset)
    shared = {name: section[name] for name in ("hidden", "batch_norm", "dropout")}
    branches: dict[str, dict[str, Any]] = {}
    if AESTHETICS in config.generic.tasks:
        bins = 1
        if section["aesthetics"] == "softmax":
            shares = sources_of.crowd(dataset, "train").distribution(dataset.name)
            bins = shares.shape[1]
        options = {"outputs": bins, "output": section["aesthetics"]}
        branches[AESTHETICS] = {**shared, **options}
    if second is not None:
        branches[second.name] = {
            **shared,
            "outputs": len(second.outputs),
            "output": second.output,
            "output_norm": section["output_norm"],
        }
    for options in branches.values():
        # A linear branch starts where every image is alike, as a closed form would.
        options["zero"] = not section["hidden"]
    return construct(
        "model",
        personality.create_multi_task,
        backbone=section["backbone"],
        backbone_options=section["backbone_options"],
        tap=section["tap"],
        branches=branches,
    )


def _kong(config: Config, dataset: Dataset) -> nn.Module:
    """Kong's network, with as many attributes and contents as the dataset labels.

    Raises:
      ConfigError: a part that there is not, or one that the others do not go with.
    """
    section = build.plain(config.model)
    parts = section["kong"]
    if set(parts) - set(sources_of.KONG):
        raise ConfigError(
            f"config.model.kong is {parts!r}; expected some of {sources_of.KONG}"
        )
    alone = tuple(config.generic.tasks) == (AESTHETICS,)
    if not alone or config.trunk.frozen or section["aesthetics"] != "sigmoid":
        raise ConfigError(
            "config.model.kong needs config.generic.tasks=('aesthetics',), "
            "config.model.aesthetics='sigmoid' and a trunk that is not frozen"
        )
    labels = sources_of.kong_labels(dataset, parts)
    return construct(
        "model",
        KongNet,
        backbone=create_backbone(section["backbone"], **section["backbone_options"]),
        attributes=labels[ATTRIBUTES].shape[1] if ATTRIBUTES in labels else 0,
        contents=labels[CONTENT].shape[1] if CONTENT in labels else 0,
        hidden=section["hidden"][-1],
        tap=section["tap"],
    )


def train(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains all tasks, or goes on where a killed run stopped.

    Returns the path of what was learned; a finished workdir is left as it is.
    """
    with open_workdir(config, workdir) as opened:
        target = Path(workdir) / PRIOR_FILE
        if target.is_file():
            return target
        found = problem(config, progress=progress)
        learned = _start(config, found, progress=progress)
        parts = _sources(config, found)
        labelled = {
            source.name: _given(config, found, learned, given, progress=progress)
            for source, given in parts.items()
        }
        fed = feeding.feed(config, labelled)
        step = _step(config, found, tuple(parts), _fed(config))
        key = jax.random.key(config.seed)
        run = jax.jit(step, donate_argnums=0)
        opened.record()
        state = fit(
            step.init_state(_trained(config, learned), key=key),
            lambda state, batch: run(state, batch, fed.resident),
            fed.batches,
            num_steps=config.generic.steps,
            workdir=opened,
            save_every=config.generic.save_every,
            log_every=config.generic.log_every,
            name=f"train {config.method}",
            progress=progress,
        )
        old, new = learned.variables, jax.device_get(state.prior)
        merged = {part: {**old[part], **new[part]} for part in new}
        save(Learned(merged, learned.feature_map), target)
    return target


def _sources(config: Config, found: Problem) -> dict[Source, Labelled]:
    """What is learned, and from which images."""
    parts = {}
    if AESTHETICS in config.generic.tasks:
        source = sources_of.aesthetic_source(config)
        kong = tuple(config.model.kong)
        parts[source] = sources_of.aesthetics(found.dataset, kong)
    if found.second is not None:
        parts[sources_of.second_source(config, found.second)] = found.second.data
    return parts


def _fed(config: Config) -> Fed:
    if config.trunk.frozen:
        return Fed(FeatureView(), "outputs")
    return Fed(build.image_view(config), "__call__")


def _start(config: Config, found: Problem, *, progress: bool) -> Learned:
    """Initial variables; behind a frozen trunk, with its map and fitting branches."""
    key = jax.random.key(config.seed)
    whole = build.initial_variables(config, found.network, key=key)  # pyright: ignore
    if not config.trunk.frozen:
        return Learned(whole)
    learned = mapped(config, found.network, found.dataset, whole, progress=progress)
    ids = found.dataset.generic_ids()[:2]
    rows = features(config, found.network, found.dataset.store, learned, ids)
    heads: Any = found.network.init(
        jax.random.fold_in(key, 1), jnp.asarray(rows[ids]), method="outputs"
    )
    trunk = {part: whole[part].get("backbone", {}) for part in whole}
    variables = {
        part: {**heads.get(part, {}), **({"backbone": tree} if tree else {})}
        for part, tree in trunk.items()
    }
    return Learned(variables, learned.feature_map)


def _trained(config: Config, learned: Learned) -> PyTree:
    """The variables that steps may change: without a frozen trunk's."""
    if not config.trunk.frozen:
        return learned.variables
    return {
        part: {name: x for name, x in tree.items() if name != "backbone"}
        for part, tree in learned.variables.items()
    }


@dataclasses.dataclass(frozen=True, eq=False)
class _Shown:
    """As much of a dataset as computing features takes."""

    store: ImageStore


def features(
    config: Config,
    network: nn.Module,
    store: ImageStore,
    learned: Learned,
    ids: Int[np.ndarray, " needed"],
    *,
    progress: bool = False,
) -> Float[np.ndarray, "image feature"]:
    """A frozen trunk's features, through its map; rows that `ids` lack are zero."""
    whole = learned.variables
    found, _ = compute_features(
        config, network, _Shown(store), whole, image_ids=ids, progress=progress
    )
    found = np.asarray(found)
    if learned.feature_map is None:
        return found
    mapped_rows = np.asarray(learned.feature_map(found[ids]))
    result = np.zeros((len(found), mapped_rows.shape[1]), np.float32)
    result[ids] = mapped_rows
    return result


def _given(config, found: Problem, learned, given: Labelled, *, progress) -> Labelled:
    """A source's images, or behind a frozen trunk their features."""
    if not config.trunk.frozen:
        return given
    ids = np.unique(np.asarray(given.image_ids))
    options = {"progress": progress}
    rows = features(config, found.network, given.store, learned, ids, **options)
    return dataclasses.replace(given, store=ImageStore(features=rows))


def _step(config: Config, found: Problem, parts: tuple[Source, ...], fed: Fed):
    section = config.generic
    groups, make = learners.optimizer_groups(config, "generic")
    modes = ("joint", "alternating")
    if section.mode not in modes:
        raise ConfigError(
            f"config.generic.mode is {section.mode!r}; {expected(section.mode, modes)}"
        )
    return MultiTaskStep(
        functools.partial(found.network.apply, method=fed.method),
        fed.view.learning,
        parts,
        source_optimizers(parts, groups, make=make, mode=section.mode),
        section.mode,
    )


def predict(
    config: Config,
    network: nn.Module,
    learned: Learned,
    store: ImageStore,
    *,
    ids: Int[np.ndarray, " image"],
    batch_size: int = 100,
    progress: bool = True,
) -> dict[str, Float[np.ndarray, "needed output"]]:
    """Every branch's outputs of the images `ids`, in that order."""
    fed, variables = _fed(config), learned.variables
    if config.trunk.frozen:
        rows = features(config, network, store, learned, np.unique(ids))
        store, variables = ImageStore(features=rows), _trained(config, learned)

    @jax.jit
    def outputs(variables, content):
        return network.apply(variables, fed.view.predicting(content), method=fed.method)

    parts = []
    starts = range(0, len(ids), batch_size)
    for start in tqdm(starts, desc="predict", unit="batch", disable=not progress):
        rows = ids[start : start + batch_size]
        full = np.pad(rows, (0, batch_size - len(rows)), mode="edge")
        found = outputs(variables, jnp.asarray(store.content[full]))
        parts.append({k: np.asarray(x)[: len(rows)] for k, x in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def learned_in(workdir: str | os.PathLike[str]) -> Learned:
    """What a finished run has learned.

    Raises:
      FileNotFoundError: its training has not finished.
    """
    return load(workdir)
