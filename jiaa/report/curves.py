"""PAM's figures (ICCV 2017): curves of active learning, and bars of features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jiaa.evaluate.active import Curves
from jiaa.report.figures import series, tidy
from jiaa.report.runs import dataset_label

NAMES = {
    "random": "random",
    "active_pam": "Active-PAM",
    "active_pam_own_features": "Active-PAM, likeness by attributes and content",
    "diversity": "diversity alone",
    "greedy": "Greedy",
    "mcal": "MCAL",
    "qbc": "QBC",
}


def active_curves(curves: Curves, *, dataset: str) -> Figure:
    """SROCC against images rated; bands are one standard deviation over trials."""
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, name in enumerate(curves.values):
        color, marker = series(index)
        mean, band = curves.mean(name), curves.band(name)
        label = NAMES.get(name, name)
        every = max(len(mean) // 9, 1)
        axes.plot(
            curves.ratings,
            mean,
            color=color,
            marker=marker,
            markevery=every,
            label=label,
        )
        axes.fill_between(
            curves.ratings, mean - band, mean + band, color=color, alpha=0.15, lw=0
        )
    axes.set_xlabel("images rated, per user")
    axes.set_ylabel("SROCC, mean over users ± std over trials")
    axes.set_title(f"Which image to ask about next: {dataset_label(dataset)}")
    tidy(axes)
    axes.legend(frameon=False, fontsize=9)
    return figure


def rows(
    curves: Curves, *, at: Sequence[int] = (10, 20, 30, 50, 70, 100)
) -> list[dict[str, Any]]:
    """A row a strategy and number of ratings: SROCC, its gain, band and seconds.

    The numbers are those of `at` that were measured, the first and the last. A value
    that does not exist is None.

    With "random" among the strategies also the difference from it in the same trials,
    and its standard deviation over trials; on held-out images both saw the same.
    """
    level = float(curves.mean("random")[-1]) if "random" in curves.values else np.nan
    chosen = np.isin(curves.ratings, [*at, curves.ratings[0], curves.ratings[-1]])
    found = []
    for name in curves.values:
        mean, gain = curves.mean(name), curves.mean(name, gain=True)
        band = curves.band(name)
        found += [
            {
                "strategy": name,
                "ratings": int(curves.ratings[place]),
                "srocc": _number(mean[place]),
                "gain": _number(gain[place]),
                "band": _number(band[place]),
                "reaches_random_last_at": curves.ratings_to_reach(name, level),
                "seconds": curves.seconds[name],
                **_over_random(curves, name, int(place)),
            }
            for place in np.flatnonzero(chosen)
        ]
    return found


def _number(value: float | np.floating) -> float | None:
    """For JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None


def _over_random(curves: Curves, name: str, place: int) -> dict[str, float | None]:
    """The difference from random; empty without it."""
    if "random" not in curves.values:
        return {}
    mean, spread = (x[place] for x in curves.difference(name, "random"))
    return {"over_random": _number(mean), "over_random_std": _number(spread)}


def feature_bars(
    gains: Mapping[str, Mapping[int, tuple[float, float]]], *, dataset: str
) -> Figure:
    """Figure 5a: gain in SROCC over the generic model by what the regressor reads.

    Args:
      gains: features' name -> number of ratings -> (gain, its standard deviation).
      dataset: its name.
    """
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.subplots()
    shots = sorted({count for each in gains.values() for count in each})
    width = 0.8 / max(len(shots), 1)
    for index, count in enumerate(shots):
        color, _ = series(index)
        place = np.arange(len(gains)) + (index - (len(shots) - 1) / 2) * width
        mean, std = np.array([gains[name][count] for name in gains]).T
        axes.bar(place, mean, width, yerr=std, color=color, label=f"{count} ratings")
    axes.axhline(0.0, color="0.2", linewidth=0.8)
    axes.set_xticks(range(len(gains)), labels=list(gains))
    axes.set_ylabel("gain in SROCC over the generic model")
    axes.set_title(f"What the regressor reads: {dataset_label(dataset)}")
    tidy(axes)
    axes.legend(frameon=False, fontsize=9)
    return figure
