"""Photographs in the place of an array: decoded when indexed, and not before."""

import jax
import numpy as np
import pytest
from data.folders import write_images

from jiaa.data import store
from jiaa.data.photographs import Photographs
from jiaa.types import ImageStore

NUMBER = 10


@pytest.fixture
def paths(tmp_path):
    names = [f"{number}.png" for number in range(NUMBER)]
    write_images(tmp_path, names)
    return [tmp_path / name for name in names]


@pytest.fixture
def files(paths):
    return Photographs(paths, size=6, workers=1)


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
    found = store.compact(ImageStore(images=files), ids, pad_to=5)
    expected = store.compact(decoded, ids, pad_to=5)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_photographs_stay_files(files):
    kept = ImageStore(images=files)
    assert store.place(kept) is kept
    for whole in (np.asarray, lambda x: ImageStore(images=x).take(np.array([1]))):
        with pytest.raises(TypeError, match=r"10, 6 x 6.*all of them at once"):
            whole(files)


def test_a_changed_file_changes_the_fingerprint(paths, files):
    before = files.fingerprint()
    assert before == Photographs(paths, size=6).fingerprint()
    assert before != Photographs(paths, size=8).fingerprint()
    write_images(paths[0].parent, ["0.png", "other.png"])
    paths[0].write_bytes(paths[0].read_bytes() + b" ")
    assert before != files.fingerprint()


def test_encoded_photographs_are_those_of_their_files(paths, files):
    encoded = [path.read_bytes() for path in paths]
    there = Photographs(encoded, size=6, version="1")
    rows = np.arange(NUMBER)
    np.testing.assert_array_equal(there[rows], files[rows])
    assert (
        there.fingerprint() != Photographs(encoded, size=6, version="2").fingerprint()
    )


def test_a_selection_is_of_the_same_photographs_and_another_fingerprint(paths, files):
    rows = np.array([7, 2, 4])
    encoded = Photographs([x.read_bytes() for x in paths], size=6, version="1")
    for whole in (files, encoded):
        chosen = whole.select(rows)
        assert chosen.shape == (3, 6, 6, 3)
        np.testing.assert_array_equal(chosen[np.arange(3)], whole[rows])
        np.testing.assert_array_equal(chosen[1], whole[2])
        prints = {x.fingerprint() for x in (whole, chosen, whole.select(rows[::-1]))}
        assert len(prints) == 3
