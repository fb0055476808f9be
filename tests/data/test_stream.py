"""Images read ahead: the order of index_batches, from any position, on the device."""

import json

import jax
import numpy as np
import pytest
from data.folders import write_images

from jiaa.data import loader, stream
from jiaa.data.images import ImageError
from jiaa.data.photographs import Photographs
from jiaa.data.stream import Stream, image_batches, joint_batches

NUMBER = 10
OPTIONS = {"batch_size": 4, "seed": 2}


@pytest.fixture
def paths(tmp_path):
    names = [f"{number}.png" for number in range(NUMBER)]
    write_images(tmp_path, names)
    return [tmp_path / name for name in names]


@pytest.fixture
def files(paths):
    """Photographs whose green value is their number."""
    return Photographs(paths, size=6, workers=1)


def assert_equal(one, two):
    jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("kind", ["files", "array"])
def test_batches_show_the_images_of_their_indices(files, threads, kind):
    ids = np.array([9, 4, 0, 7, 1, 3, 2, 8])
    images = files if kind == "files" else files[np.arange(NUMBER)]
    batches = list(
        image_batches(images, image_ids=ids, threads=threads, epochs=2, **OPTIONS)
    )
    indices = list(loader.index_batches(len(ids), epochs=2, **OPTIONS))
    assert len(batches) == len(indices) == 4
    for batch, index in zip(batches, indices, strict=True):
        np.testing.assert_array_equal(batch["index"], index)
        assert batch["index"].dtype == np.int32
        assert batch["images"].shape == (4, 6, 6, 3)
        assert batch["images"].dtype == np.uint8
        np.testing.assert_array_equal(batch["images"][:, 2, 2, 1], ids[index])


def test_batches_lie_on_the_device_before_they_are_asked_for(files):
    device = jax.local_devices()[0]
    ahead = image_batches(files, threads=1, sharding=device, **OPTIONS)
    plain = image_batches(files, threads=1, **OPTIONS)
    for _ in range(4):
        batch = next(ahead)
        assert isinstance(batch["images"], jax.Array)
        assert batch["images"].devices() == {device}
        assert_equal(batch, next(plain))
    ahead.close()
    with pytest.raises(ValueError, match="were closed"):
        next(ahead)


def test_a_position_is_that_of_index_batches_and_of_any_way_of_reading(files):
    indices = loader.index_batches(NUMBER, **OPTIONS)
    for _ in range(5):  # in the third epoch of two batches
        next(indices)
    state = json.loads(json.dumps(indices.get_state()))
    expected = [next(indices) for _ in range(4)]
    for threads, sharding in ((0, None), (3, None), (2, jax.local_devices()[0])):
        resumed = image_batches(files, threads=threads, sharding=sharding, **OPTIONS)
        next(resumed)  # it has read ahead elsewhere
        resumed.set_state(state)
        assert resumed.get_state() == state
        for want in expected:
            np.testing.assert_array_equal(next(resumed)["index"], want)
        indices.set_state(resumed.get_state())
        np.testing.assert_array_equal(next(indices), next(resumed)["index"])
        resumed.close()


def test_processes_read_their_own_shares(files, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    seen = []
    for index in range(2):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        batches = image_batches(files, threads=0, epochs=1, **OPTIONS)
        seen += [batch["images"][:, 2, 2, 1].tolist() for batch in batches]
    assert {len(batch) for batch in seen} == {2}
    drawn = [image for batch in seen for image in batch]
    assert len(set(drawn)) == len(drawn) == 8


def test_an_unreadable_photograph_stops_with_its_name(paths, files):
    paths[4].write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"4\.png: not readable"):
        list(image_batches(files, batch_size=10, seed=1, epochs=1, threads=0))
    with pytest.raises(ImageError, match=r"4\.png: not readable"):
        files[np.array([1, 4])]


def test_an_array_is_not_copied_into_worker_processes():
    with pytest.raises(ValueError, match=r"workers=2 for images in a ndarray"):
        stream.image_batches(np.zeros((8, 2, 2, 3), np.uint8), workers=2, **OPTIONS)


def examples(number, *, start=0):
    """Images whose pixels all differ, named by their first one."""
    images = start + np.arange(number * 36 * 3).reshape(number, 6, 6, 3)
    return [{"images": (image % 251).astype(np.uint8)} for image in images]


def test_a_crop_is_a_window_of_its_image_mirrored_or_not():
    whole = examples(8)
    batches = stream.stream_batches(Stream(whole, 4, crop=4), seed=0, threads=0)
    seen = set()
    for _ in range(40):
        batch = next(batches)
        for index, image in zip(batch["index"], batch["images"], strict=True):
            seen.add(window(whole[index]["images"], image))
    assert seen == {(t, x, m) for t in range(3) for x in range(3) for m in (-1, 1)}


def window(whole, image):
    """(top, left, direction): where the crop was taken from."""
    side = image.shape[0]
    places = [
        (top, left, direction)
        for top in range(whole.shape[0] - side + 1)
        for left in range(whole.shape[1] - side + 1)
        for direction in (-1, 1)
        if np.array_equal(
            whole[top : top + side, left : left + side][:, ::direction], image
        )
    ]
    assert len(places) == 1
    return places[0]


def test_crops_are_the_same_after_a_resumption_and_others_in_each_epoch():
    cropped = Stream(examples(8), 4, crop=3)
    running = stream.stream_batches(cropped, seed=1, threads=2)
    found = [next(running) for _ in range(20)]
    resumed = stream.stream_batches(cropped, seed=1, threads=0)
    resumed.set_state({"next_index": 5})
    assert_equal([next(resumed) for _ in range(15)], found[5:])
    shown = [x["images"][x["index"] == 0] for x in found if 0 in x["index"]]
    assert len({image.tobytes() for image in shown}) > 1


def test_joint_batches_hold_one_of_each_and_go_round_alone():
    pair = {"short": Stream(examples(5), 2), "long": Stream(examples(12, start=7), 3)}
    found = list(joint_batches(pair, seed=0, steps=4, threads=0))
    assert [set(batch) for batch in found] == [{"short", "long"}] * 4
    rows = np.concatenate([batch["long"]["index"] for batch in found])
    assert sorted(rows) == list(range(12)), "an epoch shows each example once"
    for epoch in (found[:2], found[2:]):
        rows = np.concatenate([batch["short"]["index"] for batch in epoch])
        assert len(set(rows.tolist())) == 4


def test_worker_processes_give_the_same_batches_from_any_position(files):
    batches = image_batches(files, threads=1, workers=2, **OPTIONS)
    here = image_batches(files, threads=0, **OPTIONS)
    batches.set_state({"next_index": 1})
    here.set_state({"next_index": 1})
    for _ in range(3):
        assert_equal(next(batches), next(here))
    assert batches.get_state() == here.get_state() == {"next_index": 4}
    batches.close()
