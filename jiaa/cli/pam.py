"""PAM's protocols on a finished generic run: Tables 3 and 4, Figures 4, 5 and 6.

The generic run gives a trunk's features and generic scores. Where the dataset's images
have the ten attributes, the attribute network and the content classes are learned from
training images; else the regressors read the trunk's features.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jiaa import evaluate, metrics
from jiaa.cli import build
from jiaa.cli.finished import open_run
from jiaa.cli.options import Config, ConfigError, unknown
from jiaa.cli.settings import recorded_config
from jiaa.data import Dataset
from jiaa.data.store import replacing
from jiaa.data.synthetic import ATTRIBUTES
from jiaa.evaluate import results as evaluation_results
from jiaa.evaluate.active import Curves, active_curves
from jiaa.evaluate.fake_workers import fake_worker_ranks
from jiaa.models.attributes import AttributeNetwork, Hidden
from jiaa.models.column import Column
from jiaa.personalize import BayesianRidge, NuSVR, Residual
from jiaa.personalize.active import STRATEGIES, ActiveLearner, Album, make_album
from jiaa.personalize.factorization import (
    Factorization,
    FeatureFactors,
    fit_factorization,
)
from jiaa.personalize.residual import generic_scores
from jiaa.report import curves as report_curves
from jiaa.report.figures import save
from jiaa.train.attributes import fit_attributes, fit_content
from jiaa.types import ImageStore, Personalizer, UserTasks

Spans = dict[str, tuple[int, int]]


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What PAM's methods read of each image, and who rated what.

    Attributes:
      dataset: the run's.
      store: blocks of features, one after another; the last column is the generic
        score.
      spans: block -> first and last + 1 of its columns: "attributes", "content",
        "both" (the two) and "aesthetic", or "aesthetic" alone.
      attributes: each image's true ones, if the dataset has them.
    """

    dataset: Dataset
    store: ImageStore
    spans: Spans
    attributes: Float[np.ndarray, "image attribute"] | None = None

    @property
    def personal(self) -> str:
        """The block that PAM's regressor reads."""
        return "both" if "both" in self.spans else "aesthetic"


def load_features(
    workdir: str | os.PathLike[str], *, seed: int = 0, progress: bool = True
) -> Features:
    """The features of a finished generic run, whose config knows the dataset."""
    config = recorded_config(workdir)
    dataset = build.dataset(config, progress=progress)
    everything = np.arange(len(dataset.image_names))
    run = open_run(
        config, workdir, dataset=dataset, image_ids=everything, progress=progress
    )
    trunk = jnp.asarray(run.problem.store.features)
    network = build.model(config)
    generic = generic_scores(network, run.problem.prior, trunk)
    blocks: dict[str, Any] = {}
    attributes = None
    if set(ATTRIBUTES) <= set(dataset.metadata):
        columns = [np.asarray(dataset.metadata[name]) for name in ATTRIBUTES]
        attributes = np.stack(columns, axis=1).astype(np.float32)
        ids = dataset.generic_ids()
        blocks["attributes"], _ = _attributes(dataset, trunk, attributes, seed=seed)
        content = fit_content(np.asarray(trunk)[ids], key=jax.random.key(seed))
        blocks["content"] = content(trunk)
    blocks["aesthetic"] = trunk
    spans, start = {}, 0
    for name, block in blocks.items():
        spans[name] = (start, start + block.shape[1])
        start += block.shape[1]
    if "content" in spans:
        spans["both"] = (0, spans["content"][1])
    whole = jnp.concatenate([*blocks.values(), generic[:, None]], axis=1)
    return Features(dataset, ImageStore(features=whole), spans, attributes)


def _attributes(dataset, trunk, truth, *, seed, joint=True):
    """Every image's predicted attributes, by a network of the training images."""
    ids = dataset.generic_ids()
    network = AttributeNetwork(Hidden(), truth.shape[1])
    rated = (trunk[ids], jnp.asarray(dataset.mean_scores[ids]))
    if not joint:  # the aesthetic scores say nothing
        rated = (rated[0], jnp.zeros(len(ids)))
    described = (trunk[ids], jnp.asarray(truth[ids]))
    key = jax.random.key(seed)
    params = fit_attributes(network, rated, described, key=key)
    predicted: Any = network.apply({"params": params}, trunk)
    return predicted["attributes"], params


