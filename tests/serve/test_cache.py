"""The file of features only grows, survives a kill, and knows changed photographs."""

import fcntl
import os

import numpy as np
import pytest

from jiaa.serve.cache import FeatureCache, photo_key

KEYS = [bytes([number]) * 12 for number in range(4)]


@pytest.fixture
def cache(tmp_path):
    made = FeatureCache(tmp_path, trunk="t", width=3)
    made.add(KEYS[:2], np.arange(6, dtype=np.float32).reshape(2, 3))
    return made


def test_another_process_finds_what_was_added(cache, tmp_path):
    again = FeatureCache(tmp_path, trunk="t", width=3)
    assert again.known(KEYS) == [True, True, False, False]
    np.testing.assert_array_equal(
        again.take([KEYS[1], KEYS[0]]), [[3, 4, 5], [0, 1, 2]]
    )


def test_half_a_record_is_cut_off_and_the_rest_stays(cache, tmp_path):
    with cache.path.open("ab") as file:
        file.write(b"killed in the mid")
    again = FeatureCache(tmp_path, trunk="t", width=3)
    again.add(KEYS[2:3], np.full((1, 3), 7, np.float32))
    last = FeatureCache(tmp_path, trunk="t", width=3)
    assert last.known(KEYS) == [True, True, True, False]
    np.testing.assert_array_equal(last.take(KEYS[1:3]), [[3, 4, 5], [7, 7, 7]])


def test_half_a_record_of_another_process_moves_no_later_one(cache, tmp_path):
    with cache.path.open("ab") as file:
        file.write(b"killed in the mid")
    cache.add(KEYS[2:3], np.full((1, 3), 7, np.float32))
    again = FeatureCache(tmp_path, trunk="t", width=3)
    for one in (cache, again):
        np.testing.assert_array_equal(one.take(KEYS[1:3]), [[3, 4, 5], [7, 7, 7]])


def test_a_cache_that_cannot_be_written_says_how_to_name_another(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"--cache FOLDER or \$JIAA_CACHE names another"):
        FeatureCache(tmp_path / "file" / "below", trunk="t", width=3)


def test_two_processes_may_add(cache, tmp_path):
    other = FeatureCache(tmp_path, trunk="t", width=3)
    other.add(KEYS[2:3], np.full((1, 3), 7, np.float32))
    cache.add(KEYS[3:], np.full((1, 3), 8, np.float32))
    np.testing.assert_array_equal(cache.take(KEYS[3:]), [[8, 8, 8]])
    last = FeatureCache(tmp_path, trunk="t", width=3)
    np.testing.assert_array_equal(last.take(KEYS[2:]), [[7, 7, 7], [8, 8, 8]])


def test_opening_takes_nothing_from_one_that_adds_meanwhile(
    cache, tmp_path, monkeypatch
):
    def late(file, operation):
        monkeypatch.undo()
        cache.add(KEYS[2:3], np.full((1, 3), 7, np.float32))
        fcntl.flock(file, operation)

    monkeypatch.setattr("jiaa.serve.cache.fcntl.flock", late)
    other = FeatureCache(tmp_path, trunk="t", width=3)
    assert other.known(KEYS) == [True, True, True, False]
    np.testing.assert_array_equal(cache.take(KEYS[2:3]), [[7, 7, 7]])


def test_another_trunk_has_a_file_of_its_own(cache, tmp_path):
    assert FeatureCache(tmp_path, trunk="other", width=3).known(KEYS) == [False] * 4


def test_features_that_are_not_finite_are_not_kept(cache):
    cache.add(KEYS[2:], np.array([[1, np.nan, 2], [1, 2, 3]], np.float32))
    assert cache.known(KEYS) == [True, True, False, True]
    np.testing.assert_array_equal(cache.take(KEYS[3:]), [[1, 2, 3]])


def test_a_changed_file_is_another_photograph(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"one")
    first = photo_key(path, size=(8, 8))
    assert photo_key(path, size=(8, 8)) == first
    assert photo_key(path, size=(8, 9)) != first
    os.utime(path, ns=(1, 1))
    assert photo_key(path, size=(8, 8)) != first
