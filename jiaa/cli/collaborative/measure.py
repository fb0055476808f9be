"""CFAN's protocols on held-out pairs, written into a workdir."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jiaa.cli.collaborative.problem import Opened
from jiaa.data.store import replacing
from jiaa.evaluate import collaborative as protocol
from jiaa.evaluate.results import FIELDS
from jiaa.report import collaborative as report
from jiaa.report import figures


def held_out_pairs(problem: Opened, params: PyTree, workdir: Path) -> Path:
    """results.csv, summary.json and report.md of one run; the path of the summary.

    A network that reads reviews is measured with the attention that it was trained
    with.
    """
    started = time.perf_counter()
    config, source = problem.config, problem.objective.attends_to
    results = _measure(problem, params, source=source)
    reads = bool(problem.network.attends or problem.network.reads_only)  # pyright: ignore
    summary = {
        "method": config.method,
        "dataset": config.dataset,
        "protocol": "pairs",
        "attends_to": source if reads else None,
        "seconds": round(time.perf_counter() - started, 3),
        "pairs": {
            "train": len(problem.pairs.train),
            "test": len(problem.pairs.test),
        },
        "results": results,
    }
    _write_table(workdir / "results.csv", summary, seed=config.seed)
    target = workdir / "summary.json"
    with replacing(target) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
    if problem.network.attends:  # pyright: ignore
        _draw_attention(problem, params, workdir)
    report.write_pairs_report([workdir], workdir)
    return target


def _measure(problem: Opened, params: PyTree, *, source: str) -> list[dict[str, Any]]:
    """A row for each metric: of all pairs, by tag, and by ratings of the image."""
    test = problem.pairs.test
    logits = predictions(problem, params, source=source)
    scores = logits["user"] if "user" in logits else logits["crowd"]
    limits = np.zeros(problem.pairs.users)
    if problem.objective.pairwise:
        own = predictions(problem, params, source=source, train=True)
        limits = protocol.user_thresholds(own["user"], problem.pairs.train)
    measured = protocol.pair_metrics(scores, test, threshold=limits)
    reviews = np.bincount(problem.pairs.train.image, minlength=problem.pairs.images)
    edges = tuple(problem.config.evaluate.edges)
    by_reviews = protocol.by_reviews(
        scores, test, reviews, edges=edges, threshold=limits
    )
    margin = logits.get("crowd", scores)
    if problem.objective.pairwise:
        # Users' scores have no common scale, and a threshold may be infinite.
        margin = np.where(scores > limits[test.user], 1.0, -1.0)
    tags = _by_tag(problem, margin)
    return _rows(measured, tags, by_reviews, names=problem.pairs.tags)


def _draw_attention(problem: Opened, params: PyTree, workdir: Path) -> None:
    """Fig. 4: the photograph with most pairs, and its two most active users."""
    pairs = problem.pairs.train
    image = int(np.bincount(np.asarray(pairs.image)).argmax())
    rows = np.flatnonzero(np.asarray(pairs.image) == image)
    users = np.asarray(pairs.user)[rows]
    first = np.argsort(-np.asarray(pairs.count)[users], kind="stable")[:2]
    maps = protocol.attention(
        params,
        pairs,
        jnp.asarray(rows[first]),
        problem.material,
        network=problem.network,
        source=problem.objective.attends_to,
        reviews=problem.config.evaluate.reviews,
        key=jax.random.key(problem.config.evaluate.seed),
    )
    photograph = np.asarray(problem.dataset.store.content[image])
    names = [problem.pairs.workers[user] for user in users[first]]
    drawn = report.attention_figure(photograph, np.asarray(maps), names)
    name = Path(problem.dataset.image_names[image]).stem
    figures.save(drawn, workdir / f"attention_{name}.png")


def predictions(
    problem: Opened, params: PyTree, *, source: str, train: bool = False
) -> dict[str, np.ndarray]:
    """Logits of the held-out pairs, or of the training ones."""
    pairs = problem.pairs.train if train else problem.pairs.test
    images = problem.material.store is not None and (
        problem.material.store.images is not None
    )
    return protocol.predict_all(
        params,
        pairs,
        problem.material,
        network=problem.network,
        batch_size=64 if images else 1024,
        source=source,
        reviews=problem.config.evaluate.reviews,
        key=jax.random.key(problem.config.evaluate.seed),
    )


def _by_tag(
    problem: Opened, margin: np.ndarray
) -> tuple[Float[np.ndarray, " tag"], float]:
    """Fig. 7, from the held-out pairs of each image."""
    pairs, labels = problem.pairs, problem.pairs.labels
    rows, verdict = protocol.image_verdicts(
        margin, np.asarray(pairs.test.image), images=pairs.images
    )
    return protocol.by_tag(
        verdict,
        np.asarray(labels.crowd_good)[rows],
        np.asarray(labels.tag)[rows],
        tags=len(pairs.tags),
    )


def _rows(measured, tags, by_reviews, *, names) -> list[dict[str, Any]]:
    """One row a metric, with the keys that all summaries have."""

    def row(metric: str, value: float, **further: Any) -> dict[str, Any]:
        mean = float(value) if np.isfinite(value) else None
        common = {"std": None, "generic": None, "repeats": 1, "skipped": 0}
        users = int(measured["users"])
        return {
            "shots": 0,
            "metric": metric,
            "mean": mean,
            **common,
            "users": users,
            **further,
        }

    rows = [row(name, measured[name]) for name in ("auc", "user_auc", "accuracy")]
    each, overall = tags
    rows.append(row("crowd_accuracy", overall, tag="all"))
    rows += [
        row("crowd_accuracy", x, tag=tag) for tag, x in zip(names, each, strict=True)
    ]
    for found in by_reviews:
        further = {"reviews_from": int(found["from"]), "pairs": int(found["pairs"])}
        rows += [
            row(f"{x}_by_reviews", found[x], **further) for x in ("auc", "accuracy")
        ]
    return rows


def _write_table(path: Path, summary: dict[str, Any], *, seed: int) -> None:
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in summary["results"]:
            extra = row.get("tag", row.get("reviews_from", "all"))
            value = "nan" if row["mean"] is None else f"{row['mean']:.7g}"
            key = (summary["method"], summary["dataset"], extra, 0, seed)
            writer.writerow((*key, row["metric"], value))
