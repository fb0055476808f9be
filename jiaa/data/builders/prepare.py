"""Raw files to a prepared dataset, with the table at the end: `prepare_data.py`."""

import dataclasses
from typing import Any

from jiaa.data.builders import base, builder_class, prepared
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.images import AnyPath


@dataclasses.dataclass(frozen=True)
class Count:
    """One line of the table at the end: how much a split holds."""

    split: str
    images: int
    users: int
    ratings: int
    missing: int = 0
    corrupt: int = 0


def check(name: str, manual_dir: AnyPath, **options: Any) -> list[Count]:
    """The raw files' table, without building; photographs are not opened.

    Raises:
      DataError: no files, or wrong rows; `faults` lists every one by file and line.
    """
    cls = builder_class(name)
    raw: Raw = cls.read_raw(cls.raw_folder(manual_dir), **options)
    return count(raw.labels, missing=len(raw.labels.missing), corrupt=0)


def prepare(
    name: str,
    manual_dir: AnyPath,
    data_dir: AnyPath,
    *,
    short_side: int = base.SHORT_SIDE,
    workers: int | None = None,
    progress: bool = True,
    **options: Any,
) -> list[Count]:
    """Builds a dataset in `data_dir`, or goes on where a killed run stopped.

    What is there already stays as it is. Returns its table.

    Raises:
      DataError: as `base.build`.
    """
    builder = builder_class(name)(
        data_dir=data_dir,
        config=base.size(short_side),
        workers=workers,
        progress=progress,
        **options,
    )
    base.build(builder, manual_dir)
    labels, _ = prepared.read(builder)
    facts = builder.info.metadata or {}
    lost = {key: len(facts.get(key, ())) for key in ("missing", "corrupt")}
    return count(labels, **lost)


def count(labels: Labels, *, missing: int, corrupt: int) -> list[Count]:
    """A line a split, and a last one for all; missing and corrupt count there."""
    splits = labels.split_names
    lines = [_count(labels, split, labels.image_split == split) for split in splits]
    everything = _count(labels, "all", labels.image_split != "")
    return [
        *lines,
        dataclasses.replace(everything, missing=missing, corrupt=corrupt),
    ]


def table(counts: list[Count]) -> str:
    """The lines as aligned text."""
    header = [field.name for field in dataclasses.fields(Count)]
    rows = [header, *([str(x) for x in dataclasses.astuple(row)] for row in counts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _count(labels: Labels, split: str, chosen: Any) -> Count:
    if not labels.responses:
        return Count(split, int(chosen.sum()), 0, 0)
    here = chosen[labels.responses["image"]]
    users = set(labels.responses["worker"][here].tolist())
    return Count(split, int(chosen.sum()), len(users), int(here.sum()))
