"""A finished run, as its workdir tells: summary.json and results.csv."""

import csv
import dataclasses
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jiaa.report.published import LABELS

NUMBER, MAYBE = (int, float), (int, float, type(None))
SUMMARY_KEYS = {
    "method": (str,),
    "dataset": (str,),
    "seconds": NUMBER,
    "results": (list,),
}
ROW_KEYS = {
    "shots": (int,),
    "metric": (str,),
    "mean": MAYBE,
    "std": MAYBE,
    "generic": MAYBE,
    "users": (int,),
    "repeats": (int,),
    "skipped": (int,),
}
KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    type(None): "null",
}
AGAIN = "Run scripts/evaluate.py on this workdir again."
COLUMNS = ("method", "dataset", "user", "shots", "repeat", "metric", "value")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One method on one dataset.

    Attributes:
      workdir: where it was read from.
      method: key of the method, as in configs.
      dataset: name of the dataset.
      seconds: wall time of the evaluation.
      results: summary.json's rows, one a metric and number of shots.
      users: names in the order of the rows of `values`.
      values: (metric, shots) -> value per user and repeat; NaN where the coefficient
        does not exist. `generic_` + metric is the un-adapted prior's.
    """

    workdir: Path
    method: str
    dataset: str
    seconds: float
    results: tuple[dict[str, Any], ...]
    users: tuple[str, ...]
    values: dict[tuple[str, int], Float[np.ndarray, "user repeat"]]

    @property
    def label(self) -> str:
        """The method's name in the papers, or its key."""
        return LABELS.get(self.method, self.method)

    @property
    def shots(self) -> tuple[int, ...]:
        """Numbers of ratings learned from, ascending."""
        return tuple(sorted({row["shots"] for row in self.results}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics in the order of summary.json."""
        return tuple(dict.fromkeys(row["metric"] for row in self.results))

    def row(self, metric: str, shots: int) -> dict[str, Any] | None:
        """Summary of a metric and number of shots; None where it was not measured."""
        for row in self.results:
            if row["metric"] == metric and row["shots"] == shots:
                return row
        return None

    def per_user(
        self, metric: str, shots: int
    ) -> tuple[Float[np.ndarray, " user"], Float[np.ndarray, " user"]]:
        """Each user's mean over repeats before (generic) and after adaptation.

        A repeat counts where both exist, as in the summary; NaN for a user without any.
        """
        after = self.values[metric, shots]
        before = self.values[f"generic_{metric}", shots]
        both = np.isfinite(after) & np.isfinite(before)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a user with no repeat
            return tuple(
                np.nanmean(np.where(both, side, np.nan), axis=1)
                for side in (before, after)
            )  # pyright: ignore[reportReturnType]


def is_synthetic(dataset: str) -> bool:
    """Whether a dataset is the embedded world or a view of it."""
    return dataset.startswith("synthetic")


def dataset_label(dataset: str) -> str:
    """A dataset's name in reports; generated data is called synthetic everywhere."""
    plain = dataset == "synthetic" or not is_synthetic(dataset)
    return dataset if plain else f"{dataset} (synthetic data)"


def read_run(workdir: str | os.PathLike[str]) -> Run:
    """Reads a workdir that `scripts/evaluate.py` has written.

    Raises:
      FileNotFoundError: the workdir was not evaluated.
      ValueError: summary.json or results.csv is not of the form that DESIGN names.
    """
    workdir = Path(workdir)
    summary = _read_summary(workdir / "summary.json")
    users, values = _read_results(workdir / "results.csv")
    return Run(
        workdir=workdir,
        method=summary["method"],
        dataset=summary["dataset"],
        seconds=float(summary["seconds"]),
        results=tuple(summary["results"]),
        users=users,
        values=values,
    )


def _read_summary(path: Path) -> dict[str, Any]:
    """summary.json, checked for its keys and what kind of value they have."""
    try:
        summary = json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:  # also of bytes that are no text
        raise ValueError(f"{path}: no JSON ({error}). {AGAIN}") from error
    _require(path, "", summary, SUMMARY_KEYS)
    if not summary["results"]:
        raise ValueError(f"{path}: `results` is empty; evaluate at least one metric.")
    for number, row in enumerate(summary["results"]):
        _require(path, f"results[{number}]: ", row, ROW_KEYS)
    return summary


def _require(path: Path, where: str, row: Any, kinds: Mapping[str, tuple]) -> None:
    """Refuses an object without these keys, or with values of another kind."""
    if not isinstance(row, dict):
        found = type(row).__name__
        raise ValueError(f"{path}: {where}a {found}, expected an object. {AGAIN}")
    if missing := [key for key in kinds if key not in row]:
        raise ValueError(
            f"{path}: {where}the keys {missing} are missing; expected {list(kinds)}. "
            f"{AGAIN}"
        )
    for key, kind in kinds.items():
        if not isinstance(row[key], kind) or isinstance(row[key], bool):
            names = " or ".join(KINDS[one] for one in kind)
            raise ValueError(
                f"{path}: {where}{key!r} is {row[key]!r}; expected {names}. {AGAIN}"
            )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: this workdir was not evaluated. "
            "Run scripts/evaluate.py with the same --config and --workdir first."
        )
    return path


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, values by column) of results.csv."""
    with _existing(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            names = reader.fieldnames or ()
            missing = [name for name in COLUMNS if name not in names]
            if missing:
                raise ValueError(
                    f"{path}: the columns {missing} are missing; expected "
                    f"{list(COLUMNS)}. {AGAIN}"
                )
            for row in reader:
                yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}: line {reader.line_num}: {error}. {AGAIN}"
            ) from error


def _read_results(
    path: Path,
) -> tuple[tuple[str, ...], dict[tuple[str, int], np.ndarray]]:
    """Names of the users and (metric, shots) -> value per user and repeat."""
    cells: dict[tuple[str, int], dict[tuple[int, int], float]] = {}
    users: dict[str, int] = {}
    repeats: dict[int, int] = {}
    for line, row in _rows(path):
        try:
            shots, repeat = int(row["shots"]), int(row["repeat"])
            value = float(row["value"]) if row["value"] else math.nan
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: line {line}: shots {row['shots']!r}, repeat "
                f"{row['repeat']!r} and value {row['value']!r} must be numbers. {AGAIN}"
            ) from error
        user = users.setdefault(row["user"], len(users))
        column = repeats.setdefault(repeat, len(repeats))
        cells.setdefault((row["metric"], shots), {})[user, column] = value
    values = {}
    for name, entries in cells.items():
        array = np.full((len(users), len(repeats)), np.nan)
        index = np.array(list(entries)).T
        array[index[0], index[1]] = list(entries.values())
        values[name] = array
    return tuple(users), values
