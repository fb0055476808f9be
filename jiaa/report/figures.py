"""Figures of runs: PA_IAA's Fig. 6, and score against ratings.

All are `matplotlib.figure.Figure` objects, drawn without pyplot, so that a notebook, a
script and a server may make them side by side. Colours are Okabe and Ito's, which
colour-blind readers tell apart; every series differs in more than colour.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jiaa.report.runs import Run, dataset_label
from jiaa.report.tables import all_shots, run_labels, title

GREY = "#8c8c8c"
BLUE = "#0072b2"
ORANGE = "#d55e00"
SERIES = (ORANGE, BLUE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LOWER_IS_BETTER = {"rmse", "emd"}


def series(index: int) -> tuple[str, str]:
    """Colour and marker of the series number `index`."""
    return SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)]


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes `figure` as a PNG and returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A fixed comment, so that the same numbers give the same bytes.
    figure.savefig(path, dpi=150, metadata={"Software": "jiaa"})
    return path


def tidy(axes: Axes) -> None:
    """No frame above and to the right; a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def per_user_bars(run: Run, *, shots: int, metric: str = "srocc") -> Figure:
    """Each user before (generic) and after adaptation: PA_IAA's Fig. 6.

    Users are sorted by the generic value. Grey reaches to the lower of the two values;
    the change stands on it, solid blue where it is for the better, hatched orange where
    it is for the worse.
    """
    before, after = run.per_user(metric, shots)
    order = np.argsort(before, kind="stable")
    order = order[np.isfinite(before[order])]
    before, after = before[order], after[order]
    figure = Figure(figsize=(min(max(8.0, 0.16 * len(order)), 14.0), 4.2))
    axes = figure.subplots()
    better = after <= before if metric in LOWER_IS_BETTER else after >= before
    handles = _bars(axes, before, after, better=better)
    for value, color, style, name in (
        (float(np.mean(before)), "0.3", ":", "mean before"),
        (float(np.mean(after)), BLUE, "--", "mean after"),
    ):
        line = axes.axhline(value, color=color, linestyle=style, linewidth=1.4)
        line.set_label(f"{name} {value:.3f}")
        handles.append(line)
    axes.axhline(0.0, color="0.2", linewidth=0.8)
    axes.set_xlim(-0.8, len(order) - 0.2)
    axes.set_xticks([])
    name = title(metric)
    axes.set_xlabel(f"{len(order)} users, sorted by {name} before adapting")
    axes.set_ylabel(name)
    where = dataset_label(run.dataset)
    axes.set_title(f"{run.label} on {where}, {shots} ratings a user")
    tidy(axes)
    figure.subplots_adjust(left=0.09, right=0.98, top=0.92, bottom=0.27)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1)}
    axes.legend(handles=handles, ncols=3, frameon=False, fontsize=9, **below)
    return figure


def _bars(
    axes: Axes,
    before: Float[np.ndarray, " user"],
    after: Float[np.ndarray, " user"],
    *,
    better: Bool[np.ndarray, " user"],
) -> list[Artist]:
    """Draws a bar a user, and returns what a legend shows of them."""
    place = np.arange(len(before))
    lower, gap = np.minimum(before, after), np.abs(after - before)
    axes.bar(place, lower, color=GREY, width=0.8, linewidth=0)
    handles: list[Artist] = [Patch(color=GREY, label="lower of before and after")]
    for chosen, color, hatch, name in (
        (better, BLUE, None, "better after adapting"),
        (~better, ORANGE, "/////", "worse after adapting"),
    ):
        look = {"facecolor": color, "hatch": hatch, "edgecolor": "white"}
        look["linewidth"] = 0
        axes.bar(place[chosen], gap[chosen], bottom=lower[chosen], width=0.8, **look)
        handles.append(Patch(label=f"{name} ({chosen.sum()} users)", **look))
    return handles


def score_against_shots(runs: Sequence[Run], *, metric: str = "srocc") -> Figure:
    """Score against ratings learned from, for runs on one dataset.

    The band is one standard deviation over repeats; thin dotted lines are the priors,
    not adapted, on the same query images.
    """
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, (run, label) in enumerate(zip(runs, run_labels(runs), strict=True)):
        rows = [run.row(metric, shots) for shots in run.shots]
        rows = [row for row in rows if row is not None and row["mean"] is not None]
        shots, mean, std, generic = (
            np.array([row[name] for row in rows], float)
            for name in ("shots", "mean", "std", "generic")
        )
        color, marker = series(index)
        axes.plot(shots, mean, color=color, marker=marker, linewidth=2, label=label)
        axes.fill_between(shots, mean - std, mean + std, color=color, alpha=0.18, lw=0)
        (dots,) = axes.plot(shots, generic, color=color, linestyle=":", linewidth=1.2)
        dots.set(marker=marker, markersize=4, label=f"{label}, not adapted")
    ticks = all_shots(runs)
    axes.set_xscale("log")
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("ratings learned from, per user")
    axes.set_ylabel(f"{title(metric)}, mean over users ± std over repeats")
    axes.set_title(f"{title(metric)} on {dataset_label(runs[0].dataset)}")
    tidy(axes)
    axes.legend(frameon=False, fontsize=9, loc="best")
    return figure
