"""A folder of images and their ratings: the format that every user has.

images/NAME.jpg
ratings.csv   worker,image,score                        worker is optional: one user
images.csv    image[,split][,further columns]           optional
"""

import dataclasses
import functools
import logging
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from jiaa.data.feature_file import FeatureFile
from jiaa.data.images import AnyPath
from jiaa.data.table import (
    SHOWN,
    DataError,
    check_image_name,
    parse_number,
    read_table,
)
from jiaa.types import Ratings

ONLY_WORKER = "me"  # who rated where ratings.csv names nobody
Scale = tuple[float | int, float | int]
SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Folder:
    """What a folder holds, checked; the images themselves are still files.

    `image_names` are sorted and run along `paths` and the arrays of `metadata`;
    `image_split` is empty where images.csv has no such column. `missing` lists rated or
    described images without a file, whose ratings were left out.
    """

    ratings: Ratings
    image_names: tuple[str, ...]
    paths: tuple[Path, ...]
    image_split: Mapping[str, str]
    metadata: Mapping[str, np.ndarray]
    missing: tuple[str, ...]


def read_folder(
    root: AnyPath,
    *,
    scale: Scale = (1, 5),
    max_missing: int = 0,
    features: FeatureFile | None = None,
) -> Folder:
    """The ratings and image files under `root`; stars lie in `scale`, ends included.

    The images are those of images.csv, or without it those that were rated. With
    `features`, which has to have theirs, they need not be on the disk.

    Raises:
      DataError: naming file, line, value, expectation and remedy of each wrong row, or
        the images that have no file, if there are more than `max_missing`.
    """
    root = Path(root)
    check_scale(scale)
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder; expected images/ and ratings.csv in it"
        )
    described = _read_images_csv(root / "images.csv")
    ratings = read_ratings(
        root / "ratings.csv",
        scale=scale,
        known_images=None if described is None else described.keys(),
    )
    names = sorted(set(ratings.image.tolist()) if described is None else described)
    files, missing = find_images(
        names, root / "images", max_missing=max_missing, features=features
    )
    names = [name for name in names if name in files]
    metadata = _columns(described or {}, names)
    split = metadata.pop("split", np.empty(0, str))
    return Folder(
        ratings=drop_images(ratings, missing),
        image_names=tuple(names),
        paths=tuple(files[name] for name in names),
        image_split=dict(zip(names, split.tolist(), strict=False)),
        metadata=metadata,
        missing=missing,
    )


def read_ratings(
    path: Path,
    *,
    scale: Scale,
    known_images: Collection[str] | None = None,
    columns: tuple[str, str, str] = ("worker", "image", "score"),
    named: bool = False,
) -> Ratings:
    """The ratings of a CSV file; `columns` names its worker, image and score columns.

    Unless `named`, the worker's column may be missing: one person rated all.

    Raises:
      DataError: listing every row whose score is no number or off the scale, whose
        worker or image is empty, whose image is not one of `known_images`, leads out of
        the folder, or was rated by the same worker before.
    """
    worker_column, image_column, score_column = columns
    table = read_table(path, required=columns if named else columns[1:])
    first_line: dict[tuple[str, str], int] = {}
    kept: list[tuple[str, str, float]] = []
    for row in table.rows:
        worker = row.values.get(worker_column, ONLY_WORKER)
        image, problem = check_image_name(row.values[image_column])
        score = row.values[score_column]
        before = first_line.setdefault((worker, image), row.line)
        problem = problem or _score_problem(score, scale)
        if not worker:
            problem = "the worker's name is empty; give a name"
        elif before != row.line:
            problem = problem or _doubled(worker, image, before)
        elif known_images is not None and image not in known_images:
            problem = problem or _undescribed(image)
        if problem is None:
            kept.append((worker, image, float(score)))
        else:
            table.findings.add(row.line, problem)
    table.findings.raise_if_any()
    workers, images, stars = (np.asarray(values) for values in zip(*kept, strict=True))
    return Ratings(workers, images, stars, (float(scale[0]), float(scale[1])))


def check_scale(scale: Scale) -> None:
    """Refuses a scale that unit scores (`stars / high`) cannot express."""
    low, high = scale
    if not 0 <= low < high < float("inf"):
        raise DataError(
            f"scale=({low}, {high}); expected 0 <= low < high, as in scale=(1, 5). "
            "Shift negative scores first"
        )


