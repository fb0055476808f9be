"""PA_IAA's Table II: traits of each tenth of the users, who are held out in turn."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.cli import run
from jiaa.cli.multitask.check import check
from jiaa.cli.multitask.data import SECOND
from jiaa.cli.multitask.measure import variant
from jiaa.cli.multitask.second import FOLDS
from jiaa.cli.options import Config, ConfigError
from jiaa.data.store import replacing
from jiaa.report import write_report
from jiaa.report.generic import GENERIC_FILE
from jiaa.train import processes


def ten_folds(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains and measures with each tenth of the trait users held out.

    Runs lie in `workdir`/fold_0 to fold_9, so that a killed one goes on; the means of
    their traits' SROCC are written to `workdir`/generic.json, whose path is returned,
    and to report.md.

    Raises:
      ConfigError: the config does not learn traits.
    """
    _check_traits(config)
    check(config)
    found = []
    for fold in range(FOLDS):
        here = config.copy_and_resolve_references()
        with here.unlocked():
            here.second.fold = fold
        folder = Path(workdir) / f"fold_{fold}"
        run.train(here, folder, progress=progress)
        run.evaluate(here, folder, progress=progress)
        found.append(json.loads((folder / GENERIC_FILE).read_text()))
    target = Path(workdir) / GENERIC_FILE
    if processes.is_first():
        measured = {"method": config.method, "dataset": config.dataset}
        measured["variant"] = variant(config)
        measured |= {"folds": [x["traits"] for x in found], "traits": _means(found)}
        with replacing(target) as path:
            path.write_text(json.dumps(measured, indent=2) + "\n")
        write_report([workdir], workdir)
    return target


def _check_traits(config: Config) -> None:
    task = config.second.task if "second" in config else None
    if task != "traits" or SECOND not in config.generic.tasks:
        raise ConfigError(
            f"config.second.task is {task!r} and config.generic.tasks is "
            f"{tuple(config.generic.get('tasks', ()))!r}; ten folds are over the users "
            "of 'traits', learned as 'second', as in "
            "configs/pa_iaa/synthetic_resnet18.py"
        )


def _means(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Trait -> "user" and "image" -> the mean over the folds in which it is defined."""
    return {
        trait: {
            over: float(np.nanmean([x["traits"][trait][over] for x in found]))
            for over in each
        }
        for trait, each in found[0]["traits"].items()
    }