def methods(
    features: Features,
    *,
    svr: Mapping[str, Any],
    ridge: Mapping[str, Any],
    decay: float = 0.5,
) -> dict[str, Personalizer]:
    """Table 4's methods, and Bayesian ridge; `svr` and `ridge` are their options.

    `decay` is that of the factorisation, which its prior was trained with.
    """
    width = features.store.content.shape[1]
    columns = features.spans[features.personal]
    shared: dict[str, Any] = {"model": Column(), "width": width, "columns": columns}
    machine = NuSVR(**svr)
    return {
        "svm": Residual(**shared, regressor=machine, target="score"),
        "fpmf": Factorization(Column(), FeatureFactors(), columns=columns, decay=decay),
        "pam": Residual(**shared, regressor=machine),
        "bayesian_ridge": Residual(**shared, regressor=BayesianRidge(**ridge)),
    }


def prior_of(features: Features, *, seed: int = 0, **options: Any) -> dict[str, Any]:
    """What all methods share: the training raters' factorisation."""
    columns = slice(*features.spans[features.personal])
    learned = fit_factorization(
        features.store.content[:, columns],
        features.dataset.split("train"),
        network=FeatureFactors(),
        key=jax.random.key(seed),
        **options,
    )
    return {"params": {}, "batch_stats": {}, "factorization": learned}


def table4(
    features: Features,
    chosen: Mapping[str, Personalizer],
    out: str | os.PathLike[str],
    *,
    prior: Mapping[str, Any],
    shots: tuple[int, ...] = (10, 100),
    repeats: int = 50,
    split: str = "test",
    progress: bool = True,
) -> dict[str, list[dict[str, Any]]]:
    """Every method on all users x splits; its results are files in out/METHOD."""
    tasks, found = features.dataset.split(split), {}
    for name, method in chosen.items():
        measured = evaluate.personalization(
            method,
            prior,
            tasks,
            features.store,
            shots=shots,
            repeats=repeats,
            names=features.dataset.workers,
            progress=progress,
            key=jax.random.key(0),
        )
        evaluation_results.write(
            measured,
            Path(out) / name,
            method=name,
            dataset=features.dataset.name,
            names=features.dataset.workers,
        )
        found[name] = evaluation_results.summarise(measured)
    return found


def feature_variants(
    features: Features, *, svr: Mapping[str, Any]
) -> dict[str, Personalizer]:
    """Figure 5a: PAM on each block of features alone."""
    width = features.store.content.shape[1]
    return {
        f"pam_{name}": Residual(
            Column(), width, regressor=NuSVR(**svr), columns=columns
        )
        for name, columns in features.spans.items()
    }


