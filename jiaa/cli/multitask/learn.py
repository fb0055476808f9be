"""Training of a multi-task network: its steps, its start, and what they are fed."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jiaa.cli import build, devices, learners
from jiaa.cli.learn import foresee, merged, open_workdir, train_stage
from jiaa.cli.multitask import data as sources_of
from jiaa.cli.multitask import feeding
from jiaa.cli.multitask.network import Problem, problem
from jiaa.cli.multitask.predict import changing, entrance, features
from jiaa.cli.options import Config
from jiaa.cli.problem import PRIOR_FILE, Learned, mapped, save
from jiaa.cli.trunks import initial_beside
from jiaa.models.personality import AESTHETICS
from jiaa.train import processes
from jiaa.train.mesh import replicate
from jiaa.train.multitask import (
    Labelled,
    MultiTaskStep,
    Source,
    source_optimizers,
)
from jiaa.types import ImageStore


def train(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains all tasks, or goes on where a killed run stopped; returns what it learned.

    Every task's batch is spread over all devices; of several processes, which share the
    workdir, the first one writes there.
    """
    mesh = devices.for_batch(config.generic.batch_size, "generic.batch_size")
    with open_workdir(config, workdir) as opened:
        target = Path(workdir) / PRIOR_FILE
        if processes.agreed(target.is_file()):
            return target
        found = problem(config, progress=progress)
        if found.second is not None and "test" in found.dataset.tasks:
            foresee(config, found.dataset)
        learned = _start(config, found, progress=progress)
        sources = _sources(config, found)
        labelled = _given(config, found, learned, sources, progress=progress)
        fed = feeding.feed(config, labelled, mesh)
        step = _step(config, found, tuple(sources), mesh)
        run = jax.jit(step, donate_argnums=0)

        def train_step(state, batch):
            return run(state, processes.whole_batch(batch, mesh), fed.resident)

        prior = processes.from_first(changing(config, learned))
        state = step.init_state(prior, key=jax.random.key(config.seed))
        state = train_stage(
            config,
            "generic",
            replicate(state, mesh),
            train_step,
            fed.batches,
            opened,
            name=f"train {config.method}",
            progress=progress,
        )
        if processes.is_first():
            save(merged(learned, state), target)
        processes.wait_for_all("trained")
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


def _start(config: Config, found: Problem, *, progress: bool) -> Learned:
    """Initial variables; behind a frozen trunk, with its map and fitting branches."""
    key = jax.random.key(config.seed)
    whole = build.initial_variables(config, found.network, key=key)
    if not config.trunk.frozen:
        return Learned(whole)
    learned = Learned(whole, beside=initial_beside(config))
    learned = mapped(config, found.network, found.dataset, learned, progress=progress)
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
    return dataclasses.replace(learned, variables=variables)


def _given(
    config: Config,
    found: Problem,
    learned: Learned,
    sources: Mapping[Source, Labelled],
    *,
    progress: bool,
) -> dict[str, Labelled]:
    """Each source's images, or behind a frozen trunk their features."""
    given = {source.name: labelled for source, labelled in sources.items()}
    if not config.trunk.frozen:
        return given
    for name, labelled in given.items():
        ids = np.unique(np.asarray(labelled.image_ids))
        options = {"progress": progress}
        store = labelled.store
        rows = features(config, found.network, store, learned, ids, **options)
        given[name] = dataclasses.replace(labelled, store=ImageStore(features=rows))
    return given


def _step(
    config: Config, found: Problem, parts: tuple[Source, ...], mesh: Mesh | None
) -> MultiTaskStep:
    view, method = entrance(config)
    groups, make = learners.optimizer_groups(config, "generic")
    mode = config.generic.mode
    return MultiTaskStep(
        functools.partial(found.network.apply, method=method),
        view.learning,
        parts,
        source_optimizers(parts, groups, make=make, mode=mode),
        mode,
        mesh,
    )
