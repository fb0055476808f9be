"""The two stages of training: the generic prior, and meta-learning over users."""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jiaa.cli import batches, build, devices, learners
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.problem import (
    PRIOR_FILE,
    Learned,
    Problem,
    fresh,
    load,
    make_problem,
    mapped,
    save,
)
from jiaa.cli.settings import FREE
from jiaa.data import DataError, Dataset
from jiaa.data.photographs import Photographs
from jiaa.data.tasks import check_shots
from jiaa.meta import bilevel
from jiaa.meta.inner import loss_function
from jiaa.meta.sequential import SequentialStep
from jiaa.models.generic import Aesthetic
from jiaa.personalize.blend import LOG_PRIOR, Blend
from jiaa.personalize.hyper_prior import learn_log_prior
from jiaa.train import processes
from jiaa.train.loop import fit
from jiaa.train.mesh import replicate
from jiaa.train.ridge import fit_ridge, held_out_scores
from jiaa.train.state import create_train_state
from jiaa.train.steps import CrowdScores, train_step
from jiaa.train.workdir import Workdir
from jiaa.types import ImageStore, TrainState, UserTasks

logger = logging.getLogger(__name__)

# What a resumed run may change: where files are, and what is done before or after.
MAY_DIFFER = (
    "prior",
    "tune",
    "evaluate",
    "fusion",
    *(f"{section}.{name}" for section, names in FREE.items() for name in names),
)
# Of no influence on a generic prior.
LATER = ("method", "inner", "meta", "adapt")


def open_workdir(
    config: Config, folder: str | os.PathLike[str], *, generic: bool = False
) -> Workdir:
    """The workdir of a run, or of the generic prior that it begins with; unrecorded."""
    return Workdir(
        folder,
        config=build.plain(config),
        may_differ=(*MAY_DIFFER, *LATER) if generic else MAY_DIFFER,
        record_at_once=False,
    )


def first_prior(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    folder: str | os.PathLike[str],
    *,
    progress: bool,
) -> Learned:
    """The prior that meta-training starts from, trained in `folder` if it has steps."""
    if not config.generic.steps:
        return fresh(config, network, dataset, progress=progress)
    with open_workdir(config, folder, generic=True) as workdir:
        target = Path(folder) / PRIOR_FILE
        if processes.agreed(target.is_file()):
            return load(folder)
        learned = generic_prior(config, network, dataset, workdir, progress=progress)
        if processes.is_first():
            save(learned, target)
    return learned


def generic_prior(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    workdir: Workdir,
    *,
    progress: bool,
) -> Learned:
    """BA-PIAA's prior: regression of each training image's mean score."""
    section = config.generic
    learned = fresh(config, network, dataset, progress=progress)
    if section.trains != "ridge":
        # A trunk that is frozen later may still be trained here, from images.
        here = config.copy_and_resolve_references()
        with here.unlocked():
            here.trunk.frozen = section.trains != "all"
        mesh = devices.for_batch(section.batch_size, "generic.batch_size")
        problem = _problem(here, network, dataset, learned, progress, mesh)
        learned = _regress(
            config, network, dataset, learned, problem, workdir, progress, mesh
        )
        if section.trains == "head" or not section.refit:
            return learned
        learned = mapped(config, network, dataset, learned, progress=progress)
    problem = _problem(config, network, dataset, learned, progress)
    learned = _solve(config, dataset, learned, problem)
    if config.adapt.kind == "blend" and config.adapt.learned:
        learned = _with_hyper_prior(config, network, dataset, learned, problem)
    workdir.record()
    return learned


def _problem(
    config, network, dataset: Dataset, learned: Learned, progress, mesh=None
) -> Problem:
    """What learners take of the photographs that training raters rated."""
    ids = dataset.generic_ids()
    if not len(ids):
        raise ConfigError(
            f"the dataset {dataset.name!r} has no training users; give config.data."
            "test_users, or a split in images.csv, that leaves some"
        )
    options = {"image_ids": ids, "progress": progress, "mesh": mesh}
    return make_problem(config, network, dataset, learned, **options)