def table3(features: Features, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """SROCC of each attribute on the test images: jointly learned, and alone.

    Raises:
      ValueError: the dataset's images have no attributes.
    """
    if features.attributes is None:
        raise ValueError(f"{features.dataset.name!r} has no attributes of its images")
    trunk = features.store.content[:, slice(*features.spans["aesthetic"])]
    test = np.flatnonzero(features.dataset.image_split == "test")
    rows: dict[str, dict[str, float]] = {}
    for name, joint in (("jointly", True), ("alone", False)):
        predicted, _ = _attributes(
            features.dataset, trunk, features.attributes, seed=seed, joint=joint
        )
        rows[name] = {
            attribute: float(
                metrics.spearman(
                    predicted[test, k],
                    jnp.asarray(features.attributes[test, k]),
                    jnp.ones(len(test), bool),
                ).value
            )
            for k, attribute in enumerate(ATTRIBUTES)
        }
    return rows


def figure4(
    features: Features, *, images: tuple[int, ...], noises: tuple[float, ...], **options
) -> list[dict[str, float]]:
    """Mean rank of ten fake workers; real ones are training raters with over 150."""
    tasks = features.dataset.split("train")
    active = np.asarray(tasks.mask).sum(axis=1) > 150
    columns = slice(*features.spans[features.personal])
    rows = []
    for noise in noises:
        for count in images:
            ranks = fake_worker_ranks(
                features.store.content[:, columns],
                features.dataset.mean_scores,
                tasks[active],
                images=count,
                noise=noise,
                key=jax.random.key(0),
                **options,
            )
            rows.append(
                {
                    "noise": noise,
                    "images": count,
                    "workers": int(active.sum()),
                    "rank": float(ranks.mean()),
                    "std": float(ranks.std()),
                }
            )
    return rows


def albums_of(features: Features, tasks: UserTasks, **options: Any) -> Album:
    """Each user's album, image i being that of their rating i."""
    personal = slice(*features.spans[features.personal])
    aesthetic = slice(*features.spans["aesthetic"])

    def album(ids, mask):
        rows = features.store.content[ids]
        return make_album(
            rows[:, personal],
            rows[:, -1],
            mask=mask,
            visual=rows[:, aesthetic],
            **options,
        )

    return jax.vmap(album)(jnp.asarray(tasks.image_ids), jnp.asarray(tasks.mask))


def figure6(
    features: Features,
    out: str | os.PathLike[str],
    *,
    machine: Mapping[str, Any],
    album: Mapping[str, Any],
    strategies: tuple[str, ...] = tuple(STRATEGIES),
    split: str = "test",
    last: int = 100,
    held_out: int = 0,
    **options: Any,
) -> Curves:
    """Curves of the strategies; curves.json and curves.png in `out`.

    With `held_out` images, users who rated too few for them are left out: all users'
    curves go to `last`.
    """
    tasks = features.dataset.split(split)
    counts = np.asarray(tasks.mask).sum(axis=1)
    tasks = tasks[counts >= last + max(held_out, 2)]
    learners = {name: ActiveLearner(name, **machine) for name in strategies}
    measured = active_curves(
        learners,
        albums_of(features, tasks, **album),
        tasks,
        last=last,
        held_out=held_out,
        key=jax.random.key(0),
        **options,
    )
    figure = report_curves.active_curves(measured, dataset=features.dataset.name)
    save(figure, Path(out) / "curves.png")
    write_json(Path(out) / "curves.json", report_curves.rows(measured))
    return measured


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n")


def run(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """The protocols of `config.pam`, on the generic run that `config.prior` names.

    Writes protocols.json, and what each protocol writes, into the workdir.

    Raises:
      ConfigError: no generic run is named, or a protocol is unknown.
    """
    section, out = build.plain(config.pam), Path(workdir)
    for name in section["protocols"]:
        if name not in PROTOCOLS:
            raise unknown("config.pam.protocols", name, list(PROTOCOLS))
    if not config.prior:
        raise ConfigError("config.prior is empty; name the workdir of a generic run")
    features = load_features(config.prior, progress=progress)
    repeats = {name: config.evaluate[name] for name in ("shots", "repeats")}
    settings = {**section, "evaluate": {**repeats, "progress": progress}}
    said = {
        name: PROTOCOLS[name](features, out, settings) for name in section["protocols"]
    }
    target = out / "protocols.json"
    write_json(target, said)
    return target


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
            row["shots"]: (row["mean"] - row["generic"], row["std"])
            for row in rows
            if row["metric"] == "srocc"
        }
        for name, rows in found.items()
    }
    figure = report_curves.feature_bars(gains, dataset=features.dataset.name)
    save(figure, out / "features.png")
    return found


def _run_figure6(features, out, settings):
    return report_curves.rows(figure6(features, out, **settings["active"]))


PROTOCOLS: dict[str, Callable[..., Any]] = {
    "table3": lambda features, out, settings: table3(features),
    "table4": _run_table4,
    "figure4": lambda features, out, settings: figure4(features, **settings["figure4"]),
    "figure5a": _run_figure5a,
    "figure6": _run_figure6,
}
