"""Images read ahead: the order of index_batches, from any position, on the device."""

import json

import jax
import numpy as np
import pytest
from data.folders import write_images

from jiaa.data import loader, store, stream
from jiaa.data.images import ImageError
from jiaa.data.stream import Photographs, image_batches
from jiaa.types import ImageStore

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


def test_photographs_index_like_the_array_of_their_decoded_pixels(paths, files):
    decoded = store.load_images(paths, size=6, workers=1, progress=False).images
    assert files.shape == decoded.shape
    assert files.dtype == decoded.dtype
    assert len(files) == len(decoded)
    rows = np.array([[3, 0, 3], [9, 1, 2]])
    np.testing.assert_array_equal(files[rows], decoded[rows])
    np.testing.assert_array_equal(files[np.int32(7)], decoded[7])
    np.testing.assert_array_equal(files[np.empty(0, int)], decoded[:0])


def test_photographs_are_compacted_like_pixels(paths, files):
    decoded = store.load_images(paths, size=6, workers=1, progress=False)
    ids = np.array([5, 2, 5, 8])
    assert_equal(
        store.compact(ImageStore(images=files), ids, pad_to=5),
        store.compact(decoded, ids, pad_to=5),
    )


def test_photographs_stay_files(files):
    kept = ImageStore(images=files)
    assert store.place(kept) is kept
    for whole in (np.asarray, lambda x: ImageStore(images=x).take(np.array([1]))):
        with pytest.raises(TypeError, match=r"10 files, 6 x 6.*all of them at once"):
            whole(files)


def test_a_changed_file_changes_the_fingerprint(paths, files):
    before = files.fingerprint()
    assert before == Photographs(paths, size=6).fingerprint()
    assert before != Photographs(paths, size=8).fingerprint()
    write_images(paths[0].parent, ["0.png", "other.png"])
    paths[0].write_bytes(paths[0].read_bytes() + b" ")
    assert before != files.fingerprint()


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


@pytest.mark.slow
def test_worker_processes_give_the_same_batches_from_any_position(files):
    batches = image_batches(files, threads=1, workers=2, **OPTIONS)
    here = image_batches(files, threads=0, **OPTIONS)
    batches.set_state({"next_index": 1})
    here.set_state({"next_index": 1})
    for _ in range(3):
        assert_equal(next(batches), next(here))
    assert batches.get_state() == here.get_state() == {"next_index": 4}
    batches.close()
