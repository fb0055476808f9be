"""Filling a store in parallel, keeping it on disk, and compacting it."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.folders import write_images

from jiaa.data import store as stores
from jiaa.data.images import ImageError
from jiaa.types import Episode, Examples, ImageStore

NAMES = [f"{number}.png" for number in range(12)]


@pytest.fixture
def paths(tmp_path):
    write_images(tmp_path / "images", NAMES)
    return [tmp_path / "images" / name for name in NAMES]


def levels(store):
    """The grey level of each image; images written by the fixture are uniform."""
    images = np.asarray(store.images)
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("workers", [1, 3, None])
def test_images_keep_the_order_of_the_paths(paths, workers):
    store = stores.load_images(paths, size=5, workers=workers, progress=False)
    assert store.images.shape == (12, 5, 5, 3)
    assert levels(store) == list(range(12))


def test_progress_bar_counts_the_images(paths, capsys):
    stores.load_images(paths, size=4)
    assert "12/12" in capsys.readouterr().err


def test_all_unreadable_images_are_reported_together(paths):
    paths[3].write_bytes(b"no image")
    paths[7].write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        stores.load_images([*paths, "lost.jpg"], size=4, progress=False)
    message = str(caught.value)
    assert "3 of 13 images failed" in message
    for finding in ("3.png: not readable", "7.png: an empty", "lost.jpg: no such"):
        assert finding in message


def test_second_run_reads_the_cache_and_decodes_nothing(paths, tmp_path, monkeypatch):
    options = {"size": 6, "progress": False, "cache_dir": tmp_path / "cache"}
    first = stores.load_images(paths, **options)

    def refuse(*_, **__):
        raise AssertionError("decoded again")

    monkeypatch.setattr(stores, "decode_resized", refuse)
    second = stores.load_images(paths, **options)
    np.testing.assert_array_equal(first.images, second.images)
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    with pytest.raises(AssertionError, match="decoded again"):
        stores.load_images(paths, **options | {"size": 7})
    with pytest.raises(AssertionError, match="decoded again"):
        stores.load_images(paths[::-1], **options)


def test_changed_image_is_decoded_again(paths, tmp_path):
    options = {"size": 6, "progress": False, "cache_dir": tmp_path / "cache"}
    stores.load_images(paths, **options)
    time = paths[0].stat().st_mtime_ns
    write_images(tmp_path / "images", ["0.png"][::-1])
    os.utime(paths[0], ns=(time, time + 1))
    paths[1].write_bytes(paths[5].read_bytes())
    os.utime(paths[1], ns=(time, time + 1))
    assert levels(stores.load_images(paths, **options))[:3] == [0, 5, 2]


def test_damaged_cache_is_written_again(paths, tmp_path):
    options = {"size": 6, "progress": False, "cache_dir": tmp_path / "cache"}
    stores.load_images(paths, **options)
    (cached,) = (tmp_path / "cache").iterdir()
    for damage in (b"", cached.read_bytes()[:200], b"x" * 300):
        cached.write_bytes(damage)
        assert levels(stores.load_images(paths, **options)) == list(range(12))


def test_failure_leaves_no_cache_behind(paths, tmp_path):
    paths[3].write_bytes(b"no image")
    with pytest.raises(ImageError):
        stores.load_images(paths, size=6, progress=False, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


class Device:
    """Tells its memory as an accelerator does."""

    def __init__(self, limit, used):
        self.stats = {"bytes_limit": limit, "bytes_in_use": used}

    def memory_stats(self):
        return self.stats


def test_fits_on_device_counts_free_memory(monkeypatch):
    store = ImageStore(images=np.zeros((10, 10, 10, 3), np.uint8))
    for limit, used, fits in ((6000, 0, True), (5999, 0, False), (9000, 3001, False)):
        device = Device(limit, used)
        monkeypatch.setattr(jax, "local_devices", lambda device=device: [device])
        assert stores.fits_on_device(store) is fits
        assert stores.fits_on_device(store, fraction=1.0)


def test_place_moves_what_fits_and_leaves_what_does_not():
    store = ImageStore(images=np.zeros((2, 4, 4, 3), np.uint8))
    assert isinstance(stores.place(store).images, jax.Array)
    mesh = jax.make_mesh((1,), ("user",), axis_types=(jax.sharding.AxisType.Auto,))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    assert stores.place(store, sharding=everywhere).images.sharding == everywhere
    assert stores.place(store, fraction=0.0) is store


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("kind", ["images", "features"])
def test_compact_store_shows_the_same_images(rng, kind, on_device):
    content = rng.integers(0, 255, (20, 3, 3, 3), np.uint8)
    if kind == "features":
        content = content.reshape(20, 27).astype(np.float32)
    store = ImageStore(**{kind: jnp.asarray(content) if on_device else content})
    ids = np.array([[17, 3, 3, 0], [5, 17, 4, 0]], np.int32)
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 0]], bool)
    for options in ({}, {"pad_to": 9}, {"mask": mask}, {"mask": mask, "pad_to": 9}):
        small, unique_ids = stores.compact(store, ids, **options)
        assert len(small) == len(unique_ids) == options.get("pad_to", len(unique_ids))
        rows = jax.jit(stores.remap)(ids, unique_ids)
        assert rows.min() >= 0
        assert rows.max() < len(small), "padding too has a valid row"
        same = np.asarray(small.take(rows) == content[ids])
        assert same[mask].all()
    assert unique_ids.tolist() == [3, 4, 5, 17] + [stores.NO_IMAGE] * 5
    assert not np.asarray(small.content[4:]).any(), "padding rows are black"


def test_compact_refuses_too_small_a_store():
    store = ImageStore(features=np.zeros((9, 2), np.float32))
    with pytest.raises(
        ValueError, match=r"needs 3 images; pad_to is 2\. Raise it to 3"
    ):
        stores.compact(store, np.array([1, 2, 3]), pad_to=2)


def test_compact_works_when_nothing_is_needed():
    store = ImageStore(features=np.ones((9, 2), np.float32))
    ids = np.array([3, 4])
    small, unique_ids = stores.compact(store, ids, mask=np.zeros(2, bool))
    assert len(small) == 1
    assert stores.remap(ids, unique_ids).tolist() == [0, 0]


def test_chunks_of_any_users_compile_once():
    features = np.arange(50, dtype=np.float32)[:, None]
    traces = 0

    @jax.jit
    def read(store, rows):
        nonlocal traces
        traces += 1
        return store.take(rows)

    for ids in ([3, 7, 7], [9, 0, 1], [4, 4, 4]):
        ids = np.array(ids)
        small, unique = stores.compact(ImageStore(features=features), ids, pad_to=5)
        read_back = read(small, stores.remap(ids, unique))
        np.testing.assert_array_equal(read_back, features[ids])
    assert traces == 1


def test_remapped_episode_reads_the_same_images():
    content = np.arange(30, dtype=np.float32)[:, None]
    ids = np.array([29, 9, 11, 20, 4], np.int32)
    ones = np.ones(5, np.float32)
    support, query = (
        Examples(ids[part], ones[part], ones[part] > 0)
        for part in (slice(2), slice(2, 5))
    )
    episode = Episode(np.array(7), support, query)
    small, unique_ids = stores.compact(ImageStore(features=content), ids)
    moved = stores.remap_episode(episode, unique_ids)
    for before, after in zip(
        (episode.support, episode.query), (moved.support, moved.query), strict=True
    ):
        np.testing.assert_array_equal(
            small.take(after.image_ids), content[np.asarray(before.image_ids)]
        )
