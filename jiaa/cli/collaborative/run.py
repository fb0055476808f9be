"""Training and measuring of one collaborative experiment."""

import contextlib
import functools
import os
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jiaa import evaluate as protocols
from jiaa import metrics
from jiaa.cli.build import plain
from jiaa.cli.check import check_whole
from jiaa.cli.collaborative import measure
from jiaa.cli.collaborative.networks import PRIOR_FILE
from jiaa.cli.collaborative.problem import Opened, open_problem
from jiaa.cli.options import Config, ConfigError, construct, expected
from jiaa.cli.settings import FREE, differences, finished_file, recorded_config
from jiaa.cli.unused import field_of
from jiaa.data import loader
from jiaa.data.reviews.ratings import LEXICONS
from jiaa.evaluate import results
from jiaa.models import variables
from jiaa.models.collaborative import VARIANTS
from jiaa.personalize import NewUser
from jiaa.report import write_report
from jiaa.train import collaborative as steps
from jiaa.train import optimizers, tables
from jiaa.train.loop import fit
from jiaa.train.mesh import replicate, user_mesh
from jiaa.train.state import create_train_state
from jiaa.train.workdir import Workdir, WorkdirError, locked
from jiaa.types import TrainState

# What a resumed run may change.
MAY_DIFFER = ("evaluate", "adapt", *(f"data.{name}" for name in FREE["data"]))
WORDS = {
    "method": ("bpr", "vbpr", "mtrlcnn", *VARIANTS),
    "protocol": ("pairs", "users"),
    "reviews.rated_by": ("words", "score"),
    "reviews.lexicon": tuple(LEXICONS),
    "pairs.held_out": ("pairs", "images"),
    "train.optimizer": tuple(optimizers.OPTIMIZERS),
    "train.schedule": tuple(optimizers.SCHEDULES),
}
# The least that a whole number can be.
LEAST = {
    "seed": 0,
    "reviews.vocabulary": 1,
    "reviews.length": 1,
    "pairs.least_images": 1,
    "trunk.grid": 1,
    "model.width": 1,
    "train.steps": 1,
    "train.batch_size": 1,
    "train.save_every": 1,
    "train.log_every": 1,
    "adapt.steps": 0,
    "evaluate.repeats": 1,
    "evaluate.reviews": 1,
}
RANKED = ("bpr", "vbpr", "cfn_1")  # one task, of users, and no reviews


def check(config: Config) -> None:
    """Refuses unknown words, sizes below 1, and what the method has no part in.

    Raises:
      ConfigError: names field, value and what is expected.
    """
    for path, known in WORDS.items():
        value = field_of(config, path)
        if value not in known:
            raise ConfigError(f"config.{path} is {value!r}; {expected(value, known)}")
    check_whole({path: (field_of(config, path), x) for path, x in LEAST.items()})
    if not len(config.evaluate.edges):
        raise ConfigError("config.evaluate.edges is empty; expected one number or more")
    _check_method(config)


def _check_method(config: Config) -> None:
    """Refuses settings that the method cannot follow."""
    method, objective, trunk = config.method, config.objective, config.trunk
    faults = (
        (
            config.protocol == "users" and method in ("mtrlcnn", "review_only"),
            "knows no users; its protocol is 'pairs'",
        ),
        (
            objective.get("pairwise", False) and method not in RANKED,
            f"cannot learn with objective.pairwise=True; {', '.join(RANKED)} can",
        ),
        (
            objective.get("relation", 0.0) and method != "mtrlcnn",
            "has no tasks for objective.relation, which is mtrlcnn's; leave it 0",
        ),
        (
            trunk.trains and method == "vbpr",
            "sees cached maps alone; set trunk.trains=False",
        ),
        (
            bool(trunk.weights and trunk.run),
            f"has two trunks, trunk.weights={trunk.weights!r} and "
            f"trunk.run={trunk.run!r}; leave one of them empty",
        ),
    )
    for wrong, said in faults:
        if wrong:
            raise ConfigError(f"config.method={method!r} {said}")


