"""Batches of photographs that the device does not hold, read ahead of their step.

`image_batches` reads `Photographs`, or an array in memory or on disk, in the order of
`loader.index_batches`; crops and flips are then the step's own (`models.views`), on the
device, as with a resident store: both give the same numbers. `stream_batches` and
`joint_batches` go through `Stream`s: of examples that carry what is learned from them
(`records.open_stream`), cropped and flipped on the host.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import grain
import jax
import numpy as np
from absl import flags
from jaxtyping import Int

from jiaa.data import loader
from jiaa.data.photographs import Photographs

DEVICE_BUFFER = 2  # batches on the device before their step
Example = dict[str, np.ndarray]


@runtime_checkable
class Examples(Protocol):
    """Examples by number: "images" (uint8, [height width 3]) and what else there is.

    Worker processes get a pickled copy.
    """

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, number: int, /) -> Example:
        """One of them."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """What batches are made of: examples, how many of them, how shown.

    `batch_size` counts over all processes, each of which reads its own share. With
    `crop`, a random square of so many px is cut from an image, and mirrored half of the
    time.
    """

    examples: Examples
    batch_size: int
    crop: int | None = None


def stream_batches(
    stream: Stream,
    *,
    seed: int,
    epochs: int | None = None,
    shuffle: bool = True,
    drop_remainder: bool = True,
    threads: int = 8,
    workers: int = 0,
    sharding: jax.Device | jax.sharding.Sharding | None = None,
) -> "ReadAhead":
    """The stream's batches, shuffled anew in every epoch, read ahead of use.

    To evaluate, pass `epochs=1`, `shuffle=False` and `drop_remainder=False`.

    Args:
      stream: what is read.
      seed: of the order, which is that of `loader.index_batches`, and of the crops.
      epochs: None never ends.
      shuffle: whether the order is random.
      drop_remainder: whether an epoch's last, short batch is left out.
      threads: of `ReadAhead`, as the following.
      workers: processes that read.
      sharding: where to put the batches.

    Returns:
      Batches {"index": int32 [image], "images": uint8 [image height width 3], ...} with
      what else the examples have; an index is an example's number.

    Raises:
      ValueError: the batch does not divide by the processes or exceeds the data.
      ImageError: on reaching a photograph that cannot be read.
    """
    batches = _batched(
        stream, seed=seed, shuffle=shuffle, drop_remainder=drop_remainder
    )
    return ReadAhead(
        batches.repeat(epochs), threads=threads, workers=workers, sharding=sharding
    )


def joint_batches(
    streams: Mapping[str, Stream],
    *,
    seed: int,
    steps: int | None = None,
    threads: int = 8,
    workers: int = 0,
    sharding: jax.Device | jax.sharding.Sharding | None = None,
) -> "ReadAhead":
    """One batch of each stream a step, as {name: batch}; each goes round on its own.

    PA_IAA learns from AVA and PsychoFlickr in every step. `steps` None never ends; the
    other options, batches and errors are those of `stream_batches`.
    """
    options: dict[str, Any] = {"shuffle": True, "drop_remainder": True}
    parents = [
        _batched(stream, seed=seed + position, **options).repeat()
        for position, stream in enumerate(streams.values())
    ]
    joint = grain.experimental.ZipMapDataset(parents).map(_Named(tuple(streams)))
    if steps is not None:
        joint = joint[:steps]
    return ReadAhead(joint, threads=threads, workers=workers, sharding=sharding)


def image_batches(
    images: Any,
    *,
    image_ids: Int[np.ndarray, " image"] | None = None,
    batch_size: int,
    workers: int = 0,
    **options: Any,
) -> "ReadAhead":
    """The batches of `loader.index_batches` with their images, read ahead of use.

    Args:
      images: `Photographs`, or an array (also memory-mapped) [image height width 3].
      image_ids: the rows of `images` to learn from; all by default.
      batch_size: counts over all processes, each of which reads its own share.
      workers: processes that read; only for `Photographs`.
      **options: of `stream_batches`.

    Returns:
      Batches {"index": int32 [image], "images": uint8 [image height width 3]}, where an
      index counts in `image_ids`.

    Raises:
      ValueError: as `stream_batches`; or workers for an array.
      ImageError: on reaching a photograph that cannot be read.
    """
    if workers and not isinstance(images, Photographs):
        raise ValueError(
            f"workers={workers} for images in a {type(images).__name__}, which would "
            "be copied into each; expected 0: threads read an array fast enough"
        )
    ids = np.arange(len(images)) if image_ids is None else np.asarray(image_ids)
    stream = Stream(_Rows(images, ids), batch_size)
    return stream_batches(stream, workers=workers, **options)


class ReadAhead(grain.DatasetIterator):
    """Goes through `batches` from any position, reading ahead.

    Its state is the next batch's number, as that of `loader.index_batches`: a run may
    go on with the other, or with other numbers of threads and workers. (With worker
    processes, grain's own would be a state for each of them.)
    """

    def __init__(
        self,
        batches: grain.MapDataset,
        *,
        threads: int,
        workers: int,
        sharding: jax.Device | jax.sharding.Sharding | None,
    ):
        """Starts neither threads nor processes; the first batch does.

        Args:
          batches: of the whole run; an element is read when it is indexed.
          threads: that read at the same time, in this process or in each worker.
          workers: processes that read; 0 for threads alone. A script that asks for some
            guards its entry with `if __name__ == "__main__"`.
          sharding: where to put batches while the steps before them run; None leaves
            them on the host.
        """
        super().__init__()
        self._batches, self._threads, self._workers = batches, threads, workers
        self._sharding = sharding
        self._next = 0
        self._reader: grain.DatasetIterator | None = None

    def __next__(self) -> dict[str, Any]:
        """The next batch; waits where reading takes longer than the steps."""
        self._assert_open()
        if self._reader is None:
            self._reader = self._read_from(self._next)
        batch = next(self._reader)
        self._next += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return {"next_index": self._next}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to a position; what was read ahead is dropped."""
        self._stop()
        self._next = state["next_index"]

    def close(self) -> None:
        """Ends threads and worker processes; the iterator is of no use then."""
        self._closed = True
        self._stop()

    def _assert_open(self) -> None:
        if self._closed:
            raise ValueError("the batches were closed; make new ones")

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _read_from(self, first: int) -> grain.DatasetIterator:
        options = grain.ReadOptions(
            num_threads=self._threads, prefetch_buffer_size=self._threads
        )
        dataset = self._batches[first:].to_iter_dataset(options)
        if self._workers:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # grain reads flags; notebooks parse none
            dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(self._workers))
        if self._sharding is not None:
            dataset = grain.experimental.device_put(
                dataset,
                self._sharding,
                cpu_buffer_size=DEVICE_BUFFER,
                device_buffer_size=DEVICE_BUFFER,
            )
        return iter(dataset)


