"""Training and evaluation of one experiment, from its config to its workdir."""

import contextlib
import logging
import os
from pathlib import Path

import jax
import numpy as np

from jiaa import evaluate as protocols
from jiaa.cli import build, collaborative, devices, trunks
from jiaa.cli.check import check
from jiaa.cli.finished import open_run
from jiaa.cli.learn import (
    check_users,
    first_prior,
    foresee,
    generic_prior,
    meta_learn,
    open_workdir,
)
from jiaa.cli.multitask import learn as multitask_learn
from jiaa.cli.multitask import measure as multitask_measure
from jiaa.cli.multitask.check import check as check_multitask
from jiaa.cli.options import Config
from jiaa.cli.problem import PRIOR_FILE, borrowed, save
from jiaa.cli.settings import differences, finished_file, recorded_config
from jiaa.data import Dataset
from jiaa.evaluate import results as evaluation_results
from jiaa.report import write_report
from jiaa.train import processes
from jiaa.train.workdir import WorkdirError, locked

logger = logging.getLogger(__name__)
SECTIONS = ("data", "model", "trunk", "second")  # that both stages share


def train(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains what the config says, or goes on where a killed run stopped.

    A config without meta-training steps trains the generic prior (BA-PIAA) in
    `workdir`. With them, the prior is that of the run `config.prior`, or is trained in
    `workdir`/generic first. Returns the path of what was learned. The config is
    recorded in the workdir once nothing but the training itself can fail.

    All devices take part (`cli.devices`); of several processes, which share the
    workdir, the first one alone writes there, apart from the checkpoints.
    """
    if config.get("program") == "collaborative":
        return collaborative.train(config, workdir, progress=progress)
    progress = progress and processes.is_first()
    _check(config)
    build.check_weights(config)
    trunks.check_weights(config)
    if is_multitask(config):
        return multitask_learn.train(config, workdir, progress=progress)
    return _train_users(config, workdir, progress)


def _train_users(config: Config, workdir, progress: bool) -> Path:
    """The prior of `configs/common.py`: generic, and meta-learned if it has steps."""
    with open_workdir(config, workdir) as opened:
        target = Path(workdir) / PRIOR_FILE
        if processes.agreed(target.is_file()):
            return target  # finished; another config would have been refused
        network = build.model(config)
        start = borrowed(config, network) if config.prior else None
        dataset = _dataset(config, progress)
        check_users(config, dataset)
        foresee(config, dataset)
        if not config.meta.steps:
            learned = generic_prior(config, network, dataset, opened, progress=progress)
        else:
            folder = Path(workdir) / "generic"
            start = start or first_prior(
                config, network, dataset, folder, progress=progress
            )
            learned = meta_learn(
                config, network, dataset, start, opened, progress=progress
            )
        if processes.is_first():
            save(learned, target)
        processes.wait_for_all("trained")
    return target


def evaluate(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Measures what was learned in `workdir` on all test users.

    Writes results.csv and summary.json there and returns the latter's path. Users are
    spread over all devices; of several processes the first one writes.
    """
    if config.get("program") == "collaborative":
        return collaborative.evaluate(config, workdir, progress=progress)
    progress = progress and processes.is_first()
    _check(config)
    finished_file(workdir, PRIOR_FILE)
    _check_same(config, workdir)
    if is_multitask(config):
        return multitask_measure.evaluate(config, workdir, progress=progress)
    _evaluate_users(config, workdir, progress)
    return Path(workdir) / "summary.json"


def _evaluate_users(config: Config, workdir, progress: bool) -> None:
    """Adapts to every test user and measures; results.csv, summary.json, report.md."""
    with locked(workdir) if processes.is_first() else contextlib.nullcontext():
        dataset = _dataset(config, progress)
        tasks = dataset.split("test")
        ids = np.unique(np.asarray(tasks.image_ids)[np.asarray(tasks.mask)])
        run = open_run(
            config, workdir, dataset=dataset, image_ids=ids, progress=progress
        )
        section = build.plain(config.evaluate)
        measured = protocols.personalization(
            run.personalizer,
            run.problem.prior,
            tasks,
            run.problem.store,
            names=dataset.workers,
            progress=progress,
            mesh=devices.for_users(len(tasks), "test users"),
            key=jax.random.key(section.pop("seed")),
            **section,
        )
        if processes.is_first():
            evaluation_results.write(
                measured,
                workdir,
                method=config.method,
                dataset=config.dataset,
                names=dataset.workers,
            )
            write_report([workdir], workdir)
        processes.wait_for_all("evaluated")


def is_multitask(config: Config) -> bool:
    """Whether a config is one of `configs/common_multitask.py`."""
    return config.get("program") == "multitask"


def _check(config: Config) -> None:
    (check_multitask if is_multitask(config) else check)(config)


def _dataset(config: Config, progress: bool) -> Dataset:
    """The dataset; what the first process decodes, others find in `cache_dir`."""
    cached = bool(config.data.cache_dir)
    with processes.first_before_others("dataset", enabled=cached):
        return build.dataset(config, progress=progress)


def _check_same(config: Config, workdir: str | os.PathLike[str]) -> None:
    """Refuses to measure a run on other data, or through another network, than its own.

    Users of another split or seed may have been training users.
    """
    recorded = recorded_config(workdir)
    for name in ("method", "dataset"):
        if recorded.get(name) != config[name]:
            raise WorkdirError(
                f"{workdir} holds a run of {name} {recorded.get(name)!r}, not "
                f"{config[name]!r}; name the workdir of this --config"
            )
    wrong = differences(recorded, config, sections=SECTIONS)
    if is_multitask(config):
        pair = [tuple(x.generic.tasks) for x in (recorded, config)]
        if set(pair[0]) != set(pair[1]):
            wrong.append(f"generic.tasks is {pair[0]!r} there, {pair[1]!r} here")
    if wrong:
        raise WorkdirError(
            f"{workdir} was trained otherwise: {'; '.join(wrong)}. Evaluate with the "
            "settings of its config.json"
        )
