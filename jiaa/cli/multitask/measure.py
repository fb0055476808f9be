"""Evaluation of a multi-task run: generic protocol, traits, other databases."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jiaa.cli import build
from jiaa.cli.multitask import examples
from jiaa.cli.multitask.network import Problem, problem
from jiaa.cli.multitask.predict import predict
from jiaa.cli.multitask.users import fused, fusion, personalise
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.problem import Learned, load
from jiaa.data.distributions import crowd
from jiaa.data.store import replacing
from jiaa.evaluate import generic
from jiaa.models.personality import AESTHETICS, unit_score
from jiaa.personalize.fusion import output_store
from jiaa.report import write_report
from jiaa.report.generic import GENERIC_FILE
from jiaa.report.shown import SHOWN_FILE, write_shown
from jiaa.train import processes
from jiaa.train.workdir import locked
from jiaa.types import Episode, Examples, ImageStore

OUTPUTS_FILE = "outputs.npz"


def evaluate(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Measures a finished run on the test images, and the fusion on the test users.

    Writes generic.json (Tables I, II and IV), outputs.npz (what was predicted of the
    test images), shown.npz (what figures show), report.md, and, where there are test
    users and two tasks, results.csv and summary.json. Returns the path of the last of
    the JSON files. Of several processes the first one writes.
    """
    with locked(workdir) if processes.is_first() else contextlib.nullcontext():
        found, learned = problem(config, progress=progress), load(workdir)
        ids = test_ids(found)
        outputs = _outputs(config, found, learned, ids, progress=progress)
        measured = {"method": config.method, "dataset": config.dataset}
        measured["variant"] = variant(config)
        measured |= measure(config, found, outputs, ids)
        measured |= _traits(config, found, learned, progress=progress)
        measured |= _cross(config, found, learned, progress=progress)
        measured |= _inter_task(config, found, learned, outputs, ids, progress=progress)
        columns = _columns(found, outputs, ids)
        if processes.is_first():
            shown = {}
            if AESTHETICS in outputs:
                shown["shown"] = examples.chosen(
                    config, found, outputs, ids, columns=columns
                )
            _write(Path(workdir), measured, {"ids": ids, **outputs}, **shown)
        if columns is not None:
            personalise(config, found, learned, columns, workdir, progress=progress)
        if processes.is_first():
            write_report([workdir], workdir)
        processes.wait_for_all("evaluated")
    return Path(workdir) / (GENERIC_FILE if columns is None else "summary.json")


def variant(config: Config) -> list[str]:
    """What tells a row of a table from others of its method: Kong's parts, one task."""
    if config.model.kong:
        return list(config.model.kong)
    tasks = config.generic.tasks
    alone = config.second.task != "none" and len(tasks) == 1
    task = AESTHETICS if AESTHETICS in tasks else config.second.task
    return [task] if alone else []


def _write(
    workdir: Path,
    measured: dict[str, Any],
    outputs: dict[str, np.ndarray],
    shown: examples.Shown | None = None,
) -> None:
    """The files of a run's generic part."""
    with replacing(workdir / GENERIC_FILE) as path:
        path.write_text(json.dumps(measured, indent=2) + "\n")
    with replacing(workdir / OUTPUTS_FILE) as path, path.open("wb") as file:
        np.savez(file, **outputs)  # pyright: ignore[reportArgumentType]
    if shown is not None:
        with replacing(workdir / SHOWN_FILE) as path:
            write_shown(shown, path)


def _columns(found: Problem, outputs, ids) -> ImageStore | None:
    """`output_store` where there are users to fit a second task's weights to."""
    if found.second is None or not {AESTHETICS, found.second.name} <= set(outputs):
        return None
    if "test" not in found.dataset.tasks:
        return None
    images = len(found.dataset.image_names)
    return output_store(images, outputs, ids, second=found.second.name)


def test_ids(found: Problem) -> np.ndarray:
    """The test images: those of test users, or of the split where nobody is a user."""
    if "test" in found.dataset.tasks:
        tasks = found.dataset.split("test")
        return np.unique(np.asarray(tasks.image_ids)[np.asarray(tasks.mask)])
    ids = np.flatnonzero(found.dataset.image_split == "test")
    if not len(ids):
        raise ConfigError(
            f"the dataset {found.dataset.name!r} has no test images; give "
            "config.data.test_users, or a split in images.csv"
        )
    return ids


def _outputs(config: Config, found: Problem, learned: Learned, ids, *, progress: bool):
    """What the network says of the images `ids` of the aesthetic task's database."""
    options = {"ids": ids, "progress": progress}
    return predict(config, found.network, learned, found.dataset.store, **options)