def _regress(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    learned: Learned,
    problem: Problem,
    workdir: Workdir,
    progress: bool,
    mesh: Mesh | None,
) -> Learned:
    """`learned` after `config.generic.steps` gradient steps."""
    section, ids = config.generic, dataset.generic_ids()
    _check_batch(section.batch_size, len(ids))
    optimizer = learners.optimizer(config, "generic")
    crowd = CrowdScores(ids, dataset.mean_scores[ids], _weights(section, dataset))
    step = functools.partial(
        train_step,
        crowd=replicate(crowd, mesh),
        store=problem.store if batches.is_resident(problem.store) else None,
        apply=functools.partial(network.apply, method=problem.method),
        prepare=problem.view.learning,
        loss=loss_function(section.loss),
        optimizer=optimizer,
        mesh=mesh,
    )
    key = jax.random.key(config.seed)
    state = create_train_state(problem.prior, optimizer=optimizer, key=key)
    state = train_stage(
        config,
        "generic",
        replicate(state, mesh),
        lambda state, batch: step(state, processes.whole_batch(batch, mesh)),
        batches.of_images(config, problem.store, image_ids=ids, mesh=mesh),
        workdir,
        name="generic prior",
        progress=progress,
    )
    return merged(learned, state)


def _check_batch(size: int, images: int) -> None:
    if size > images:
        raise ConfigError(
            f"config.generic.batch_size={size} exceeds the {images} photographs that "
            f"training users rated; set it to {images} or less"
        )


def train_stage(
    config: Config,
    level: str,
    state: TrainState,
    step: Callable[..., Any],
    feed: grain.DatasetIterator,
    workdir: Workdir,
    *,
    name: str,
    progress: bool,
    steps_per_call: int = 1,
) -> TrainState:
    """`fit` as `config.<level>` says, on the batches `feed`, which are closed then.

    The workdir's config is recorded first.
    """
    section = config[level]
    workdir.record()
    with contextlib.closing(feed):
        return fit(
            state,
            step,
            feed,
            num_steps=section.steps,
            steps_per_call=steps_per_call,
            workdir=workdir,
            save_every=section.save_every,
            log_every=section.log_every,
            name=name,
            progress=progress,
        )


def _solve(
    config: Config, dataset: Dataset, learned: Learned, problem: Problem
) -> Learned:
    """The same regression for a linear head with weight decay, in closed form."""
    spread = config.model.head_options.get("spread", 1.0)
    slow, bias = fit_ridge(**_regression(config, dataset, problem, spread))
    whole, head = learned.variables, problem.prior["params"]["head"]
    head = {**head, "slow": slow, "bias": np.float32(bias * spread)}
    params = {**whole["params"], "head": head}
    return dataclasses.replace(learned, variables={**whole, "params": params})


def _regression(config, dataset: Dataset, problem: Problem, spread) -> dict[str, Any]:
    """What `fit_ridge` takes, of the training photographs; targets over `spread`."""
    ids, head = dataset.generic_ids(), problem.prior["params"]["head"]
    return {
        "features": np.asarray(problem.store.features)[ids, : head["slow"].shape[0]],
        "targets": dataset.mean_scores[ids] / spread,
        "strength": config.generic.strength,
        "weights": _weights(config.generic, dataset),
    }


def _with_hyper_prior(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    learned: Learned,
    problem: Problem,
) -> Learned:
    """`learned` with the prior probabilities of a blend's hypotheses."""
    spread = config.model.head_options.get("spread", 1.0)
    loop = learners.inner_loop(
        config, network, method=problem.method, view=problem.view
    )
    width = problem.store.content.shape[-1]
    crowd = np.zeros(len(problem.store), np.float32)
    crowd[dataset.generic_ids()] = spread * held_out_scores(
        **_regression(config, dataset, problem, spread)
    )
    blend = learners.personalizer(config, loop, width=width)
    assert isinstance(blend, Blend)
    log_prior = learn_log_prior(
        blend,
        problem.prior,
        np.asarray(problem.store.features),
        crowd,
        dataset.split("train"),
        strangers=learners.strangers(config),
        key=jax.random.key(config.seed),
    )
    params = {**learned.variables["params"], "inner": {LOG_PRIOR: log_prior}}
    variables = {**learned.variables, "params": params}
    return dataclasses.replace(learned, variables=variables)


def _weights(section: Config, dataset: Dataset) -> np.ndarray | None:
    """An image's weight: the number of its raters, where the config asks for it."""
    if not section.weight_by_raters:
        return None
    raters = dataset.raters[dataset.generic_ids()]
    return (raters / raters.mean()).astype(np.float32)


