"""What an evaluation leaves in a workdir: results.csv (not averaged), summary.json."""

import csv
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jiaa.evaluate.personalization import Results

FIELDS = ("method", "dataset", "user", "shots", "repeat", "metric", "value")


def summarise(results: Results) -> list[dict[str, Any]]:
    """One row a metric and number of shots.

    `mean` is the mean over users of the user's mean over repeats; `std` the standard
    deviation over repeats of the mean over users; `generic` is `mean` for the
    un-adapted prior on the same query images. A user-repeat in which the coefficient
    does not exist is left out and counted in `skipped`.
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


def _mean(values: Float[np.ndarray, "*axes"], axis: int) -> Any:
    """Mean over what exists; NaN (None for a single number) where nothing does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an all-NaN user stays NaN
        mean = np.nanmean(values, axis=axis)
    if np.ndim(mean):
        return mean
    return float(mean) if np.isfinite(mean) else None


def write(
    results: Results,
    workdir: str | os.PathLike[str],
    *,
    method: str,
    dataset: str,
    names: Mapping[int, str],
) -> Path:
    """Writes results.csv and summary.json; returns the path of the summary.

    `names` maps user ids to the workers' names. Both files are replaced in one go, so
    that a kill leaves either the old ones or the new ones.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    table = workdir / "results.csv"
    with _replacing(table) as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for metric, values in results.values.items():
            for (shot, user, repeat), value in np.ndenumerate(values):
                name = names[int(results.user_id[user])]
                count = results.shots[shot]
                split = results.repeat[repeat]
                row = (method, dataset, name, count, split, metric, f"{value:.7g}")
                writer.writerow(row)
    summary = {
        "method": method,
        "dataset": dataset,
        "seconds": round(results.seconds, 3),
        "results": summarise(results),
    }
    target = workdir / "summary.json"
    with _replacing(target) as path:
        path.write_text(json.dumps(summary, indent=2) + "\n")
    return target


class _replacing:
    """A temporary path beside `target` that takes its place when all went well."""

    def __init__(self, target: Path):
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}.part")

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            os.replace(self.path, self.target)
        else:
            self.path.unlink(missing_ok=True)
