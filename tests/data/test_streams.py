"""Batches from records: shuffled by seed, shared, augmented, resumed, joined."""

import json

import jax
import numpy as np
import pytest

from jiaa.data import streams
from jiaa.data.builders import BUILDERS
from jiaa.data.images import decode_resized
from jiaa.data.table import DataError


def open_stream(name, folder, split="train", **options):
    options = {"batch_size": 4, "image_size": 12} | options
    return streams.open_stream(name, folder, split=split, **options)


def batches(stream, **options):
    return streams.stream_batches(stream, **{"seed": 0, "threads": 0} | options)


@pytest.fixture
def ava(data_dir):
    return open_stream("ava", data_dir("ava"))


def test_an_epoch_shows_every_record_once_in_another_order(ava):
    size = len(ava.records)
    flat = [x["index"] for x in batches(ava, epochs=2, drop_remainder=False)]
    order = np.concatenate(flat)
    first, second = order[:size], order[size:]
    assert sorted(first) == sorted(second) == list(range(size))
    assert first.tolist() != second.tolist()
    again = batches(ava, epochs=2, drop_remainder=False)
    assert np.concatenate([x["index"] for x in again]).tolist() == order.tolist()
    other = batches(ava, epochs=1, seed=1, drop_remainder=False)
    assert np.concatenate([x["index"] for x in other]).tolist() != first.tolist()


def test_evaluation_goes_through_in_order(ava):
    options = {"epochs": 1, "shuffle": False, "drop_remainder": False}
    found = list(batches(ava, **options))
    index = np.concatenate([batch["index"] for batch in found])
    assert index.tolist() == list(range(len(ava.records)))
    for row, record in enumerate(ava.records):
        batch, position = divmod(row, 4)
        expected = decode_resized(record["image"], size=12)
        np.testing.assert_array_equal(found[batch]["images"][position], expected)
        votes = record["votes"]
        np.testing.assert_allclose(
            found[batch]["distribution"][position], votes / votes.sum(), rtol=1e-6
        )


def test_a_crop_is_a_window_of_its_image_mirrored_or_not(data_dir):
    stream = open_stream("ava", data_dir("ava"), crop=9)
    seen = set()
    for batch in batches(stream, epochs=2):
        for index, image in zip(batch["index"], batch["images"], strict=True):
            whole = decode_resized(stream.records[int(index)]["image"], size=12)
            seen.add(window(whole, image))
    assert {mirrored for *_, mirrored in seen} == {True, False}
    assert {top for top, _, _ in seen} == {0, 1, 2, 3}
    assert {left for _, left, _ in seen} == {0, 1, 2, 3}


def window(whole, image):
    """Where the crop was taken from."""
    size = image.shape[0]
    places = [
        (top, left, mirrored)
        for top in range(whole.shape[0] - size + 1)
        for left in range(whole.shape[1] - size + 1)
        for mirrored in (False, True)
        if np.array_equal(
            whole[top : top + size, left : left + size][:, :: -1 if mirrored else 1],
            image,
        )
    ]
    assert len(places) == 1
    return places[0]


def test_processes_share_each_step_without_overlap(ava, monkeypatch):
    whole = [batch["index"] for batch in batches(ava, epochs=1)]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    shards = []
    for process in range(2):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        shards.append([batch["index"] for batch in batches(ava, epochs=1)])
    assert len(shards[0]) == len(shards[1]) == len(whole)
    for step, expected in enumerate(whole):
        drawn = np.concatenate([shard[step] for shard in shards])
        assert len(shards[0][step]) == 2
        assert set(drawn.tolist()) == set(expected.tolist())


@pytest.mark.parametrize("threads", [0, 2])
def test_the_position_is_saved_and_restored_in_mid_epoch(data_dir, threads):
    stream = open_stream("ava", data_dir("ava"), crop=9)
    running = batches(stream, threads=threads)
    for _ in range(5):
        next(running)
    state = json.loads(json.dumps(running.get_state()))
    expected = [next(running) for _ in range(8)]
    resumed = batches(stream, threads=threads)
    resumed.set_state(state)
    found = [next(resumed) for _ in range(8)]
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.fixture
def pair(ava, data_dir):
    folds = "+".join(f"fold{fold}" for fold in range(9))
    traits = open_stream("psycho_flickr", data_dir("psycho_flickr"), folds)
    return {"aesthetic": ava, "personality": traits}


def test_joint_batches_hold_one_of_each_and_go_round_alone(pair):
    longest = max(len(stream.records) for stream in pair.values())
    steps = 2 * longest // 4
    found = list(streams.joint_batches(pair, seed=0, steps=steps, threads=0))
    assert len(found) == steps
    for name, stream in pair.items():
        an_epoch = len(stream.records) // 4
        index = np.concatenate([batch[name]["index"] for batch in found[:an_epoch]])
        assert len(set(index.tolist())) == len(index), "an epoch repeats no record"
    assert found[0]["personality"]["traits"].shape == (4, 5)
    assert found[0]["aesthetic"]["distribution"].shape == (4, 10)


def test_joint_batches_resume_in_mid_epoch(pair):
    running = streams.joint_batches(pair, seed=3, threads=0)
    for _ in range(7):
        next(running)
    state = running.get_state()
    expected = [next(running) for _ in range(6)]
    resumed = streams.joint_batches(pair, seed=3, threads=0)
    resumed.set_state(state)
    found = [next(resumed) for _ in range(6)]
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_dataset_has_targets_of_fixed_shape(name, data_dir):
    folder = data_dir(name)
    split = {"real_cur": "test", "psycho_flickr": "fold0+fold1+fold2"}.get(
        name, "train"
    )
    batch = next(batches(open_stream(name, folder, split)))
    assert batch["images"].shape == (4, 12, 12, 3)
    targets = {key: x for key, x in batch.items() if key not in ("index", "images")}
    assert targets
    for key, values in targets.items():
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        low = -1 if key in ("traits", "attributes") else 0
        assert values.min() >= low
        assert values.max() <= 1


def test_aadb_scores_become_stars_over_five():
    record = {"score": np.float32(0.5), "attributes": np.zeros(11, np.float32)}
    assert streams.attribute_targets(record)["score"] == pytest.approx(0.6)  # 3 of 5


def test_what_is_not_there_is_refused_with_the_remedy(data_dir, tmp_path):
    with pytest.raises(DataError, match=r"no prepared ava; .*--dataset ava"):
        open_stream("ava", tmp_path)
    with pytest.raises(DataError, match="ava has no 'val' split, only test, train"):
        open_stream("ava", data_dir("ava"), split="val")
    with pytest.raises(ValueError, match="crop=13 does not fit"):
        open_stream("ava", data_dir("ava"), crop=13)
