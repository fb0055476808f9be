"""Batches cover the data, differ by epoch, are shared by processes and resume."""

import json

import jax
import numpy as np
import pytest

from jiaa.data import loader


@pytest.fixture
def processes(monkeypatch):
    """A function that makes JAX say which of how many processes this one is."""

    def pretend(index, count):
        monkeypatch.setattr(jax, "process_index", lambda: index)
        monkeypatch.setattr(jax, "process_count", lambda: count)

    return pretend


def epochs_of(batches, steps):
    """The indices of consecutive epochs of `steps` batches each."""
    flat = list(batches)
    return [np.concatenate(flat[i : i + steps]) for i in range(0, len(flat), steps)]


def test_every_epoch_is_a_new_permutation():
    batches = loader.index_batches(12, batch_size=4, seed=0, epochs=3)
    epochs = epochs_of(batches, 3)
    assert len(epochs) == 3
    for epoch in epochs:
        assert epoch.dtype == np.int32
        assert sorted(epoch) == list(range(12))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_same_seed_same_order_and_neighbouring_seeds_share_no_epoch():
    def orders(seed):
        batches = loader.index_batches(30, batch_size=10, seed=seed, epochs=4)
        return [tuple(epoch.tolist()) for epoch in epochs_of(batches, 3)]

    assert orders(1) == orders(1)
    assert not set(orders(0)) & set(orders(1))


def test_remainder_is_dropped_or_kept():
    dropped = list(loader.index_batches(10, batch_size=4, seed=0, epochs=2))
    assert [len(batch) for batch in dropped] == [4, 4, 4, 4]
    assert len(set(np.concatenate(dropped[:2]).tolist())) == 8
    kept = loader.index_batches(
        10, batch_size=4, seed=0, epochs=2, drop_remainder=False
    )
    kept = list(kept)
    assert [len(batch) for batch in kept] == [4, 4, 2] * 2
    assert sorted(np.concatenate(kept[3:])) == list(range(10))


def test_position_is_saved_and_restored_in_mid_epoch():
    def fresh():
        return loader.index_batches(20, batch_size=3, seed=5)

    batches = fresh()
    for _ in range(8):
        next(batches)
    state = json.loads(json.dumps(batches.get_state()))
    expected = [next(batches) for _ in range(10)]
    resumed = fresh()
    resumed.set_state(state)
    np.testing.assert_array_equal(expected, [next(resumed) for _ in range(10)])


def test_processes_share_each_epoch_without_overlap(processes):
    shards = []
    for index in range(4):
        processes(index, 4)
        batches = loader.index_batches(16, batch_size=8, seed=3, epochs=2)
        shards.append(epochs_of(batches, 2))
    for epoch in range(2):
        drawn = np.concatenate([shard[epoch] for shard in shards])
        assert sorted(drawn) == list(range(16))
    processes(0, 1)
    whole = epochs_of(loader.index_batches(16, batch_size=8, seed=3, epochs=2), 2)
    assert [set(x[:8].tolist()) for x in whole] == [
        set(np.concatenate([shard[epoch][:2] for shard in shards]).tolist())
        for epoch in range(2)
    ], "a step sees the same examples on any number of processes"


def test_processes_take_equally_many_steps(processes):
    steps = []
    for index in range(3):
        processes(index, 3)
        steps.append(
            len(list(loader.index_batches(11, batch_size=6, seed=0, epochs=1)))
        )
    assert steps == [1, 1, 1]


def test_without_dropping_processes_cover_everything(processes):
    drawn = []
    for index in range(3):
        processes(index, 3)
        batches = loader.index_batches(
            11, batch_size=6, seed=0, epochs=1, drop_remainder=False
        )
        drawn += np.concatenate(list(batches)).tolist()
    assert sorted(drawn) == list(range(11))


def test_impossible_batches_are_refused(processes):
    with pytest.raises(ValueError, match="batch_size=5 exceeds the 4 examples"):
        loader.index_batches(4, batch_size=5, seed=0)
    processes(0, 2)
    with pytest.raises(ValueError, match="batch_size=5 does not divide by 2 processes"):
        loader.index_batches(40, batch_size=5, seed=0)
