"""Training and evaluation of one experiment, from its config to its workdir."""

import functools
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from jiaa import evaluate as protocols
from jiaa.cli import build
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
from jiaa.cli.settings import recorded_config
from jiaa.data import Dataset, loader
from jiaa.evaluate import results as evaluation_results
from jiaa.meta import bilevel
from jiaa.meta.inner import loss_function
from jiaa.meta.sequential import SequentialStep
from jiaa.models.generic import Aesthetic
from jiaa.report import write_report
from jiaa.train.loop import fit
from jiaa.train.ridge import fit_ridge
from jiaa.train.state import create_train_state
from jiaa.train.steps import CrowdScores, train_step
from jiaa.train.workdir import Workdir, WorkdirError
from jiaa.types import TrainState

PATHS = ("root", "cache_dir", "weights", "image_folder")


def train(
    config: build.Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains what the config says, or goes on where a killed run stopped.

    A config without meta-training steps trains the generic prior (BA-PIAA) in
    `workdir`. With them, the prior is that of the run `config.prior`, or is trained in
    `workdir`/generic first. Returns the path of what was learned.
    """
    build.check(config)
    with _opened(config, workdir) as opened:
        target = Path(workdir) / PRIOR_FILE
        if target.is_file():
            return target  # finished; another config would have been refused
        dataset = build.dataset(config)
        network = build.model(config)
        if not config.meta.steps:
            learned = _train_generic(config, network, dataset, opened, progress)
        else:
            start = _prior_run(config, network, dataset, opened, progress)
            learned = _meta_train(config, network, dataset, start, opened, progress)
        save(learned, target)
    return target


def evaluate(
    config: build.Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Measures what was learned in `workdir` on all test users.

    Writes results.csv and summary.json there and returns the latter's path.
    """
    learned = load(workdir)
    _check_same(config, workdir)
    dataset = build.dataset(config)
    tasks = dataset.split("test")
    network = build.model(config)
    ids = np.unique(np.asarray(tasks.image_ids)[np.asarray(tasks.mask)])
    problem = make_problem(
        config, network, dataset, learned, image_ids=ids, progress=progress
    )
    loop = build.inner_loop(config, network, method=problem.method, view=problem.view)
    section = build.plain(config.evaluate)
    measured = protocols.personalization(
        build.personalizer(config, loop, width=problem.store.content.shape[-1]),
        problem.prior,
        tasks,
        problem.store,
        names=dataset.workers,
        progress=progress,
        key=jax.random.key(section.pop("seed")),
        **section,
    )
    summary = evaluation_results.write(
        measured,
        workdir,
        method=config.method,
        dataset=config.dataset,
        names=dataset.workers,
    )
    write_report([workdir], workdir)
    return summary


def _check_same(config: build.Config, workdir: str | os.PathLike[str]) -> None:
    """Refuses to measure a run on other data, or through another network, than its own.

    Users of another split or seed may have been training users.
    """
    recorded = recorded_config(workdir)
    for name in ("method", "dataset"):
        if recorded[name] != config[name]:
            raise WorkdirError(
                f"{workdir} holds a run of {name} {recorded[name]!r}, not "
                f"{config[name]!r}; name the workdir of this --config"
            )
    for section, moved in (("data", PATHS), ("model", PATHS), ("trunk", ())):
        old, new = (
            json.dumps(
                {k: v for k, v in build.plain(c[section]).items() if k not in moved}
            )
            for c in (recorded, config)
        )
        if json.loads(old) != json.loads(new):
            raise WorkdirError(
                f"{workdir} was trained with config.{section} = {old}, not {new}; "
                "evaluate with the settings of its config.json"
            )


def _opened(config: build.Config, folder: str | os.PathLike[str]) -> Workdir:
    # Files may have moved since the run began; what is in them may not have changed.
    paths = ("data.root", "data.cache_dir", "model.weights", "prior")
    return Workdir(folder, config=build.plain(config), may_differ=paths)


def _prior_run(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    workdir: Workdir,
    progress: bool,
) -> Learned:
    """The prior that meta-training starts from."""
    if config.prior:
        return load(config.prior)
    if not config.generic.steps:
        return fresh(config, network, dataset, progress=progress)
    folder = Path(workdir) / "generic"
    with _opened(config, folder) as opened:
        learned = _train_generic(config, network, dataset, opened, progress)
        save(learned, folder / PRIOR_FILE)
    return learned


def _train_generic(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    workdir: Workdir,
    progress: bool,
) -> Learned:
    """BA-PIAA's prior: regression of each training image's mean score."""
    section = config.generic
    ids = dataset.generic_ids()
    learned = fresh(config, network, dataset, progress=progress)
    # A trunk that is frozen later may still be trained here, from images.
    here = config.copy_and_resolve_references()
    with here.unlocked():
        here.trunk.frozen = section.trains != "all"
    problem = make_problem(
        here, network, dataset, learned, image_ids=ids, progress=progress
    )
    if section.trains == "ridge":
        return _solve_generic(config, dataset, learned, problem)
    optimizer = build.optimizer(section, num_steps=section.steps)
    step = functools.partial(
        train_step,
        crowd=CrowdScores(ids, dataset.mean_scores[ids], _weights(section, dataset)),
        store=problem.store,
        apply=functools.partial(network.apply, method=problem.method),
        prepare=problem.view.learning,
        loss=loss_function(section.loss),
        optimizer=optimizer,
    )
    key = jax.random.key(config.seed)
    state = fit(
        create_train_state(problem.prior, optimizer=optimizer, key=key),
        step,
        loader.index_batches(len(ids), batch_size=section.batch_size, seed=config.seed),
        num_steps=section.steps,
        workdir=workdir,
        save_every=section.save_every,
        log_every=section.log_every,
        name="generic prior",
        progress=progress,
    )
    learned = _with(learned, state)
    if section.trains != "all" or not section.refit:
        return learned
    learned = mapped(config, network, dataset, learned.variables, progress=progress)
    problem = make_problem(
        config, network, dataset, learned, image_ids=ids, progress=progress
    )
    return _solve_generic(config, dataset, learned, problem)


def _solve_generic(
    config: build.Config, dataset: Dataset, learned: Learned, problem: Problem
) -> Learned:
    """The same regression for a linear head with weight decay, in closed form."""
    ids, spread = dataset.generic_ids(), config.model.head_options.spread
    head = problem.prior["params"]["head"]
    slow, bias = fit_ridge(
        np.asarray(problem.store.features)[ids, : head["slow"].shape[0]],
        dataset.mean_scores[ids] / spread,
        strength=config.generic.strength,
    )
    whole = learned.variables
    head = {**head, "slow": slow, "bias": np.float32(bias * spread)}
    params = {**whole["params"], "head": head}
    return Learned({**whole, "params": params}, learned.feature_map)


def _weights(section, dataset: Dataset) -> np.ndarray | None:
    """An image's weight: the number of its raters, where the config asks for it."""
    if not section.weight_by_raters:
        return None
    raters = dataset.raters[dataset.generic_ids()]
    return (raters / raters.mean()).astype(np.float32)


def _meta_train(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    start: Learned,
    workdir: Workdir,
    progress: bool,
) -> Learned:
    """BLG-PIAA (or another outer update) over the training users."""
    section = config.meta
    tasks = dataset.split("train")
    problem = make_problem(
        config,
        network,
        dataset,
        start,
        image_ids=dataset.generic_ids(),
        progress=progress,
    )
    loop = build.inner_loop(config, network, method=problem.method, view=problem.view)
    width = problem.store.content.shape[-1]
    params = build.learnable(config, loop, problem.prior["params"], width=width)
    prior = {**problem.prior, "params": params}
    step = build.meta_step(config, loop, users=len(tasks), width=width)
    dispatch = section.iterations_per_dispatch
    if section.users_per_step * dispatch > len(tasks):
        raise ValueError(
            f"config.meta.users_per_step={section.users_per_step} times "
            f"iterations_per_dispatch={dispatch} exceeds the {len(tasks)} training "
            "users; lower one of them"
        )
    compiled = jax.jit(bilevel.several(step), donate_argnums=0)
    tasks = jax.tree.map(jnp.asarray, tasks)

    def train_step(state, users):
        rows = jnp.asarray(users).reshape(dispatch, section.users_per_step)
        return compiled(state, rows, tasks, problem.store)

    key = jax.random.key(config.seed)
    state = fit(
        _meta_state(step, prior, key),
        train_step,
        loader.index_batches(
            len(tasks),
            batch_size=section.users_per_step * dispatch,
            seed=config.seed,
        ),
        num_steps=section.steps,
        steps_per_call=dispatch,
        workdir=workdir,
        save_every=section.save_every,
        log_every=section.log_every,
        name=f"meta-train {config.method}",
        progress=progress,
    )
    if isinstance(step, SequentialStep) and section.keep == "last_user":
        last = step.last_user(state)
        state = state.replace(params=last["params"], batch_stats=last["batch_stats"])
    return _with(start, state)


def _meta_state(step, prior: PyTree, key: Key[Array, ""]) -> TrainState:
    if isinstance(step, SequentialStep):
        return TrainState(
            params=prior["params"],
            batch_stats=prior["batch_stats"],
            opt_state=step.init(prior["params"]),
            step=jnp.zeros((), jnp.int32),
            key=key,
        )
    return create_train_state(prior, optimizer=step.optimizer, key=key)


def _with(learned: Learned, state: TrainState) -> Learned:
    """`learned` with what the state has trained in the place of what it was."""
    old = learned.variables
    merged = {
        "params": {**old["params"], **state.params},
        "batch_stats": {**old["batch_stats"], **state.batch_stats},
    }
    return Learned(merged, learned.feature_map)
