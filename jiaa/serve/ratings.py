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

from jiaa.data.feature_file import FeatureFile
from jiaa.data.folder import check_scale, find_images, read_ratings
from jiaa.data.images import AnyPath
from jiaa.data.store import replacing
from jiaa.data.table import DataError, read_table, read_text, some
from jiaa.serve.model import Scale

COLUMNS = ("image", "score")  # of the file of one person
HEADER = ",".join(COLUMNS)


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
    features: FeatureFile | None = None,
) -> Rated:
    """The ratings of one person, and the files of the photographs.

    Args:
      path: the CSV file.
      folder: the photographs that it names.
      scale: (low, high) of the scores.
      worker: whose, where the file holds several people's.
      max_missing: how many rated photographs may have no file; all but one by default.
        Which they are is logged.
      features: of the photographs, which then need not be in the folder.

    Raises:
      DataError: a wrong scale, wrong rows, no file for any of the photographs, or
        several people in the file and no `worker`; names line, value, expectation and
        remedy.
    """
    check_scale(scale)
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
    tolerated = len(names) - 1 if max_missing is None else max_missing
    files, missing = find_images(
        names, Path(folder), max_missing=tolerated, features=features
    )
    kept = [row for row, name in zip(rows, names, strict=True) if name not in missing]
    kept_names = tuple(str(ratings.image[row]) for row in kept)
    return Rated(
        kept_names,
        tuple(files[name] for name in kept_names),
        tuple(float(ratings.stars[row]) for row in kept),
    )


class OwnRatings:
    """The ratings.csv of one person while they rate: each change is at once on disk.

    Attributes:
      path: of the file; it need not be there.
      stars: name -> stars, in the order of the ratings.
    """

    def __init__(self, path: AnyPath, *, scale: Scale):
        """Reads what is there.

        Raises:
          DataError: wrong rows, or columns that this class would not write again.
        """
        self.path = Path(path)
        self._seen = self._state()
        self.stars: dict[str, float] = {}
        if self._seen is None:
            return
        if "".join(read_text(self.path).split()).casefold() in ("", HEADER):
            return  # no rows yet
        columns = read_table(self.path, required=COLUMNS).columns
        others = [column for column in columns if column not in COLUMNS]
        if others:
            raise DataError(
                f"{path} has a column `{others[0]}`: it is not a file of this page's, "
                f"which writes {HEADER} alone. Name another with --ratings"
            )
        ratings = read_ratings(self.path, scale=scale)
        pairs = zip(ratings.image.tolist(), ratings.stars.tolist(), strict=True)
        self.stars = dict(pairs)

    def give(self, name: str, stars: float) -> None:
        """Keeps a rating, as the last one; an older one of the same photograph goes.

        Raises:
          OSError: the file cannot be written, or another program has changed it;
            nothing is changed then.
        """
        self._replace(
            {k: v for k, v in self.stars.items() if k != name} | {name: stars}
        )

    def take_back(self, name: str) -> None:
        """Removes a rating.

        Raises:
          OSError: as in `give`.
        """
        self._replace({k: v for k, v in self.stars.items() if k != name})

    def _replace(self, stars: dict[str, float]) -> None:
        if self._state() != self._seen:
            raise OSError(
                f"another program has changed {self.path}, and its ratings would be "
                "lost. Start `jiaa rate` again: it reads them"
            )
        write_ratings(self.path, stars)
        self._seen, self.stars = self._state(), stars

    def _state(self) -> tuple[int, int, int] | None:
        """Changes when anybody writes the file; None where there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def write_ratings(path: AnyPath, stars: Mapping[str, float]) -> None:
    """Writes ratings.csv whole: a kill leaves the file before or the file after.

    What is written has reached the disk on return.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((name, f"{score:.15g}") for name, score in stars.items())
    with replacing(Path(path)) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())
