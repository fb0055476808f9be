"""PAM's protocols on a finished generic run, one command: `config.pam`."""

import functools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.cli import build
from jiaa.cli.check import check_evaluate
from jiaa.cli.learn import MAY_DIFFER
from jiaa.cli.options import Config, ConfigError, construct, names_of, unknown
from jiaa.cli.pam_albums import figure3
from jiaa.cli.pam_crowd import table1, worker_qualities
from jiaa.cli.pam_features import load_features
from jiaa.cli.pam_protocols import (
    albums_of,
    feature_variants,
    figure4,
    figure5b,
    figure6,
    methods,
    prior_of,
    table3,
    table4,
    write_json,
)
from jiaa.cli.settings import recorded_config
from jiaa.evaluate.active import active_curves
from jiaa.evaluate.fake_workers import fake_worker_ranks
from jiaa.personalize import BayesianRidge, NuSVR
from jiaa.personalize.active import STRATEGIES, ActiveLearner, make_album
from jiaa.personalize.factorization import fit_factorization
from jiaa.personalize.kernels import KERNELS
from jiaa.report import curves as report_curves
from jiaa.report.figures import save
from jiaa.train.workdir import Workdir

RESULTS = "protocols.json"
# Arguments of what `config.pam` has options of that are no options: `run` gives them.
GIVEN = {
    *("features", "tasks", "crowd", "generic", "mask", "learners", "albums"),
    *("network", "key", "out", "seed", "options", "noise"),
}


def run(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """The protocols of `config.pam`, on the generic run that `config.prior` names.

    Writes protocols.json, and what each protocol writes, into the workdir. Protocols
    that are there already are not run again: a run that was stopped goes on.

    Raises:
      ConfigError: no generic run is named, a protocol is unknown, or an option is.
      FileNotFoundError: the generic run has not finished.
      WorkdirError: the workdir is that of another config.
    """
    section, out = build.plain(config.pam), Path(workdir)
    check(config)
    free = {*MAY_DIFFER, "pam.protocols"} - {"prior", "evaluate"}
    recorded = build.plain(config)
    with Workdir(out, config=recorded, may_differ=free, record_at_once=False) as opened:
        target = out / RESULTS
        said = json.loads(target.read_text()) if target.is_file() else {}
        missing = [name for name in section["protocols"] if name not in said]
        if not missing:
            return target
        features = load_features(config.prior, progress=progress)
        opened.record()
        chosen = {name: config.evaluate[name] for name in ("shots", "repeats", "seed")}
        settings = {**section, "evaluate": {**chosen, "progress": progress}}
        settings["prior"] = config.prior
        for name in missing:
            said[name] = PROTOCOLS[name](features, out, settings)
            write_json(target, said)
    return target


def check(config: Config) -> None:
    """Refuses in `config.pam` what would only be found after hours.

    Raises:
      ConfigError: naming field, value, expectation and remedy.
    """
    section = build.plain(config.pam)
    for name in section["protocols"]:
        if name not in PROTOCOLS:
            raise unknown("config.pam.protocols", name, list(PROTOCOLS))
    if not config.prior:
        raise ConfigError("config.prior is empty; name the workdir of a generic run")
    _check_databases(section)
    check_evaluate(config)
    construct("pam.svr", NuSVR, **section["svr"])
    construct("pam.bayesian_ridge", BayesianRidge, **section["bayesian_ridge"])
    active = section["active"]
    construct("pam.active.machine", ActiveLearner, **active["machine"])
    for where, options, takers in (
        ("fpmf", section["fpmf"], (fit_factorization,)),
        ("figure3", section["figure3"], (figure3,)),
        ("figure4", section["figure4"], (figure4, fake_worker_ranks)),
        ("active", active, (figure6, active_curves)),
        ("active.album", active["album"], (albums_of, make_album)),
    ):
        known = sorted({x for taker in takers for x in names_of(taker)} - GIVEN)
        for name in options:
            if name not in known:
                raise unknown(f"config.pam.{where}", name, known)
    if active["album"].get("kind", "rbf") not in KERNELS:
        raise unknown("config.pam.active.album", active["album"]["kind"], KERNELS)
    for name in active.get("strategies", ()):
        if name not in STRATEGIES:
            raise unknown("config.pam.active.strategies", name, list(STRATEGIES))


def _check_databases(section: Mapping[str, Any]) -> None:
    databases = section["databases"]
    if "figure7" in section["protocols"] and not databases:
        raise ConfigError(
            "config.pam.databases is empty; figure7 measures on other databases: name "
            "each, with what differs from the run's config.data"
        )
    for name, changes in databases.items():
        if not isinstance(changes, dict):
            raise ConfigError(
                f"config.pam.databases.{name} is {changes!r}; expected what differs "
                "from the run's config.data, such as {'name': 'aadb', 'root': ...}"
            )


def _run_table1(features, out, settings):
    del out
    quality = worker_qualities(recorded_config(settings["prior"]))
    return table1(features.dataset, quality)


def _run_figure3(features, out, settings):
    method = feature_variants(features, svr=settings["svr"])
    chosen = method[f"pam_{features.personal}"]
    prior = {"params": {}, "batch_stats": {}}
    own = settings["figure3"]
    return figure3(chosen, prior, features.dataset, features.store, out, **own)


def _run_table4(features, out, settings):
    options = {"svr": settings["svr"], "ridge": settings["bayesian_ridge"]}
    options["decay"] = settings["fpmf"].get("decay", 0.5)
    chosen = methods(features, **options)
    prior = prior_of(features, **settings["fpmf"])
    return table4(features, chosen, out, prior=prior, **settings["evaluate"])


def _run_figure5a(features, out, settings):
    chosen = feature_variants(features, svr=settings["svr"])
    prior = {"params": {}, "batch_stats": {}}
    found = table4(features, chosen, out, prior=prior, **settings["evaluate"])
    gains = {
        name.removeprefix("pam_"): {
            row["shots"]: _gain(row) for row in rows if row["metric"] == "srocc"
        }
        for name, rows in found.items()
    }
    figure = report_curves.feature_bars(gains, dataset=features.dataset.name)
    save(figure, out / "features.png")
    return found


def _gain(row: Mapping[str, Any]) -> tuple[float, float]:
    """Mean gain and its deviation; NaN where no user has a coefficient."""
    if row["mean"] is None or row["generic"] is None:
        return np.nan, np.nan
    return row["mean"] - row["generic"], row["std"]


def _curves(protocol, features, out, settings):
    seed, options = settings["evaluate"]["seed"], dict(settings["active"])
    if protocol is figure5b:  # whose strategies are the paper's
        options.pop("strategies", None)
    return report_curves.rows(protocol(features, out, seed=seed, **options))


def _run_figure7(features, out, settings):
    """Figure 6 on databases that the run's network never saw."""
    del features
    found = {}
    for name, changes in settings["databases"].items():
        there = load_features(settings["prior"], database=changes)
        found[name] = _curves(figure6, there, out / name, settings)
    return found


PROTOCOLS: dict[str, Callable[..., Any]] = {
    "table1": _run_table1,
    "table3": lambda features, out, settings: table3(features),
    "table4": _run_table4,
    "figure3": _run_figure3,
    "figure4": lambda features, out, settings: figure4(features, **settings["figure4"]),
    "figure5a": _run_figure5a,
    "figure5b": functools.partial(_curves, figure5b),
    "figure6": functools.partial(_curves, figure6),
    "figure7": _run_figure7,
}
