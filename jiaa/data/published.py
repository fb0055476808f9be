"""The papers' datasets as a `Dataset`, from raw files or from built records alike."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.data.builders import builder_class, prepared
from jiaa.data.builders.labels import Labels, check_disjoint
from jiaa.data.dataset import Dataset, assemble
from jiaa.data.images import AnyPath, Size, sides
from jiaa.data.store import load_images
from jiaa.data.table import DataError
from jiaa.types import ImageStore


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Checked labels and where their photographs are: files, or records."""

    name: str
    labels: Labels
    photographs: Any  # a sequence of paths or of encoded images
    version: str | None

    def store(self, **options: Any) -> ImageStore:
        """The photographs in memory; options as in `load_images`."""
        return load_images(self.photographs, version=self.version, **options)


def open_source(
    name: str, root: AnyPath, *, image_size: Size, split: str | None, **raw_options: Any
) -> Source:
    """The dataset under `root`: built records if there are some, else raw files.

    With `split`, only that split's images. `raw_options` go to the builder's
    `read_raw`; built records have been read with theirs.

    Raises:
      DataError: wrong rows, missing images, no such split.
    """
    builder = prepared.find(root, name, short_side=min(sides(image_size)))
    if builder is not None:
        splits = None if split is None else [split]
        labels, photographs = prepared.read(builder, splits=splits)
        return Source(name, labels, photographs, photographs.version)
    raw = builder_class(name).read_raw(Path(root), **raw_options)
    labels, paths = raw.labels, raw.paths
    if split is not None:
        rows = np.flatnonzero(labels.image_split == split)
        if not len(rows):
            known = ", ".join(labels.split_names)
            raise DataError(f"{name} has no {split!r} images, only {known}")
        labels, paths = labels.take(rows), tuple(paths[row] for row in rows)
    return Source(name, labels, paths, None)


def load_flickr_aes(
    root: AnyPath,
    *,
    split: str | None = None,
    image_folder: str | None = None,
    test_workers: AnyPath | None = None,
    share_images: bool = False,
    min_ratings: int = 1,
    max_missing: int = 400,
    image_size: Size = 256,
    decode_workers: int | None = None,
    progress: bool = True,
    cache_dir: AnyPath | None = None,
) -> Dataset:
    """FLICKR-AES (Ren et al., ICCV 2017) from its published files, or built ones.

    Unless `share_images`, an image that a test worker rated is a test image, and what
    training workers say of it is left out. `metadata["published_score"]` holds the
    authors' own means, `["weighted_score"]` those of PAM's eq. 1 (NaN: unknown).

    Raises:
      DataError: wrong rows, or more than `max_missing` images (default 1 %) missing.
      ImageError: unreadable images.
    """
    source = open_source(
        "flickr_aes",
        root,
        image_size=image_size,
        split=split,
        image_folder=image_folder,
        test_workers=test_workers,
        max_missing=max_missing,
    )
    labels = source.labels
    workers, held_out = labels.responses["worker"], labels.responses["test_worker"]
    dataset = assemble(
        labels.ratings((1.0, 5.0)),
        source.store(
            size=image_size,
            workers=decode_workers,
            progress=progress,
            cache_dir=cache_dir,
        ),
        name="flickr_aes",
        image_names=labels.image_ids,
        user_split={
            worker: "test" if test else "train"
            for worker, test in zip(workers.tolist(), held_out.tolist(), strict=True)
        },
        image_split=None if share_images else image_split(labels),
        metadata=labels.columns,
        min_ratings=min_ratings,
        missing=labels.missing,
        notes=labels.notes,
    )
    check_users_apart(dataset)
    return dataset if split is None else dataset.only(split)


def image_split(labels: Labels) -> dict[str, str]:
    """Image -> its split."""
    return dict(zip(labels.image_ids, labels.image_split.tolist(), strict=True))


def check_users_apart(dataset: Dataset) -> None:
    """Refuses users (and, where images have a split, images) on two sides.

    Raises:
      DataError: names them.
    """
    users = {name: tasks.user_id.tolist() for name, tasks in dataset.tasks.items()}
    check_disjoint(users)
    if dataset.image_split.any():
        images: Mapping[str, Any] = {
            name: tasks.image_ids[tasks.mask].tolist()
            for name, tasks in dataset.tasks.items()
        }
        check_disjoint(images, what="images")