def list_files(folder: Path) -> dict[str, Path]:
    """Every file under `folder` by its relative name ('a.jpg', 'holiday/b.jpg').

    Names are in Unicode's composed form, as CSV values are: some systems store them
    decomposed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the image files there")
    return {
        unicodedata.normalize("NFC", path.relative_to(folder).as_posix()): path
        for path in folder.rglob("*")
        if path.is_file()
    }


def find_images(
    names: Sequence[str],
    folder: Path,
    *,
    max_missing: int,
    features: FeatureFile | None = None,
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """(every image of a folder by name, those of `names` that are not among them).

    With `features`, the images are those that it has, whether they are there or not.

    Raises:
      DataError: more than `max_missing` of `names` are missing, or all of them.
    """
    if features is None:
        files = list_files(folder)
        return files, check_missing(
            names, files, folder=folder, max_missing=max_missing
        )
    files = {name: folder / name for name in features.names}
    source = Path(features.source)
    return files, check_missing(
        names, files, folder=source, max_missing=max_missing, what="features"
    )


def check_missing(
    names: Sequence[str],
    files: Mapping[str, Path],
    *,
    folder: Path,
    max_missing: int,
    what: str = "file",
) -> tuple[str, ...]:
    """The names without a file: logged if there are few, an error if many or all.

    `folder` is where they are looked for, `what` is what they lack there.

    Raises:
      DataError: more than `max_missing` are missing, or all of them.
    """
    missing = tuple(name for name in names if name not in files)
    if not missing:
        return ()
    by_lower_case = {name.casefold(): name for name in files}
    lines = []
    for name in missing[:SHOWN]:
        near = by_lower_case.get(name.casefold())
        lines.append(f"  {name!r}" + (f" (there is {near!r})" if near else ""))
    if len(missing) > SHOWN:
        lines.append(f"  ... and {len(missing) - SHOWN} more")
    found = f"{folder}: {len(missing)} of {len(names)} images have no {what}"
    these, place = "the files", "this folder"
    if what != "file":
        these, place = f"the {what}", "the images' folder"
    if len(missing) > max_missing or len(missing) == len(names):
        remedy = f"Add {these}, or correct the names, which are relative to {place}"
        if len(missing) < len(names):
            found += f"; max_missing={max_missing} are tolerated"
            remedy += f"; or pass max_missing={len(missing)} to leave their ratings out"
        raise DataError(
            "\n".join([found, *lines, remedy]),
            [f"{folder}: {name!r} has no {what}" for name in missing],
        )
    logging.getLogger(__name__).warning("%s; left out:\n%s", found, "\n".join(lines))
    return missing


def drop_images(ratings: Ratings, names: Collection[str]) -> Ratings:
    """The ratings of all images but `names`."""
    return select(ratings, ~np.isin(ratings.image, list(names)))


def select(ratings: Ratings, rows: np.ndarray) -> Ratings:
    """Some rows of the ratings, by index or mask."""
    return dataclasses.replace(
        ratings,
        worker=ratings.worker[rows],
        image=ratings.image[rows],
        stars=ratings.stars[rows],
    )


def _doubled(worker: str, image: str, line: int) -> str:
    return (
        f"worker {worker!r} rated {image!r} in line {line} already; keep one of the two"
    )


def _undescribed(image: str) -> str:
    return (
        f"image {image!r} is not listed in images.csv; add it there or remove the "
        "rating"
    )


@functools.lru_cache(maxsize=4096)  # a scale has few values
def _score_problem(text: str, scale: Scale) -> str | None:
    stars = parse_number(text)
    ends = f"{scale[0]:g} to {scale[1]:g}"
    if stars is None:
        return f"score {text!r} is not a number; expected one from {ends}"
    if not scale[0] <= stars <= scale[1]:
        return (
            f"score {text} is off the scale {ends}; correct it, or pass "
            "scale=(low, high) if the scale is another"
        )
    return None


def _columns(
    described: Mapping[str, Mapping[str, str]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """The columns of images.csv but the name's, in the order of `names`."""
    first = next(iter(described.values()), {})
    return {
        column: np.asarray([described[name][column] for name in names])
        for column in first
        if column not in ("", "image")
    }


def _read_images_csv(path: Path) -> dict[str, dict[str, str]] | None:
    """Image -> its columns, or None without the file."""
    if not path.exists():
        return None
    table = read_table(path, required=("image",))
    described: dict[str, dict[str, str]] = {}
    first_line: dict[str, int] = {}
    for row in table.rows:
        name, problem = check_image_name(row.values["image"])
        values = dict(row.values)
        if "split" in values:
            values["split"] = values["split"].casefold()
        before = first_line.setdefault(name, row.line)
        if problem is not None:
            table.findings.add(row.line, problem)
        elif before != row.line:
            table.findings.add(
                row.line,
                f"image {name!r} stands in line {before} already; keep one of the two",
            )
        elif values.get("split", SPLITS[0]) not in SPLITS:
            table.findings.add(
                row.line,
                f"split {row.values['split']!r} is unknown; expected "
                f"{', '.join(SPLITS)}",
            )
        described[name] = values
    table.findings.raise_if_any()
    return described
