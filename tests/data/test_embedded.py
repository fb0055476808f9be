"""The synthetic world arrives as a dataset of FLICKR-AES' shape, drawn once."""

import inspect

import jax
import numpy as np
import pytest

import jiaa.data
from jiaa.data import synthetic

SIZES = {
    "image_size": 16,
    "train_users": 6,
    "test_users": 2,
    "train_images": 40,
    "test_ratings": (12, 20),
    "gold_images": 2,
}


def leaves(dataset):
    return [dataset.store.images, dataset.mean_scores, dict(dataset.tasks)]


def test_splits_share_neither_users_nor_images():
    dataset = jiaa.data.load("synthetic", seed=1, **SIZES)
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (6, 2)
    assert dataset.scale == (1.0, 5.0)
    seen, unseen = set(train.image_ids[train.mask]), set(test.image_ids[test.mask])
    assert len(seen) == 40
    assert not seen & unseen
    assert dataset.raters[sorted(seen)].min() == 5
    assert not dataset.raters[sorted(unseen)].any()
    assert set(dataset.metadata) == {"content", *synthetic.ATTRIBUTES}
    assert dataset.notes == ()


def test_second_call_reads_the_file_and_draws_nothing(tmp_path, monkeypatch):
    options = {"seed": 2, "cache_dir": tmp_path, **SIZES}
    first = jiaa.data.load("synthetic_flickr_aes", **options)
    drawn = synthetic.flickr_aes_view(seed=2, **SIZES)
    np.testing.assert_array_equal(first.store.images, drawn.images)

    def refuse(**_):
        raise AssertionError("drawn again")

    refuse.__signature__ = inspect.signature(synthetic.flickr_aes_view)
    monkeypatch.setattr(synthetic, "flickr_aes_view", refuse)
    second = jiaa.data.load("synthetic", progress=True, **options)
    jax.tree.map(np.testing.assert_array_equal, leaves(first), leaves(second))
    assert second.workers == first.workers
    for change in ({"seed": 3}, {"image_size": 8}):
        with pytest.raises(AssertionError, match="drawn again"):
            jiaa.data.load("synthetic", **options | change)
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(cached.read_bytes()[:100])
    with pytest.raises(AssertionError, match="drawn again"):
        jiaa.data.load("synthetic", **options)


def test_misspelt_size_stops_at_once():
    with pytest.raises(TypeError, match="train_user"):
        jiaa.data.load("synthetic", train_user=3)
