"""Endless shuffled batches whose position can be saved, by grain.

Every process draws its own share of each epoch's permutation, and a batch never spans
two epochs. The iterators have `get_state` and `set_state` and can be put into an orbax
checkpoint beside the training state.
"""

import dataclasses
from collections.abc import Sequence

import grain
import jax
import numpy as np
from absl import flags

from jiaa.data.images import AnyPath, Size, decode_resized


def index_batches(
    size: int,
    *,
    batch_size: int,
    seed: int,
    epochs: int | None = None,
    drop_remainder: bool = True,
) -> grain.DatasetIterator:
    """Batches of int32 indices into [0, size), shuffled anew in every epoch.

    `batch_size` counts over all processes; each one gets `batch_size / process_count`
    indices a step. `epochs` None never ends. With `drop_remainder`, every process sees
    equally many full batches (what collectives need); without, every index comes once
    an epoch and the last batch may be short.

    Raises:
      ValueError: the batch does not divide by the processes or exceeds the data.
    """
    shares = _shares(size, batch_size, seed, drop_remainder)
    batches = shares.batch(
        _local(batch_size), drop_remainder=drop_remainder, batch_fn=_int32
    )
    return _iterate(batches, epochs, threads=0, workers=0)


def image_batches(
    paths: Sequence[AnyPath],
    *,
    image_size: Size,
    batch_size: int,
    seed: int,
    epochs: int | None = None,
    drop_remainder: bool = True,
    threads: int = 8,
    workers: int = 0,
) -> grain.DatasetIterator:
    """Batches for stores beyond the memory: {"index": int32, "images": uint8}.

    `images` [image, height, width, 3] are decoded ahead of use by threads, or
    by `workers` processes with that many threads each; a script that asks for processes
    guards its entry with `if __name__ == "__main__"`. The order is that of
    `index_batches` with the same seed.

    Raises:
      ImageError: on reaching a file that cannot be read.
    """
    shares = _shares(len(paths), batch_size, seed, drop_remainder)
    decoded = shares.map(_Decode(tuple(str(path) for path in paths), image_size))
    batches = decoded.batch(_local(batch_size), drop_remainder=drop_remainder)
    return _iterate(batches, epochs, threads=threads, workers=workers)


@dataclasses.dataclass(frozen=True)
class _Decode:
    """A callable that can be sent to worker processes."""

    paths: tuple[str, ...]
    image_size: Size

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        image = decode_resized(self.paths[index], size=self.image_size)
        return {"index": np.asarray(index, np.int32), "images": image}


def _shares(
    size: int, batch_size: int, seed: int, drop_remainder: bool
) -> grain.MapDataset:
    """This process' part of each epoch's permutation."""
    processes = jax.process_count()
    if batch_size % processes:
        raise ValueError(
            f"batch_size={batch_size} does not divide by {processes} processes; "
            "expected a multiple"
        )
    if drop_remainder and size < batch_size:
        raise ValueError(
            f"batch_size={batch_size} exceeds the {size} examples; lower it or pass "
            "drop_remainder=False"
        )
    # `seed` goes through a hash: grain adds the epoch to a shuffle's own seed, so that
    # neighbouring seeds would otherwise see the same permutations one epoch apart.
    shuffled = grain.MapDataset.range(size).seed(seed).shuffle()
    stop = size - size % processes if drop_remainder else size
    return shuffled[jax.process_index() : stop : processes]


def _local(batch_size: int) -> int:
    return batch_size // jax.process_count()


def _int32(indices: Sequence[int]) -> np.ndarray:
    return np.asarray(indices, np.int32)


def _iterate(
    batches: grain.MapDataset, epochs: int | None, *, threads: int, workers: int
) -> grain.DatasetIterator:
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    dataset = batches.repeat(epochs).to_iter_dataset(options)
    if workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # grain reads flags; notebooks parse none
        dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(workers))
    return iter(dataset)