def meta_learn(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    start: Learned,
    workdir: Workdir,
    *,
    progress: bool,
) -> Learned:
    """BLG-PIAA (or another outer update) over the training users."""
    tasks, mesh = dataset.split("train"), _users_mesh(config.meta)
    problem = _problem(config, network, dataset, start, progress, mesh)
    loop = learners.inner_loop(
        config, network, method=problem.method, view=problem.view
    )
    width = problem.store.content.shape[-1]
    prior = learners.learnable(config, loop, problem.prior, width=width)
    step = learners.meta_step(config, loop, users=len(tasks), width=width, mesh=mesh)
    key = jax.random.key(config.seed)
    state = train_stage(
        config,
        "meta",
        replicate(step.init_state(prior, key=key), mesh),
        _iterations(config.meta, step, tasks, problem.store, mesh=mesh),
        batches.of_users(
            config, problem.store, tasks, sampling=step.sampling, mesh=mesh, key=key
        ),
        workdir,
        steps_per_call=config.meta.iterations_per_dispatch,
        name=f"meta-train {config.method}",
        progress=progress,
    )
    if isinstance(step, SequentialStep) and config.meta.keep == "last_user":
        state = state.replace(**step.last_user(state))
    return merged(start, state)


def _users_mesh(section: Config) -> Mesh | None:
    """The devices that users meta-train on."""
    if section.mode == "sequential":
        return devices.for_one()
    return devices.for_users(section.users_per_step, "users a meta-iteration")


def _iterations(
    section: Config,
    step: bilevel.MetaStep | SequentialStep,
    tasks: UserTasks,
    store: ImageStore,
    *,
    mesh: Mesh | None,
) -> Callable[..., Any]:
    """(state, a batch of `batches.of_users`) -> (state, metrics), for one dispatch."""
    run = jax.jit(bilevel.several(step), donate_argnums=0)
    users = replicate(jax.device_put(tasks), mesh)
    shape = section.iterations_per_dispatch, section.users_per_step

    def iterate(state, batch):
        rows, images = batch, store
        if not batches.is_resident(store):
            rows, images = batch["users"], batch["store"]
        rows = jnp.asarray(processes.whole_batch(rows, mesh)).reshape(shape)
        return run(state, rows, users, images)

    return iterate


def foresee(config: Config, dataset: Dataset) -> None:
    """Says before the training what the evaluation would stop at after it."""
    try:
        tasks = dataset.split("test")
        for shots in config.evaluate.shots:
            check_shots(tasks, shots=shots, names=dataset.workers)
    except DataError as error:
        logger.warning("training goes on, but evaluation would stop: %s", error)


def check_users(config: Config, dataset: Dataset) -> None:
    """Refuses meta-training with fewer training users than one call takes.

    And numbers of users that several processes cannot draw equal shares of, and image
    files that they would have to gather from.

    Raises:
      ConfigError: naming the fields to lower.
    """
    section, users = config.meta, len(dataset.split("train"))
    dispatch = section.iterations_per_dispatch
    if section.steps and section.users_per_step * dispatch > users:
        raise ConfigError(
            f"config.meta.users_per_step={section.users_per_step} times "
            f"iterations_per_dispatch={dispatch} exceeds the {users} training users; "
            "lower one of them"
        )
    count = jax.process_count()
    if section.steps and section.users_per_step * dispatch % count:
        raise ConfigError(
            f"config.meta.users_per_step={section.users_per_step} times "
            f"iterations_per_dispatch={dispatch} does not divide into {count} "
            f"processes; make one of them a multiple of {count}"
        )
    files = isinstance(dataset.store.content, Photographs)
    if section.steps and files and not config.trunk.frozen:
        batches.check_gathering(dataset.store)


def merged(learned: Learned, state: TrainState) -> Learned:
    """`learned` with what the state has trained in the place of what it was."""
    old, new = learned.variables, state.prior
    if jax.device_count() > 1:
        # From the mesh: the stages that follow choose devices of their own.
        new = processes.to_host(new)
    merged = {part: {**old[part], **new[part]} for part in ("params", "batch_stats")}
    return dataclasses.replace(learned, variables=merged)
