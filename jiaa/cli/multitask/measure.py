"""Evaluation of a multi-task run: generic protocol, traits, and the users' fusion."""

import contextlib
import functools
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jiaa import evaluate as protocols
from jiaa.cli import build
from jiaa.cli.multitask import data as sources_of
from jiaa.cli.multitask import examples
from jiaa.cli.multitask.learn import Problem, learned_in, predict, problem
from jiaa.cli.options import Config, ConfigError, construct, expected
from jiaa.cli.problem import Learned
from jiaa.data.store import replacing
from jiaa.evaluate import generic
from jiaa.evaluate import results as evaluation_results
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.models.personality import AESTHETICS, Branch, WeightedFusion, unit_score
from jiaa.personalize import Finetune, RidgeFusion
from jiaa.personalize.fusion import fusion_prior, fusion_weights, stepped_fusion
from jiaa.report import write_report
from jiaa.report.shown import SHOWN_FILE, write_shown
from jiaa.train.workdir import locked
from jiaa.types import ImageStore, Personalizer

GENERIC_FILE = "generic.json"
OUTPUTS_FILE = "outputs.npz"
KINDS = ("ridge", "steps", "released")


def evaluate(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Measures a finished run on the test images, and the fusion on the test users.

    Writes generic.json (Tables I, II and IV), outputs.npz (what was predicted of the
    test images), shown.npz (what figures show), report.md, and, where there are test
    users and two tasks, results.csv and summary.json. Returns the path of the last of
    the JSON files.
    """
    with locked(workdir):
        found = problem(config, progress=progress)
        learned = learned_in(workdir)
        target = Path(workdir) / GENERIC_FILE
        outputs, ids = _outputs(config, found, learned, progress=progress)
        measured = measure(config, found, outputs, ids)
        measured |= _traits(config, found, learned, progress=progress)
        measured |= _cross(config, found, learned, progress=progress)
        measured |= _inter_task(config, found, learned, outputs, ids, progress)
        measured = {"method": config.method, "dataset": config.dataset, **measured}
        with replacing(target) as path:
            path.write_text(json.dumps(measured, indent=2) + "\n")
        with replacing(Path(workdir) / OUTPUTS_FILE) as path, path.open("wb") as file:
            np.savez(file, ids=ids, **outputs)  # pyright: ignore[reportArgumentType]
        columns = _columns(found, outputs, ids)
        if AESTHETICS in outputs:
            shown = examples.chosen(config, found, outputs, ids, columns=columns)
            with replacing(Path(workdir) / SHOWN_FILE) as path:
                write_shown(shown, path)
        if columns is not None:
            _personalise(config, found, learned, columns, workdir, progress)
            target = Path(workdir) / "summary.json"
        with contextlib.suppress(ImportError):
            write_report([workdir], workdir)
    return target


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


def _outputs(config: Config, found: Problem, learned: Learned, *, progress: bool):
    ids = test_ids(found)
    options = {"ids": ids, "progress": progress}
    return predict(config, found.network, learned, found.dataset.store, **options), ids


def measure(
    config: Config, found: Problem, outputs: dict[str, np.ndarray], ids: np.ndarray
) -> dict[str, Any]:
    """{"generic": metrics, "correlations": trait -> SROCC} on the test images."""
    measured: dict[str, Any] = {}
    if AESTHETICS not in outputs:
        return measured
    found_shares = outputs[AESTHETICS]
    score = np.asarray(unit_score(jnp.asarray(found_shares)))
    truth = sources_of.crowd(found.dataset, "test")
    threshold = config.evaluate.threshold
    if threshold is None:
        train = sources_of.crowd(found.dataset, "train").scores
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
        there = config.copy_and_resolve_references()
        with there.unlocked():
            there.data.update(changes)
        dataset = build.dataset(there, progress=progress)
        other = Problem(dataset, None, found.network)
        outputs, ids = _outputs(there, other, learned, progress=progress)
        outputs = {AESTHETICS: outputs[AESTHETICS]}
        shares = sources_of.crowd(dataset, "test").shares
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
    config: Config, found: Problem, learned: Learned, outputs, ids, progress: bool
) -> dict[str, Any]:
    """{"inter_task": weights and metrics} of PDMTL's last stage (eqs. 5, 6; Fig. 4).

    The weights are fitted to the crowd's mean scores of the training images, all else
    frozen, in closed form with the ridge of `config.fusion.strength`.
    """
    if AESTHETICS not in outputs or found.second is None:
        return {}
    name, dataset = found.second.name, found.dataset
    train = dataset.generic_ids()
    options = {"ids": train, "progress": progress}
    fitted = predict(config, found.network, learned, dataset.store, **options)
    truth = sources_of.crowd(dataset, "train").scores[train]
    fit = jax.jit(functools.partial(fusion_weights, strength=config.fusion.strength))
    weights, _ = fit(
        jnp.asarray(fitted[name]),
        jnp.asarray(truth) - unit_score(jnp.asarray(fitted[AESTHETICS])),
        jnp.ones(len(train), bool),
    )
    score = unit_score(jnp.asarray(outputs[AESTHETICS]))
    score = score + jnp.asarray(outputs[name]) @ weights
    fused = {AESTHETICS: np.asarray(score)[:, None]}
    bare = Problem(dataset, None, found.network)
    measured = measure(config, bare, fused, ids)["generic"]
    named = dict(zip(found.second.outputs, weights.tolist(), strict=True))
    return {"inter_task": {"weights": named, "generic": measured}}


def ten_folds(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Table II: trains and measures with each tenth of the trait users held out.

    Runs lie in `workdir`/fold_0 to fold_9, so that a killed one goes on; the means of
    their traits' SROCC are written to `workdir`/generic.json, whose path is returned.
    """
    from jiaa.cli import run  # which dispatches to this package

    found = []
    for fold in range(10):
        here = config.copy_and_resolve_references()
        with here.unlocked():
            here.second.fold = fold
        folder = Path(workdir) / f"fold_{fold}"
        run.train(here, folder, progress=progress)
        run.evaluate(here, folder, progress=progress)
        found.append(json.loads((folder / GENERIC_FILE).read_text()))
    if not all("traits" in x for x in found):
        raise ConfigError(
            f"config.second.task is {config.second.task!r}; ten folds are over the "
            "users of 'traits'. Set it, and name 'second' in config.generic.tasks"
        )
    means = {
        trait: {
            over: float(np.nanmean([x["traits"][trait][over] for x in found]))
            for over in each
        }
        for trait, each in found[0]["traits"].items()
    }
    measured = {"method": config.method, "dataset": config.dataset, "traits": means}
    measured["folds"] = [x["traits"] for x in found]
    target = Path(workdir) / GENERIC_FILE
    with replacing(target) as path:
        path.write_text(json.dumps(measured, indent=2) + "\n")
    return target


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


def fusion(
    config: Config, found: Problem, learned: Learned, *, shots: int
) -> tuple[Personalizer, PyTree, str]:
    """(method, prior, "outputs" or "images": what its store holds) of `config.fusion`.

    Raises:
      ConfigError: an unknown kind, or options that it cannot take.
    """
    assert found.second is not None
    section, width = build.plain(config.fusion), len(found.second.outputs)
    kind = section["kind"]
    if kind not in KINDS:
        raise ConfigError(f"config.fusion.kind is {kind!r}; {expected(kind, KINDS)}")
    if kind == "released":
        return *_released(config, found, learned), "images"
    if kind == "steps":
        names = ("epochs", "batch_size", "rate")
        method = stepped_fusion(
            shots=shots, width=width, **{name: section[name] for name in names}
        )
    else:
        options = {name: section[name] for name in ("strength", "offset")}
        method = construct("fusion", RidgeFusion, width=width, **options)
    return method, fusion_prior(width), "outputs"


def _released(
    config: Config, found: Problem, learned: Learned
) -> tuple[Personalizer, PyTree]:
    """The released program's second stage; its small network starts at weights 0."""
    assert found.second is not None
    if config.trunk.frozen:
        raise ConfigError(
            "config.fusion.kind='released' adapts the whole network; set "
            "config.trunk.frozen=False, or another kind"
        )
    small = Branch(
        hidden=tuple(config.fusion.hidden),
        outputs=len(found.second.outputs),
        output="linear",
        zero=True,
    )
    first: Any = found.network
    network = WeightedFusion(first, small, found.second.name)
    width = 0
    for name, leaf in jax.tree_util.tree_leaves_with_path(learned.variables["params"]):
        if jax.tree_util.keystr(name).endswith(
            "branches_aesthetics']['dense1']['kernel']"
        ):
            width = leaf.shape[0]
    features = jnp.zeros((2, width))
    key = jax.random.key(config.seed)
    params = {
        "network": learned.variables["params"],
        "weights": small.init(key, features)["params"],
    }
    prior = {
        "params": jax.tree.map(jnp.asarray, params),
        "batch_stats": {
            "network": jax.tree.map(jnp.asarray, learned.variables["batch_stats"])
        },
    }
    rates = (("weights/.*", 1e-3), (".*", 1e-5))
    loop = InnerLoop(
        network,
        view=build.image_view(config),
        optimizer=InnerOptimizer("adam", rates),
    )
    return Finetune(loop, steps=config.fusion.steps), prior


def output_store(
    images: int, outputs: dict[str, np.ndarray], ids: np.ndarray, *, second: str
) -> ImageStore:
    """Column 0 the generic unit score, then the second task's outputs; a row an image.

    Rows that `ids` lack are 0.
    """
    score = np.asarray(unit_score(jnp.asarray(outputs[AESTHETICS])))
    columns: Float[np.ndarray, "image column"] = np.zeros(
        (images, 1 + outputs[second].shape[1]), np.float32
    )
    columns[ids, 0], columns[ids, 1:] = score, outputs[second]
    return ImageStore(features=jnp.asarray(columns))


def _personalise(config, found: Problem, learned, columns, workdir, progress):
    """Table V and Fig. 6: every test user, every number of ratings."""
    assert found.second is not None
    dataset = found.dataset
    tasks = dataset.split("test")
    section = build.plain(config.evaluate)
    del section["threshold"], section["databases"]
    shots = section.pop("shots")
    key = jax.random.key(section.pop("seed"))
    parts = []
    for count in shots:
        method, prior, content = fusion(config, found, learned, shots=count)
        parts.append(
            protocols.personalization(
                method,
                prior,
                tasks,
                columns if content == "outputs" else dataset.store,
                shots=(count,),
                names=dataset.workers,
                progress=progress,
                key=key,
                **section,
            )
        )
    measured = evaluation_results.joined(parts)
    evaluation_results.write(
        measured,
        workdir,
        method=config.method,
        dataset=config.dataset,
        names=dataset.workers,
    )