def train(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains `config.method`; returns the path of what was learned.

    A killed run goes on from its last checkpoint, to the same result.
    """
    check(config)
    target = Path(workdir) / PRIOR_FILE
    with Workdir(
        workdir, config=plain(config), may_differ=MAY_DIFFER, record_at_once=False
    ) as opened:
        if target.is_file():
            return target
        problem = open_problem(config, progress=progress)
        opened.record()
        state = _learn(problem, opened, progress=progress)
        params = steps.with_means(
            state.params, problem.pairs.train, forgets=problem.objective.forgets > 0
        )
        variables.save_variables(target, {"params": params})
    return target


def _learn(problem: Opened, workdir: Workdir, *, progress: bool) -> TrainState:
    """The state after the last step; on several devices, large tables are spread."""
    section, seed = problem.config.train, problem.config.seed
    optimizer = _optimizer(section)
    rows = steps.pair_rows(problem.pairs.train, problem.objective)
    if not len(rows):
        raise ConfigError(
            f"config.pairs.good_above={problem.config.pairs.good_above}: none of the "
            f"{len(problem.pairs.train)} training pairs is good, and a ranking needs "
            "some; lower it"
        )
    mesh = user_mesh() if jax.device_count() > 1 else None
    state = create_train_state(
        {"params": first_params(problem)},
        optimizer=optimizer,
        key=jax.random.key(seed),
    )
    material = replicate(problem.material, mesh)
    step = functools.partial(
        steps.train_step,
        network=problem.network,
        objective=problem.objective,
        optimizer=optimizer,
        mesh=mesh,
    )
    size = min(section.batch_size, len(rows))
    batches = loader.index_batches(len(rows), batch_size=size, seed=seed)
    with contextlib.closing(batches):
        return fit(
            tables.spread(state, mesh),
            lambda state, batch: step(state, rows[batch], material),
            batches,
            num_steps=section.steps,
            workdir=workdir,
            save_every=section.save_every,
            log_every=section.log_every,
            name=problem.config.method,
            progress=progress,
        )


def first_params(problem: Opened) -> PyTree:
    """Random parameters, but for those of a trunk that begins elsewhere."""
    key = jax.random.key(problem.config.seed)
    params = jax.jit(problem.network.init)(key, *one_pair(problem))["params"]
    if problem.start is not None:
        params = {**params, "trunk": problem.start}
    return params


def one_pair(problem: Opened) -> tuple[Any, ...]:
    """What the network is called with, for the first pair."""
    network: nn.Module = problem.network
    pair = jnp.zeros(1, int)
    content = reviews = None
    if problem.material.store is not None:
        content = problem.material.store.take(pair)
    if network.attends or network.reads_only:  # pyright: ignore
        reviews = steps.own_reviews(problem.material.pairs, pair)
    return pair, pair, content, reviews


def _optimizer(section: Config) -> optax.GradientTransformation:
    options = plain(section.schedule_options)
    rate = optimizers.schedule(section.schedule, section.rate, **options)
    return optimizers.optimizer(
        section.optimizer, rate, **plain(section.optimizer_options)
    )


def evaluate(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Measures what was learned in `workdir`; returns the path of summary.json.

    Protocol "pairs": accuracy and AUC on the held-out pairs, with the paper's tables
    and figures, in report.md. Protocol "users": new users x shots x repeats, as every
    personalizer is measured.
    """
    check(config)
    finished_file(workdir, PRIOR_FILE)
    _check_same(config, workdir)
    with locked(workdir):
        problem = open_problem(config, progress=progress)
        params = load_params(workdir)
        if config.protocol == "users":
            return _new_users(problem, params, Path(workdir), progress=progress)
        return measure.held_out_pairs(problem, params, Path(workdir))


def load_params(workdir: str | os.PathLike[str]) -> PyTree:
    """What was learned there.

    Raises:
      FileNotFoundError: its training has not finished.
    """
    tree = variables.load_variables(finished_file(workdir, PRIOR_FILE))
    return jax.tree.map(jnp.asarray, tree["params"])


def personalizer(problem: Opened) -> NewUser:
    """How the experiment learns a new user."""
    section: dict[str, Any] = plain(problem.config.adapt)
    return construct(
        "adapt",
        NewUser,
        network=problem.network,
        pairwise=problem.objective.pairwise,
        threshold=problem.config.pairs.good_above,
        **section,
    )


def _new_users(problem: Opened, params: PyTree, workdir: Path, *, progress) -> Path:
    config = problem.config
    assert problem.tasks is not None
    threshold = config.pairs.good_above

    def auc(predicted, target, mask):
        return metrics.auc(predicted, target > threshold, mask)

    section = plain(config.evaluate)
    measured = protocols.personalization(
        personalizer(problem),
        {"params": params},
        problem.tasks,
        jax.tree.map(jnp.asarray, problem.store),
        shots=section["shots"],
        repeats=section["repeats"],
        metrics={**metrics.METRICS, "auc": auc},
        names=problem.dataset.workers,
        progress=progress,
        key=jax.random.key(section["seed"]),
    )
    summary = results.write(
        measured,
        workdir,
        method=config.method,
        dataset=config.dataset,
        names=problem.dataset.workers,
    )
    write_report([workdir], workdir)
    return summary


def _check_same(config: Config, workdir: str | os.PathLike[str]) -> None:
    recorded = recorded_config(workdir)
    wrong = [
        f"{name} is {recorded.get(name)!r} there, {config[name]!r} here"
        for name in ("method", "dataset", "seed", "protocol")
        if recorded.get(name) != config[name]
    ]
    sections = ("data", "world", "reviews", "pairs", "trunk", "model", "objective")
    wrong += differences(recorded, config, sections=sections)
    if wrong:
        raise WorkdirError(
            f"{workdir} was trained otherwise: {'; '.join(wrong)}. Evaluate with the "
            "settings of its config.json"
        )
