"""Images that the device does not hold: read ahead of the step that needs them.

For what does not fit. `Photographs` are image files that stand where an `ImageStore`
has an array, decoded whenever they are asked for; `image_batches` reads from them, or
from an array in memory or on disk, in threads or in worker processes. Crops and flips
are the step's own (`models.views`), on the device, as with a resident store: both give
the same numbers.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain
import jax
import numpy as np
from absl import flags
from jaxtyping import Int, UInt8

from jiaa.data import loader
from jiaa.data.images import AnyPath, Size, decode_resized, sides
from jiaa.data.store import fingerprint, load_images

DEVICE_BUFFER = 2  # batches on the device before their step


class Photographs:
    """Image files in the place of an array [image height width 3] of uint8.

    Rows are decoded and squashed to `size` when they are indexed and kept nowhere; only
    integers and arrays of them are indices. Several rows are decoded by `workers`
    threads (default: the usable cores).
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, paths: Sequence[AnyPath], *, size: Size, workers: int | None = None
    ):
        """Reads nothing yet: a broken file is found when it is reached."""
        self._paths = tuple(str(path) for path in paths)
        self._workers = workers
        self.shape = (len(self._paths), *sides(size), 3)

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._paths)

    def __getitem__(
        self, rows: int | np.integer | Int[np.ndarray, "*shape"]
    ) -> UInt8[np.ndarray, "*shape height width 3"]:
        """The images of one row or of many.

        Raises:
          ImageError: a file cannot be read; says which.
        """
        size = self.shape[1:3]
        if isinstance(rows, int | np.integer):
            return decode_resized(self._paths[rows], size=size)
        rows = np.asarray(rows)
        paths = [self._paths[row] for row in rows.ravel()]
        store = load_images(paths, size=size, workers=self._workers, progress=False)
        return np.asarray(store.images).reshape(*rows.shape, *self.shape[1:])

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        """Refused: it would decode every file, and fill the memory.

        Raises:
          TypeError: always.
        """
        raise TypeError(
            f"{self!r} became an array, which would decode all of them at once. Index "
            "the rows that you need (jiaa.data.store.compact), or load the dataset "
            "with images='device'"
        )

    def __repr__(self) -> str:
        """One line."""
        _, height, width, _ = self.shape
        return f"Photographs({len(self)} files, {height} x {width})"

    def fingerprint(self) -> str:
        """Changes with any file's name, length or time, and with the size."""
        return fingerprint(self._paths, self.shape)


def image_batches(
    images: Any,
    *,
    image_ids: Int[np.ndarray, " image"] | None = None,
    batch_size: int,
    seed: int,
    epochs: int | None = None,
    threads: int = 8,
    workers: int = 0,
    sharding: jax.Device | jax.sharding.Sharding | None = None,
) -> "ReadAhead":
    """The batches of `loader.index_batches` with their images, read ahead of use.

    Args:
      images: `Photographs`, or an array (also memory-mapped) [image height width 3].
      image_ids: the rows of `images` to learn from; all by default.
      batch_size: counts over all processes, each of which reads its own share.
      seed: of the order, which is that of `index_batches`.
      epochs: None never ends.
      threads: of `ReadAhead`, as the following.
      workers: only for `Photographs`.
      sharding: where to put the batches.

    Returns:
      Batches {"index": int32 [image], "images": uint8 [image height width 3]}, where an
      index counts in `image_ids`; an epoch's last, short batch is left out.

    Raises:
      ValueError: as `index_batches`; or workers for an array.
      ImageError: on reaching a file that cannot be read.
    """
    _check_workers(workers, images)
    ids = np.arange(len(images)) if image_ids is None else np.asarray(image_ids)
    options: dict[str, Any] = {"batch_size": batch_size, "drop_remainder": True}
    examples = loader.shares(len(ids), seed=seed, **options).map(_Read(images, ids))
    batches = loader.batched_shares(examples, **options).repeat(epochs)
    return ReadAhead(batches, threads=threads, workers=workers, sharding=sharding)


def _check_workers(workers: int, images: Any) -> None:
    if workers and not isinstance(images, Photographs):
        raise ValueError(
            f"workers={workers} for images in a {type(images).__name__}, which would "
            "be copied into each; expected 0: threads read an array fast enough"
        )


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


@dataclasses.dataclass(frozen=True, eq=False)
class _Read:
    """Example number -> its image; can be sent to worker processes."""

    images: Any
    ids: np.ndarray

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        image = np.asarray(self.images[int(self.ids[index])])
        return {"index": np.asarray(index, np.int32), "images": image}
