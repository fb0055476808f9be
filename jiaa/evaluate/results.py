"""What an evaluation leaves in a workdir: results.csv (not averaged), summary.json."""

import csv
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jiaa.data.store import replacing
from jiaa.evaluate.personalization import Results

FIELDS = ("method", "dataset", "user", "shots", "repeat", "metric", "value")


def summarise(results: Results) -> list[dict[str, Any]]:
    """One row a metric and number of shots, as summary.json lists them.

    `mean` is the mean over users of the user's mean over repeats; `std` the population
    standard deviation over repeats of the mean over users; `generic` is `mean` for the
    un-adapted prior on the same query images. They are None where nothing exists. A
    user-repeat in which the coefficient does not exist is left out and counted in
    `skipped`; `users` are those who have at least one.
    """
    rows = []
    for metric in (name for name in results.values if not name.startswith("generic_")):
        for index, shots in enumerate(results.shots):
            value = results.values[metric][index]
            generic = results.values[f"generic_{metric}"][index]
            defined = np.isfinite(value)
            both = defined & np.isfinite(generic)
            rows.append(
                {
                    "shots": int(shots),
                    "metric": metric,
                    "mean": _mean(_mean(value, 1), 0),
                    "std": float(np.nanstd(_mean(value, 0))) if defined.any() else None,
                    "generic": _mean(_mean(np.where(both, generic, np.nan), 1), 0),
                    "users": int(np.any(defined, axis=1).sum()),
                    "repeats": len(results.repeat),
                    "skipped": int(np.sum(~defined)),
                }
            )
    return rows


def _rows(results: Results, names: Mapping[int, str]) -> Iterator[tuple]:
    """What follows method and dataset in each row of results.csv."""
    for metric, values in results.values.items():
        for (shot, user, repeat), value in np.ndenumerate(values):
            name = names[int(results.user_id[user])]
            count, split = results.shots[shot], results.repeat[repeat]
            yield name, count, split, metric, f"{value:.7g}"


def _mean(values: Float[np.ndarray, "*axes"], axis: int) -> Any:
    """Mean over what exists; NaN (None for a single number) where nothing does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an all-NaN user stays NaN
        mean = np.nanmean(values, axis=axis)
    if np.ndim(mean):
        return mean
    return float(mean) if np.isfinite(mean) else None


def joined(parts: Sequence[Results]) -> Results:
    """One `Results` of several that differ in their numbers of shots alone."""
    first = parts[0]
    return Results(
        user_id=first.user_id,
        shots=tuple(shots for part in parts for shots in part.shots),
        repeat=first.repeat,
        values={
            name: np.concatenate([part.values[name] for part in parts])
            for name in first.values
        },
        scores={k: x for part in parts for k, x in part.scores.items()},
        seconds=sum(part.seconds for part in parts),
    )


def write(
    results: Results,
    workdir: str | os.PathLike[str],
    *,
    method: str,
    dataset: str,
    names: Mapping[int, str],
) -> Path:
    """Writes results.csv and summary.json; returns the path of the summary.

    Each file is replaced in one go, so that a kill leaves either the old or the new.

    Args:
      results: of `personalization`; a value that does not exist is written as nan.
      workdir: is made if it is missing.
      method: the method's key, for both files.
      dataset: the dataset's.
      names: user id -> worker's name.

    Raises:
      KeyError: a user has no name; the old files stay.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    table = workdir / "results.csv"
    with replacing(table) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in _rows(results, names):
            writer.writerow((method, dataset, *row))
    summary = {
        "method": method,
        "dataset": dataset,
        "seconds": round(results.seconds, 3),
        "results": summarise(results),
    }
    target = workdir / "summary.json"
    with replacing(target) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
    return target
