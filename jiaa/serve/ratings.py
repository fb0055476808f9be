"""A person's ratings.csv beside their photographs: read whole, and written as it grows.

The format is that of `jiaa.data.folder`: `image,score`, and `worker` where there are
several people; an image is named relative to the photographs' folder.
"""

import csv
import dataclasses
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jiaa.data.folder import check_missing, list_files, read_ratings
from jiaa.data.images import AnyPath
from jiaa.data.store import replacing
from jiaa.data.table import DataError, some
from jiaa.serve.model import Scale


@dataclasses.dataclass(frozen=True)
class Rated:
    """Photographs that one person rated: names, files and stars, in one order."""

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    stars: tuple[float, ...]

    def __len__(self) -> int:
        """How many."""
        return len(self.names)


def read_rated(
    path: AnyPath,
    folder: AnyPath,
    *,
    scale: Scale = (1, 5),
    worker: str | None = None,
    max_missing: int | None = None,
) -> Rated:
    """The ratings of one person, and the files of the photographs.

    Args:
      path: the CSV file.
      folder: the photographs that it names.
      scale: (low, high) of the scores.
      worker: whose, where the file holds several people's.
      max_missing: how many rated photographs may have no file; all but one by default.
        Which they are is logged.

    Raises:
      DataError: wrong rows, no file for any of the photographs, or several people in
        the file and no `worker`; names line, value, expectation and remedy.
    """
    ratings = read_ratings(Path(path), scale=scale)
    people = sorted(set(ratings.worker.tolist()))
    if worker is None and len(people) > 1:
        raise DataError(
            f"{path} holds the ratings of {len(people)} people: {some(people)}; say "
            "whose: --worker NAME"
        )
    if worker is not None and worker not in people:
        raise DataError(f"{path} has no worker {worker!r}, only {some(people)}")
    rows = np.flatnonzero(ratings.worker == (worker or people[0]))
    names = [str(name) for name in ratings.image[rows]]
    files = list_files(Path(folder))
    tolerated = len(names) - 1 if max_missing is None else max_missing
    missing = check_missing(names, files, folder=Path(folder), max_missing=tolerated)
    kept = [row for row, name in zip(rows, names, strict=True) if name not in missing]
    kept_names = tuple(str(ratings.image[row]) for row in kept)
    return Rated(
        kept_names,
        tuple(files[name] for name in kept_names),
        tuple(float(ratings.stars[row]) for row in kept),
    )


def write_ratings(path: AnyPath, stars: Mapping[str, float]) -> None:
    """Writes ratings.csv whole: a kill leaves the file before or the file after.

    What is written has reached the disk on return.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "score"))
    writer.writerows((name, f"{score:g}") for name, score in stars.items())
    with replacing(Path(path)) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())
