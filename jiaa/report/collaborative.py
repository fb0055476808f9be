"""Tables and figures of CFAN's protocols: Table 1 and Figs. 2, 4, 7, 8 and 9."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from jiaa.data.reviews.statistics import ReviewStatistics
from jiaa.data.store import replacing
from jiaa.report import figures
from jiaa.report.published import LABELS
from jiaa.report.runs import dataset_label, is_synthetic
from jiaa.report.tables import DASH, markdown

# The methods of the paper's figures; without them, a figure shows all.
FIG_7, FIG_9 = ("mtrlcnn", "cfn_pure", "cfan_3"), ("cfn_1", "cfan_1")
METRICS = {"auc": "AUC", "user_auc": "AUC per user", "accuracy": "accuracy"}
OPEN = """\
**Attention of this run came from the review of the pair itself.** That is the paper's
reading. The review says what the user thinks, so the prediction has seen the answer:
the number says how well a rating is read from a review, not how well it is foreseen."""
CLOSED = """\
Attention came from the users' training reviews of other photographs: nothing that a
user wrote about a photograph helps to predict what they think of it."""
SYNTHETIC = """\
**These numbers are synthetic.** Photographs, users and reviews were generated."""
NOTE = """\
A share of the pairs of user and image is held out; users and images are on both sides.
*AUC* is over all held-out pairs, *AUC per user* the mean over users of their own.
Methods that only rank call as many of a user's images good as the user did in
training."""


def read_summary(workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """summary.json of a run of the pairs' protocol.

    Raises:
      FileNotFoundError: it was not evaluated.
      ValueError: it is of another protocol.
    """
    path = Path(workdir) / "summary.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: run scripts/evaluate.py with the same --config "
            "and --workdir first"
        )
    summary = json.loads(path.read_text())
    if summary.get("protocol") != "pairs":
        raise ValueError(f"{path} is no summary of held-out pairs; see report.write")
    return summary


def value(summary: Mapping[str, Any], metric: str, **further: Any) -> float | None:
    """A metric of a summary, or None where it does not exist."""
    for row in summary["results"]:
        matches = all(row.get(name) == x for name, x in further.items())
        if row["metric"] == metric and matches:
            return row["mean"]
    return None


def label(summary: Mapping[str, Any]) -> str:
    """The method's name, with the attention that it had."""
    name = str(LABELS.get(summary["method"], summary["method"]))
    source = summary.get("attends_to")
    return f"{name}, own review" if source == "own" else name


def methods_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Fig. 8 as a table: mean and spread over runs of one method (other seeds)."""
    rows = []
    for name, group in by_label(summaries).items():
        cells = [
            spread([value(summary, metric) for summary in group]) for metric in METRICS
        ]
        rows.append([name, *cells, str(len(group))])
    return markdown(["method", *METRICS.values(), "runs"], rows)


def by_label(
    summaries: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    """Summaries of each method, in the order of their first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for summary in summaries:
        groups.setdefault(label(summary), []).append(summary)
    return groups


def spread(values: Sequence[float | None]) -> str:
    """`.871 ± .004`, the standard deviation over runs; a dash where there is none."""
    known = [x for x in values if x is not None]
    if not known:
        return DASH
    if len(known) == 1:
        return f"{known[0]:.3f}"
    return f"{np.mean(known):.3f} ± {np.std(known):.3f}"


def statistics_table(
    columns: Mapping[str, ReviewStatistics],
) -> str:
    """Table 1: a row a statistic, a column a tag."""
    header = ["", *columns]
    rows = [
        ["reviews an image", *(f"{x.reviews_per_image:.3f}" for x in columns.values())],
        ["users an image", *(f"{x.users_per_image:.3f}" for x in columns.values())],
        ["reviews a user", *(f"{x.reviews_per_user:.3f}" for x in columns.values())],
    ]
    for title, field in (
        ("range, reviews an image", "reviews_of_an_image"),
        ("range, users an image", "users_of_an_image"),
        ("range, reviews a user", "reviews_of_a_user"),
    ):
        ranges = [getattr(x, field) for x in columns.values()]
        rows.append([title, *(f"[{low}, {high}]" for low, high in ranges)])
    rows.append(["images", *(str(x.images) for x in columns.values())])
    return markdown(header, rows)


