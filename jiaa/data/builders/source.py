"""A dataset's labels and photographs, from raw files or from built records alike."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.data.builders import builder_class, prepared
from jiaa.data.builders.labels import Labels
from jiaa.data.images import AnyPath, Size, sides
from jiaa.data.photographs import Images, open_images
from jiaa.data.table import DataError
from jiaa.types import ImageStore


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Checked labels, and how their photographs come into memory."""

    name: str
    labels: Labels
    store: Callable[[], ImageStore]


def open_source(
    name: str,
    root: AnyPath,
    *,
    split: str | None = None,
    max_missing: int | None = None,
    image_size: Size = 256,
    images: Images = "device",
    decode_workers: int | None = None,
    progress: bool = True,
    cache_dir: AnyPath | None = None,
    **raw_options: Any,
) -> Source:
    """The dataset under `root`: built records if there are some, else raw files.

    With `split`, only that split's images. `max_missing` (default: the builder's) of
    the raw photographs may have no file; the other options are those of `open_images`.

    Raises:
      DataError: wrong rows, missing images, no such split, or `raw_options` where the
        records have been built without them.
    """
    builder = prepared.find(root, name, short_side=min(sides(image_size)))
    cls, version = builder_class(name), None
    _check(raw_options, cls, None if builder is None else builder.data_dir)
    if builder is not None:
        splits = None if split is None else [split]
        labels, photographs = prepared.read(builder, splits=splits)
        version = photographs.version
    else:
        allowed = cls.MAX_MISSING if max_missing is None else max_missing
        raw = cls.read_raw(cls.raw_folder(root), max_missing=allowed, **raw_options)
        labels, photographs = _part(raw.labels, raw.paths, split, name)

    def store() -> ImageStore:
        return open_images(
            photographs,
            images,
            size=image_size,
            workers=decode_workers,
            progress=progress,
            cache_dir=cache_dir,
            version=version,
        )

    return Source(name, labels, store)


def _part(
    labels: Labels, paths: tuple[Path, ...], split: str | None, name: str
) -> tuple[Labels, tuple[Path, ...]]:
    """The labels and files of one split, or of all."""
    if split is None:
        return labels, paths
    rows = np.flatnonzero(labels.image_split == split)
    if not len(rows):
        known = ", ".join(labels.split_names)
        raise DataError(f"{name} has no {split!r} images, only {known}")
    return labels.take(rows), tuple(paths[row] for row in rows)


def _check(raw_options: dict[str, Any], builder: Any, where: str | None) -> None:
    """Refuses unknown options, and what has been decided when records were built."""
    known = set(inspect.signature(builder.read_raw).parameters) - {"root"}
    if unknown := sorted(set(raw_options) - known):
        takes = ", ".join(sorted(known))
        raise TypeError(f"{builder.name} takes no {unknown[0]!r}, only {takes}")
    if where is None:
        return
    given = [key for key, value in raw_options.items() if value is not None]
    if given:
        raise DataError(
            f"{given[0]}={raw_options[given[0]]!r}: {where} has been built without it; "
            "leave it out, or give the folder of the raw files as root"
        )
