"""PAM's tables and figures (ICCV 2017), each a function of a run's `Features`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jiaa import evaluate, metrics
from jiaa.cli.pam_features import Features, predicted_attributes
from jiaa.data.store import replacing
from jiaa.data.synthetic import ATTRIBUTES
from jiaa.evaluate import results as evaluation_results
from jiaa.evaluate.active import Curves, active_curves
from jiaa.evaluate.fake_workers import fake_worker_ranks
from jiaa.models.column import Column
from jiaa.personalize import BayesianRidge, NuSVR, Residual
from jiaa.personalize.active import STRATEGIES, ActiveLearner, Album, make_album
from jiaa.personalize.factorization import (
    Factorization,
    FeatureFactors,
    fit_factorization,
)
from jiaa.report import curves as report_curves
from jiaa.report.figures import save
from jiaa.types import Personalizer, UserTasks


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
    seed: int = 0,
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
            key=jax.random.key(seed),
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
    content = features.store.content
    trunk = content[:, slice(*features.spans["aesthetic"])]
    predicted = {
        "jointly": content[:, slice(*features.spans["attributes"])],
        "alone": predicted_attributes(
            features.dataset, trunk, features.attributes, seed=seed, joint=False
        ),
    }
    test = np.flatnonzero(features.dataset.image_split == "test")
    truth = jnp.asarray(features.attributes[test])
    mask = jnp.ones(len(test), bool)
    by_attribute = jax.vmap(metrics.spearman, in_axes=(1, 1, None))
    return {
        name: dict(
            zip(
                ATTRIBUTES,
                by_attribute(columns[test], truth, mask).value.tolist(),
                strict=True,
            )
        )
        for name, columns in predicted.items()
    }


def figure4(
    features: Features,
    *,
    images: tuple[int, ...],
    noises: tuple[float, ...],
    above: int = 150,
    **options: Any,
) -> list[dict[str, float]]:
    """Mean rank of ten fake workers among training raters of `above` images and more.

    Raises:
      ValueError: nobody rated as many.
    """
    tasks = features.dataset.split("train")
    counts = np.asarray(tasks.mask).sum(axis=1)
    active = counts > above
    if not active.any():
        raise ValueError(
            f"above={above}; expected fewer than {counts.max()}, which is what the "
            "most active training rater rated"
        )
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


def albums_of(
    features: Features, tasks: UserTasks, *, visual: str = "aesthetic", **options: Any
) -> Album:
    """Each user's album, image i being that of their rating i.

    Args:
      features: of all images.
      tasks: the users.
      visual: the block that likeness is measured by, beside the generic score.
      **options: of `make_album`.

    Raises:
      ValueError: there is no such block; lists those there are.
    """
    if visual not in features.spans:
        raise ValueError(f"visual={visual!r}; expected one of {list(features.spans)}")
    personal = slice(*features.spans[features.personal])
    seen = slice(*features.spans[visual])

    def album(user):
        ids, mask = user
        rows = features.store.content[ids]
        return make_album(
            rows[:, personal], rows[:, -1], mask=mask, visual=rows[:, seen], **options
        )

    # One after another: features of a whole split's albums need not fit into memory.
    return jax.lax.map(album, (jnp.asarray(tasks.image_ids), jnp.asarray(tasks.mask)))


def users_with(tasks: UserTasks, *, last: int, held_out: int) -> UserTasks:
    """Those who rated enough for curves up to `last` that leave images to measure on.

    Raises:
      ValueError: nobody did.
    """
    counts, least = np.asarray(tasks.mask).sum(axis=1), last + max(held_out, 2)
    if counts.max() < least:
        raise ValueError(
            f"last={last}, held_out={held_out}; expected users with at least {least} "
            f"ratings, but the most that one gave is {counts.max()}. Lower last or "
            "held_out"
        )
    return tasks[counts >= least]


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
    seed: int = 0,
    **options: Any,
) -> Curves:
    """Curves of the strategies; curves.json and curves.png in `out`.

    All users' curves go to `last`: those who rated too few are left out. `machine` is
    for `ActiveLearner`, `album` for `albums_of`, all others for `active_curves`.

    Raises:
      ValueError: nobody rated enough.
    """
    tasks = users_with(features.dataset.split(split), last=last, held_out=held_out)
    measured = active_curves(
        {name: ActiveLearner(name, **machine) for name in strategies},
        albums_of(features, tasks, **album),
        tasks,
        last=last,
        held_out=held_out,
        key=jax.random.key(seed),
        **options,
    )
    write_curves(measured, out, name="curves", dataset=features.dataset.name)
    return measured


def figure5b(
    features: Features,
    out: str | os.PathLike[str],
    *,
    machine: Mapping[str, Any],
    album: Mapping[str, Any],
    split: str = "test",
    last: int = 100,
    held_out: int = 0,
    seed: int = 0,
    **options: Any,
) -> Curves:
    """Diversity alone, both criteria, and both with likeness by PAM's own features.

    As `figure6`, in criteria.json and criteria.png. Where images have no attributes,
    the last is left out: the features are the same.
    """
    tasks = users_with(features.dataset.split(split), last=last, held_out=held_out)
    measured: list[Curves] = []
    aesthetic = {**album, "visual": "aesthetic"}
    own = {**album, "visual": features.personal}
    for strategies, chosen in (
        ({"diversity": "diversity", "active_pam": "active_pam"}, aesthetic),
        ({"active_pam_own_features": "active_pam"}, own),
    )[: 1 if features.personal == "aesthetic" else 2]:
        measured.append(
            active_curves(
                {k: ActiveLearner(name, **machine) for k, name in strategies.items()},
                albums_of(features, tasks, **chosen),
                tasks,
                last=last,
                held_out=held_out,
                key=jax.random.key(seed),
                **options,
            )
        )
    joined = Curves(
        measured[0].ratings,
        *(
            {name: x for part in measured for name, x in getattr(part, field).items()}
            for field in ("values", "generic", "seconds")
        ),
    )
    write_curves(joined, out, name="criteria", dataset=features.dataset.name)
    return joined


def write_curves(
    curves: Curves, out: str | os.PathLike[str], *, name: str, dataset: str
) -> None:
    """NAME.json and NAME.png in `out`."""
    figure = report_curves.active_curves(curves, dataset=dataset)
    save(figure, Path(out) / f"{name}.png")
    write_json(Path(out) / f"{name}.json", report_curves.rows(curves))


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=2) + "\n")