def tags_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Fig. 7 as a table: user-agnostic accuracy by tag, and of all images."""
    groups = by_label(shown(summaries, FIG_7))
    first = summaries[0]["results"]
    rows = []
    for tag in (r["tag"] for r in first if r["metric"] == "crowd_accuracy"):
        cells = [
            spread([value(x, "crowd_accuracy", tag=tag) for x in group])
            for group in groups.values()
        ]
        rows.append([tag, *cells])
    return markdown(["tag", *groups], rows)


def tags_figure(summaries: Sequence[Mapping[str, Any]]) -> Figure:
    """Fig. 7: user-agnostic accuracy by tag, bars over runs' spread; all tags last."""
    groups = by_label(shown(summaries, FIG_7))
    first = summaries[0]["results"]
    tags = [r["tag"] for r in first if r["metric"] == "crowd_accuracy"]
    tags = [*(x for x in tags if x != "all"), "all"]
    columns = {
        name: [
            [value(summary, "crowd_accuracy", tag=tag) for summary in group]
            for tag in tags
        ]
        for name, group in groups.items()
    }
    # AVA's tags are numbers.
    places = [f"tag {x}" if x.isdigit() else x for x in tags]
    return _bars(columns, places, least=0.0)


def shown(
    summaries: Sequence[Mapping[str, Any]], methods: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Summaries of some methods with users' other reviews; all if there are none."""
    found = [
        summary
        for summary in summaries
        if summary["method"] in methods and summary.get("attends_to") != "own"
    ]
    return found or list(summaries)


def _bars(
    columns: Mapping[str, Sequence[Sequence[float | None]]],
    places: Sequence[str],
    *,
    least: float,
) -> Figure:
    """Bars of each column's means side by side at each place, with their spreads."""
    figure = Figure(figsize=(max(6.0, 1.2 * len(places)), 3.8), layout="constrained")
    axes = figure.subplots()
    where, width = np.arange(len(places)), 0.8 / len(columns)
    for index, (title, cells) in enumerate(columns.items()):
        known = [[x for x in cell if x is not None] for cell in cells]
        means = [float(np.mean(x)) if x else np.nan for x in known]
        errors = [float(np.std(x)) if x else np.nan for x in known]
        color, _ = figures.series(index)
        shift = (index - (len(columns) - 1) / 2) * width
        axes.bar(where + shift, means, width, yerr=errors, color=color, label=title)
    axes.set_xticks(where, labels=places, rotation=20, ha="right")
    axes.set_ylim(least, 1.0)
    axes.axhline(0.5, color="0.4", linestyle=":", linewidth=1)
    figure.legend(frameon=False, fontsize=9, ncols=4, loc="outside upper left")
    return figure


def methods_figure(summaries: Sequence[Mapping[str, Any]]) -> Figure:
    """Fig. 8: AUC and accuracy of all methods, bars over runs' spread."""
    groups = by_label(summaries)
    columns = {
        title: [[value(s, metric) for s in group] for group in groups.values()]
        for metric, title in METRICS.items()
    }
    return _bars(columns, list(groups), least=0.4)


def reviews_figure(summaries: Sequence[Mapping[str, Any]]) -> Figure:
    """Fig. 9: AUC and accuracy against the number of training ratings of the image.

    The ranges' numbers of held-out pairs, below them, are those of the first run.
    """
    summaries = shown(summaries, FIG_9)
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    ranges = [r for r in summaries[0]["results"] if r["metric"] == "auc_by_reviews"]
    edges = [r["reviews_from"] for r in ranges]
    ends = [f" to {high - 1}" for high in edges[1:]] + [" and more"]
    for axes, metric in zip(panels, ("auc", "accuracy"), strict=True):
        for index, (name, group) in enumerate(by_label(summaries).items()):
            means = [
                _mean(group, f"{metric}_by_reviews", reviews_from=edge)
                for edge in edges
            ]
            color, marker = figures.series(index)
            axes.plot(means, color=color, marker=marker, label=name)
        labels = [
            f"{row['reviews_from']}{end}\nn = {row['pairs']}"
            for row, end in zip(ranges, ends, strict=True)
        ]
        axes.set_xticks(range(len(edges)), labels=labels, fontsize=8)
        axes.set_xlabel("training ratings of the image")
        axes.set_ylabel(METRICS[metric])
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def _mean(group: Sequence[Mapping[str, Any]], metric: str, **further: Any) -> float:
    """A metric's mean over runs; NaN where none has it."""
    found = [value(summary, metric, **further) for summary in group]
    known = [x for x in found if x is not None]
    return float(np.mean(known)) if known else float("nan")


def attention_figure(
    image: UInt8[np.ndarray, "height width 3"],
    maps: Float[np.ndarray, "user row column"],
    names: Sequence[str],
) -> Figure:
    """Fig. 4: a photograph, and over it where each user looks; one scale for all."""
    figure = Figure(figsize=(3.0 * (1 + len(maps)), 3.6), layout="constrained")
    panels = figure.subplots(1, 1 + len(maps))
    height, width = image.shape[:2]
    panels[0].imshow(image)
    panels[0].set_title("photograph")
    for axes, weights, name in zip(panels[1:], maps, names, strict=True):
        axes.imshow(image)
        drawn = axes.imshow(
            weights,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            cmap="inferno",
            alpha=0.6,
            interpolation="bilinear",
            vmin=float(maps.min()),
            vmax=float(maps.max()),
        )
        axes.set_title(name)
    figure.colorbar(drawn, ax=panels, shrink=0.7, label="attention")
    for axes in panels:
        axes.set_axis_off()
    return figure


def levels_figure(
    votes: Float[np.ndarray, " star"], levels: Float[np.ndarray, " level"]
) -> Figure:
    """Fig. 2: an image's votes, and the levels that its reviews were given."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, shares, title, unit in (
        (left, votes / votes.sum(), "votes", "stars"),
        (right, levels, "reviews", "level"),
    ):
        places = np.arange(1, len(shares) + 1)
        axes.bar(places, shares, color=figures.BLUE)
        axes.set_xticks(places)
        axes.set_xlabel(unit)
        axes.set_title(title)
    left.set_ylabel("share")
    return figure


def write_pairs_report(
    workdirs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]
) -> Path:
    """Writes `out`/report.md and its figures, from evaluated runs on one dataset.

    Raises:
      FileNotFoundError: a run was not evaluated.
      ValueError: no runs, or runs on several datasets or of another protocol.
    """
    summaries = [read_summary(workdir) for workdir in workdirs]
    datasets = {summary["dataset"] for summary in summaries}
    if len(datasets) != 1:
        raise ValueError(f"expected runs on one dataset, got {sorted(datasets)}")
    out = Path(out)
    (dataset,) = datasets
    parts = [f"# Held-out pairs on {dataset_label(dataset)}", NOTE]
    if is_synthetic(dataset):
        parts.append(SYNTHETIC)
    sources = {summary["attends_to"] for summary in summaries}
    parts += [
        text for key, text in (("own", OPEN), ("others", CLOSED)) if key in sources
    ]
    parts += ["## Methods (Fig. 8)", methods_table(summaries)]
    figures.save(methods_figure(summaries), out / "methods.png")
    parts.append("![methods](methods.png)")
    parts += ["## Against ratings of the image (Fig. 9)"]
    figures.save(reviews_figure(summaries), out / "by_reviews.png")
    parts.append("![by reviews](by_reviews.png)")
    if value(summaries[0], "crowd_accuracy", tag="all") is not None:
        figures.save(tags_figure(summaries), out / "by_tag.png")
        parts += ["## User-agnostic accuracy by tag (Fig. 7)", tags_table(summaries)]
        parts.append("![by tag](by_tag.png)")
    pictures = sorted(path.name for path in out.glob("attention_*.png"))
    if pictures:
        parts += ["## Attention (Fig. 4)", *(f"![{x}]({x})" for x in pictures)]
    target = out / "report.md"
    with replacing(target) as path:
        path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return target