def _batched(
    stream: Stream, *, seed: int, shuffle: bool, drop_remainder: bool
) -> grain.MapDataset:
    options: dict[str, Any] = {
        "batch_size": stream.batch_size,
        "drop_remainder": drop_remainder,
    }
    size = len(stream.examples)
    numbers = loader.shares(size, seed=seed, shuffle=shuffle, **options)
    examples = numbers.map(_Read(stream.examples))
    if stream.crop is not None:
        examples = examples.random_map(_CropAndFlip(stream.crop))
    return loader.batched_shares(examples, **options)


# What follows can be sent to worker processes.


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """Images as examples."""

    images: Any
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> Example:
        return {"images": np.asarray(self.images[int(self.ids[number])])}


@dataclasses.dataclass(frozen=True, eq=False)
class _Read:
    """Number -> example."""

    examples: Examples

    def __call__(self, number: int) -> Example:
        return {"index": np.asarray(number, np.int32), **self.examples[number]}


@dataclasses.dataclass(frozen=True)
class _CropAndFlip(grain.transforms.RandomMap):
    """A random square of an example's image, mirrored or not."""

    side: int

    def random_map(self, element: Example, rng: np.random.Generator) -> Example:
        whole = element["images"]
        top, left = (rng.integers(length - self.side + 1) for length in whole.shape[:2])
        image = whole[top : top + self.side, left : left + self.side]
        if rng.random() < 0.5:
            image = image[:, ::-1]
        return element | {"images": np.ascontiguousarray(image)}


@dataclasses.dataclass(frozen=True)
class _Named:
    """Batches by their streams' names."""

    names: tuple[str, ...]

    def __call__(self, batches: tuple[Example, ...]) -> dict[str, Example]:
        return dict(zip(self.names, batches, strict=True))
