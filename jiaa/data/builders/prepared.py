"""Datasets that were built: their labels, and their photographs as encoded bytes."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Shaped

from jiaa.data.builders import builder_class
from jiaa.data.builders.base import (
    INFO,
    PhotographBuilder,
    again,
    check_whole,
    size,
)
from jiaa.data.builders.labels import Labels
from jiaa.data.images import AnyPath
from jiaa.data.table import DataError

CHUNK = 256  # records read at once
Place = tuple[str, int]  # a split and the record's number in it


@dataclasses.dataclass(frozen=True, eq=False)
class Records(Sequence):
    """The records of a split by number, of `folder`; what is damaged is told."""

    source: Any
    folder: str

    def __len__(self) -> int:
        """How many there are."""
        return len(self.source)

    def __getitem__(self, number: Any) -> Any:
        """One of them.

        Raises:
          IndexError: there is none of that number, on which iteration ends.
          DataError: it cannot be read.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"record {number} of {len(self)} in {self.folder}")
        with _reading(self.folder):
            return self.source[number]

    def __getitems__(self, numbers: Sequence[int]) -> Sequence[Any]:
        """Several, twice as fast as one by one.

        Raises:
          DataError: one of them cannot be read.
        """
        with _reading(self.folder):
            return self.source.__getitems__(numbers)


@contextlib.contextmanager
def _reading(folder: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # ArrayRecord's, and features' own
        raise DataError(
            f"{folder}: its records are damaged ({error}); expected them as they were "
            f"written. {again(folder)}"
        ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded(Sequence):
    """The encoded photographs of some records, read when they are asked for.

    `version` changes when the dataset is built again.
    """

    sources: Mapping[str, Any]
    places: tuple[Place, ...]
    version: str

    def __len__(self) -> int:
        """How many there are."""
        return len(self.places)

    def __getitem__(self, row: Any) -> Any:
        """The JPEG of one row."""
        split, number = self.places[row]
        return self.sources[split][number]["image"]


def find(data_dir: AnyPath, name: str, *, short_side: int) -> PhotographBuilder | None:
    """The built dataset under `data_dir`, or None.

    Of several sizes, the smallest with at least `short_side` px, else the largest.

    Raises:
      DataError: some of its files are gone.
    """
    cls = builder_class(name)
    built = []
    for folder in Path(data_dir).glob(f"{name}/short*/{cls.VERSION}"):
        if found := re.fullmatch("short([0-9]+)", folder.parent.name):
            built.append(int(found[1]))
    if not built:
        return None
    chosen = min((x for x in built if x >= short_side), default=max(built))
    builder = cls(data_dir=data_dir, config=size(chosen))
    check_whole(builder)
    return builder


def records(builder: PhotographBuilder, split: str) -> Records:
    """The records of a split by number, photographs as JPEG bytes.

    Several splits are added as in "fold1+fold2".

    Raises:
      DataError: the dataset has no such split, or the files of this one are damaged.
    """
    if not set(split.split("+")) <= set(builder.info.splits):
        raise DataError(
            f"{builder.name} has no {split!r} split, only "
            f"{', '.join(sorted(builder.info.splits))}"
        )
    decoders = {"image": tfds.decode.SkipDecoding()}
    folder = str(builder.data_dir)
    with _reading(folder):
        source = builder.as_data_source(split=split, decoders=decoders)  # pyright: ignore
        len(source)  # opens them
    return Records(source, folder)


def read(
    builder: PhotographBuilder, *, splits: Iterable[str] | None = None
) -> tuple[Labels, Encoded]:
    """The labels of some splits (default: all), sorted by image id, and photographs."""
    names = sorted(builder.info.splits if splits is None else splits)
    sources = {name: records(builder, name) for name in names}
    found: list[tuple[str, Place, dict[str, Any]]] = []
    for name, source in sources.items():
        for number, record in enumerate(_in_chunks(source)):
            del record["image"]
            found.append((record.pop("image_id").decode(), (name, number), record))
    found.sort(key=lambda row: row[0])
    ids, places, rows = zip(*found, strict=True)
    info = Path(builder.data_dir) / INFO
    version = json.dumps([str(info.resolve()), info.stat().st_mtime_ns, *names])
    return _labels(builder, ids, places, rows), Encoded(sources, places, version)


def _in_chunks(source: Records) -> Iterator[dict[str, Any]]:
    """All records in order."""
    for start in range(0, len(source), CHUNK):
        yield from source.__getitems__(range(start, min(start + CHUNK, len(source))))


def _labels(
    builder: PhotographBuilder,
    ids: tuple[str, ...],
    places: tuple[Place, ...],
    rows: tuple[dict[str, Any], ...],
) -> Labels:
    columns, responses = {}, {}
    for name, feature in builder.FEATURES.items():
        values = [row[name] for row in rows]
        if isinstance(feature, tfds.features.Sequence):
            flat = [value for own in values for value in own]
            responses[name] = _array(flat, feature.feature)
            if name == "worker":
                responses[name] = responses[name].astype(str)
            counts = [len(own) for own in values]
            responses["image"] = np.repeat(np.arange(len(rows)), counts)
        else:
            columns[name] = _array(values, feature)
    facts = builder.info.metadata or {}
    return Labels(
        image_ids=ids,
        image_split=np.asarray([split for split, _ in places]),
        columns=columns,
        responses=responses,
        missing=(*facts.get("missing", ()), *facts.get("corrupt", ())),
        notes=tuple(facts.get("notes", ())),
    )


def _array(values: Sequence[Any], feature: Any) -> Shaped[np.ndarray, "row ..."]:
    if isinstance(feature, tfds.features.Text):
        words = np.empty(len(values), object)  # reviews' lengths differ by thousands
        words[:] = [value.decode() for value in values]
        return words
    shape = (len(values), *feature.shape)
    return np.asarray(values, feature.np_dtype).reshape(shape)
