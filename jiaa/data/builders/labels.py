"""What a dataset's label files say, checked: the value between raw files and records.

Every builder's `read_raw` makes them of the raw files, with the photographs' paths:
`Raw`. `Labels` is the same whether it was read from the raw files or from the records
that were built from them.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from jiaa.data.folder import check_missing, list_files
from jiaa.data.table import DataError, some
from jiaa.types import Ratings


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """All that is known of a dataset's images, in the order of `image_ids`.

    `columns` have a row an image. `responses` have a row for each thing that one person
    said of one image: "image" (its row), "worker", "stars" or what else there is.
    `missing` are images without a file, `notes` what else was left out and why.
    """

    image_ids: tuple[str, ...]
    image_split: Shaped[np.ndarray, " image"]
    columns: Mapping[str, np.ndarray]
    responses: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuses tables of different lengths."""
        lengths = {len(self.image_split), *map(len, self.columns.values())}
        assert lengths <= {len(self.image_ids)}, f"images: {lengths}"
        assert len({len(values) for values in self.responses.values()}) <= 1

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that hold images, sorted."""
        return tuple(sorted(set(self.image_split.tolist())))

    def ratings(self, scale: tuple[float, float]) -> Ratings:
        """The responses' stars, on `scale`."""
        return Ratings(
            worker=self.responses["worker"],
            image=np.asarray(self.image_ids)[self.responses["image"]],
            stars=self.responses["stars"].astype(np.float64),
            scale=scale,
        )

    def take(self, rows: Shaped[np.ndarray, " kept"]) -> "Labels":
        """The images of `rows` (ascending), and what was said of them."""
        new_row = np.full(len(self.image_ids), -1)
        new_row[rows] = np.arange(len(rows))
        responses = dict(self.responses)
        if responses:
            image = new_row[responses["image"]]
            responses = {k: v[image >= 0] for k, v in responses.items()}
            responses["image"] = image[image >= 0]
        return dataclasses.replace(
            self,
            image_ids=tuple(self.image_ids[row] for row in rows),
            image_split=self.image_split[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            responses=responses,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Raw:
    """A dataset before it is built: labels, and each image's file."""

    labels: Labels
    paths: tuple[Path, ...]


def with_files(labels: Labels, folder: Path, *, max_missing: int) -> Raw:
    """The labels of images that have a file in `folder`; the others are `missing`.

    An image's id is its file's name, relative to `folder`.

    Raises:
      DataError: more than `max_missing` images have no file.
    """
    files = list_files(folder)
    missing = check_missing(
        labels.image_ids, files, folder=folder, max_missing=max_missing
    )
    there = [row for row, name in enumerate(labels.image_ids) if name in files]
    kept = labels.take(np.asarray(there, int)) if missing else labels
    kept = dataclasses.replace(kept, missing=missing)
    return Raw(kept, tuple(files[name] for name in kept.image_ids))


def image_folder(root: Path, name: str | None, candidates: Sequence[str]) -> Path:
    """`root/name`, or the first of the candidates that exists.

    Raises:
      DataError: none of them exists.
    """
    if name is not None:
        return root / name
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise DataError(
        f"{root}: no folder of photographs; expected one of {', '.join(candidates)}, "
        "or pass image_folder"
    )


def response_columns(
    ratings: Ratings, image_ids: Sequence[str], **further: np.ndarray
) -> dict[str, np.ndarray]:
    """`Labels.responses` of ratings, sorted by image and worker."""
    rows = {name: row for row, name in enumerate(image_ids)}
    unique, inverse = np.unique(ratings.image, return_inverse=True)
    image = np.asarray([rows[str(name)] for name in unique], np.int64)[inverse]
    columns = {"image": image, "worker": ratings.worker, "stars": ratings.stars}
    order = np.lexsort((ratings.worker, image))
    return {name: values[order] for name, values in (columns | further).items()}


def place_images(lists: Mapping[str, Iterable[str]], *, what: str) -> dict[str, str]:
    """Image -> split, from each split's list of images.

    Raises:
      DataError: images that stand in two lists.
    """
    split: dict[str, str] = {}
    shared = []
    for name, images in lists.items():
        for image in images:
            if split.setdefault(image, name) != name:
                shared.append(f"{image} ({split[image]} and {name})")
    if shared:
        raise DataError(
            f"{what}: {len(shared)} images stand in two splits: {some(shared)}; "
            "expected each in one. Remove them from one of the lists",
            [f"{what}: {image} stands in two splits" for image in shared],
        )
    return split


def check_disjoint(users: Mapping[str, Iterable[Any]], *, what: str = "users") -> None:
    """Refuses anybody (or any image) on two sides; `users` maps splits to their names.

    Raises:
      DataError: names who is on both sides.
    """
    names = sorted(users)
    sets = {name: set(users[name]) for name in names}
    for first in names:
        for second in names[names.index(first) + 1 :]:
            if both := sorted(map(str, sets[first] & sets[second])):
                raise DataError(
                    f"{len(both)} {what} on both sides, {first} and {second}: "
                    f"{some(both)}; expected none. Correct the lists of the splits"
                )
