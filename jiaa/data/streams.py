"""Batches from prepared datasets, by grain: for training, evaluation and notebooks.

    train = open_stream("ava", DATA_DIR, split="train", batch_size=64, crop=224)
    batches = stream_batches(train, seed=0)

The order is one global permutation an epoch, drawn from the seed and shared out among
the processes. The iterators have `get_state` and `set_state` and can be put into an
orbax checkpoint beside the training state.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import grain
import numpy as np
from jaxtyping import Float

from jiaa.data.images import AnyPath, Size, decode_resized, sides
from jiaa.data.loader import batched_shares, shares
from jiaa.data.stream import ReadAhead
from jiaa.data.table import DataError

Record = dict[str, Any]
Targets = Callable[[Record], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """What a pipeline takes from a dataset: records by number, and what of them.

    Photographs are squashed to `image_size`, as in the released programs. With `crop`,
    a random square of so many px is cut from that and mirrored half of the time.
    `batch_size` counts over all processes. `targets` are what is learned from a record.
    """

    records: Any
    batch_size: int
    targets: Targets
    image_size: Size = 256
    crop: int | None = None

    def __post_init__(self):
        """Refuses crops that do not fit."""
        if self.crop is not None and self.crop > min(sides(self.image_size)):
            raise ValueError(
                f"crop={self.crop} does not fit into image_size={self.image_size}; "
                "expected at most its shorter side"
            )


def open_stream(
    name: str,
    data_dir: AnyPath,
    *,
    split: str,
    batch_size: int,
    image_size: Size = 256,
    crop: int | None = None,
    targets: Targets | None = None,
) -> Stream:
    """The stream of a dataset that `scripts/prepare_data.py` built in `data_dir`.

    `targets` default to the dataset's own of `TARGETS`. Splits can be added:
    "fold1+fold2".

    Raises:
      DataError: it is not there, or has no such split.
    """
    from jiaa.data.builders import prepared  # TFDS: only when asked for

    builder = prepared.find(data_dir, name, short_side=min(sides(image_size)))
    if builder is None:
        raise DataError(
            f"{data_dir}: no prepared {name}; expected what scripts/prepare_data.py "
            f"--dataset {name} --manual_dir RAW --data_dir {data_dir} writes"
        )
    records = prepared.records(builder, split)
    return Stream(records, batch_size, targets or TARGETS[name], image_size, crop)


def stream_batches(
    stream: Stream,
    *,
    seed: int,
    epochs: int | None = None,
    shuffle: bool = True,
    drop_remainder: bool = True,
    threads: int = 8,
    workers: int = 0,
) -> grain.DatasetIterator:
    """Batches {"index": int32, "images": uint8, ...} with the stream's targets.

    `index` is the record's number in the split. `epochs` None never ends. To evaluate,
    pass `epochs=1`, `shuffle=False` and `drop_remainder=False`. Threads, or `workers`
    processes with as many threads each, read ahead of use.

    Raises:
      ValueError: the batch does not divide by the processes or exceeds the data.
    """
    batches = _batched(stream, seed, shuffle, drop_remainder).repeat(epochs)
    return ReadAhead(batches, threads=threads, workers=workers, sharding=None)


def joint_batches(
    streams: Mapping[str, Stream],
    *,
    seed: int,
    steps: int | None = None,
    threads: int = 8,
    workers: int = 0,
) -> grain.DatasetIterator:
    """One batch of each stream a step, as {name: batch}; each goes round on its own.

    PA_IAA learns from AVA and PsychoFlickr in every step. `steps` None never ends.

    Raises:
      ValueError: as `stream_batches`.
    """
    names = tuple(streams)
    parents = [
        _batched(stream, seed + position, True, True).repeat()
        for position, stream in enumerate(streams.values())
    ]
    joint = grain.experimental.ZipMapDataset(parents).map(_Named(names))
    if steps is not None:
        joint = joint[:steps]
    return ReadAhead(joint, threads=threads, workers=workers, sharding=None)


@dataclasses.dataclass(frozen=True)
class _Named:
    """A callable that can be sent to worker processes, as the one below."""

    names: tuple[str, ...]

    def __call__(self, batches: tuple[Record, ...]) -> dict[str, Record]:
        return dict(zip(self.names, batches, strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class _Read(grain.transforms.RandomMap):
    """Reads, decodes and augments one record."""

    stream: Stream

    def random_map(self, element: int, rng: np.random.Generator) -> Record:
        record = self.stream.records[element]
        image = decode_resized(record.pop("image"), size=self.stream.image_size)
        if self.stream.crop is not None:
            image = _crop_and_flip(image, self.stream.crop, rng)
        index = np.asarray(element, np.int32)
        return {"index": index, "images": image, **self.stream.targets(record)}


def _batched(
    stream: Stream, seed: int, shuffle: bool, drop_remainder: bool
) -> grain.MapDataset:
    options: dict[str, Any] = {
        "batch_size": stream.batch_size,
        "drop_remainder": drop_remainder,
    }
    dealt = shares(len(stream.records), seed=seed, shuffle=shuffle, **options)
    return batched_shares(dealt.random_map(_Read(stream)), **options)


def _crop_and_flip(
    image: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    top = rng.integers(image.shape[0] - size + 1)
    left = rng.integers(image.shape[1] - size + 1)
    crop = image[top : top + size, left : left + size]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def votes_targets(record: Record) -> dict[str, np.ndarray]:
    """The share of each vote from 1 to 10, and the mean unit score (mean / 10)."""
    shares_of_votes: Float[np.ndarray, " bin"] = record["votes"] / record["votes"].sum()
    mean = shares_of_votes @ np.arange(1, 11) / 10
    return {
        "distribution": shares_of_votes.astype(np.float32),
        "score": np.asarray(mean, np.float32),
    }


def stars_targets(record: Record) -> dict[str, np.ndarray]:
    """The mean unit score (stars / 5) of the photograph's raters."""
    return {"score": np.asarray(np.mean(record["stars"]) / 5, np.float32)}


def attribute_targets(record: Record) -> dict[str, np.ndarray]:
    """AADB's eleven attributes in [-1, 1], and the mean unit score (stars / 5)."""
    unit = (1 + 4 * record["score"]) / 5
    return {
        "attributes": np.asarray(record["attributes"], np.float32),
        "score": np.asarray(unit, np.float32),
    }


def trait_targets(record: Record) -> dict[str, np.ndarray]:
    """The Big-Five traits in [-1, 1] of who likes the photograph: their mean."""
    return {"traits": np.asarray(np.mean(record["traits"], axis=0), np.float32)}


TARGETS: dict[str, Targets] = {
    "ava": votes_targets,
    "aadb": attribute_targets,
    "flickr_aes": stars_targets,
    "real_cur": stars_targets,
    "psycho_flickr": trait_targets,
    "ava_reviews": votes_targets,
}