def measure(
    config: Config, found: Problem, outputs: dict[str, np.ndarray], ids: np.ndarray
) -> dict[str, Any]:
    """{"generic": metrics, "correlations": trait -> SROCC} on the test images."""
    measured: dict[str, Any] = {}
    if AESTHETICS not in outputs:
        return measured
    found_shares = outputs[AESTHETICS]
    score = np.asarray(unit_score(jnp.asarray(found_shares)))
    truth = crowd(found.dataset, "test")
    threshold = config.evaluate.threshold
    if threshold is None:
        train = crowd(found.dataset, "train").scores
        threshold = float(np.median(train[found.dataset.generic_ids()]))
    both = {}
    if found_shares.shape[1] > 1:
        shares = truth.distribution(found.dataset.name)[ids]
        both = {"predicted_distribution": found_shares, "target_distribution": shares}
    measured["generic"] = generic.generic_metrics(
        score, truth.scores[ids], threshold=threshold, **both
    )
    measured["images"], measured["threshold"] = len(ids), threshold
    if found.second is not None:
        measured["correlations"] = generic.trait_correlations(
            score, outputs[found.second.name], names=found.second.outputs
        )
    return measured


def _cross(
    config: Config, found: Problem, learned: Learned, *, progress: bool
) -> dict[str, Any]:
    """{"cross": database -> metrics} of `config.evaluate.databases` (Table III)."""
    measured = {}
    for name, changes in build.plain(config.evaluate.databases).items():
        there = build.elsewhere(config, changes)
        dataset = build.dataset(there, progress=progress)
        other = Problem(dataset, None, found.network)
        ids = test_ids(other)
        outputs = _outputs(there, other, learned, ids, progress=progress)
        outputs = {AESTHETICS: outputs[AESTHETICS]}
        shares = crowd(dataset, "test").shares
        same = shares is not None and shares.shape == (
            len(shares),
            outputs[AESTHETICS].shape[1],
        )
        if not same:  # other stars, or none: the score alone
            score = unit_score(jnp.asarray(outputs[AESTHETICS]))
            outputs[AESTHETICS] = np.asarray(score)[:, None]
        measured[name] = measure(there, other, outputs, ids)["generic"]
    return {"cross": measured} if measured else {}


def _inter_task(
    config: Config, found: Problem, learned: Learned, outputs, ids, *, progress: bool
) -> dict[str, Any]:
    """{"inter_task": weights and metrics} of PDMTL's last stage (eqs. 5, 6; Fig. 4).

    The weights are fitted to the crowd's mean scores of the training images, all else
    frozen: by `config.fusion.kind` "steps", else in closed form, without an offset.
    """
    if AESTHETICS not in outputs or found.second is None:
        return {}
    name, dataset = found.second.name, found.dataset
    train = dataset.generic_ids()
    truth = crowd(dataset, "train").scores[train]
    learning = _outputs(config, found, learned, train, progress=progress)
    both = {k: np.concatenate([learning[k], x]) for k, x in outputs.items()}
    rows, images = np.concatenate([train, ids]), len(dataset.image_names)
    support = Examples(train, truth, np.ones(len(train), bool))
    query = Examples(ids, np.zeros(len(ids), np.float32), np.ones(len(ids), bool))
    width = len(found.second.outputs)
    said = fused(
        fusion(config, width=width, shots=len(train), offset=False),
        Episode(np.zeros((), np.int32), support, query),
        output_store(images, both, rows, second=name),
    )
    weights, score = (np.asarray(said[x]) for x in ("weights", "fused"))
    bare = Problem(dataset, None, found.network)
    measured = measure(config, bare, {AESTHETICS: score[:, None]}, ids)["generic"]
    named = dict(zip(found.second.outputs, weights.tolist(), strict=True))
    return {"inter_task": {"weights": named, "generic": measured}}


def _traits(
    config: Config, found: Problem, learned: Learned, *, progress: bool
) -> dict[str, Any]:
    """{"traits": trait -> SROCC}, of the users that the fold holds out."""
    second = found.second
    if second is None or second.likes is None or second.held_out is None:
        return {}
    likes, rows = second.likes, second.held_out
    ids, where = np.unique(likes.image[rows], return_inverse=True)
    outputs = predict(
        config, found.network, learned, likes.store, ids=ids, progress=progress
    )
    return {
        "traits": generic.trait_prediction(
            outputs[second.name][where],
            likes.user[rows],
            likes.traits,
            names=second.outputs,
        ),
        "trait_users": len(np.unique(likes.user[rows])),
    }
