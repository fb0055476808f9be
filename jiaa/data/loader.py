"""Endless shuffled batches whose position can be saved, by grain.

Every process draws its own share of each epoch's permutation, and a batch never spans
two epochs. The iterators have `get_state` and `set_state` and can be put into an orbax
checkpoint beside the training state. `data.stream` reads the images of such batches.
"""

from collections.abc import Callable, Sequence
from typing import Any

import grain
import jax
import numpy as np


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
    batches = batched_shares(
        shares(size, batch_size=batch_size, seed=seed, drop_remainder=drop_remainder),
        batch_size=batch_size,
        drop_remainder=drop_remainder,
        batch_fn=_int32,
    )
    return iter(batches.repeat(epochs).to_iter_dataset(grain.ReadOptions(0, 0)))


def shares(
    size: int,
    *,
    batch_size: int,
    seed: int,
    drop_remainder: bool,
    shuffle: bool = True,
) -> grain.MapDataset:
    """This process' part of each epoch's permutation of [0, size), one at a time.

    Without `shuffle`, the numbers come in order.

    Raises:
      ValueError: as `index_batches`.
    """
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
    shuffled = grain.MapDataset.range(size).seed(seed)
    if shuffle:
        shuffled = shuffled.shuffle()
    stop = size - size % processes if drop_remainder else size
    return shuffled[jax.process_index() : stop : processes]


def batched_shares(
    examples: grain.MapDataset,
    *,
    batch_size: int,
    drop_remainder: bool,
    batch_fn: Callable[[Sequence[Any]], Any] | None = None,
) -> grain.MapDataset:
    """This process' part of each batch; `batch_size` counts over all processes."""
    local = batch_size // jax.process_count()
    return examples.batch(local, drop_remainder=drop_remainder, batch_fn=batch_fn)


def _int32(indices: Sequence[int]) -> np.ndarray:
    return np.asarray(indices, np.int32)
