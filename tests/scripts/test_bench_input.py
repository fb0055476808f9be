"""The contestants of the input benchmark do the same work, and waits are added up."""

import argparse

import numpy as np
import pytest
from PIL import Image

from jiaa.data.images import decode_resized
from scripts import bench_input

pytest.importorskip("torch")


@pytest.fixture
def paths(tmp_path, rng, monkeypatch):
    """Five small JPEGs of noise, stored at 12 px and shown at 8."""
    monkeypatch.setattr(bench_input, "STORED", 12)
    monkeypatch.setattr(bench_input, "SHOWN", 8)
    paths = [str(tmp_path / f"{number}.jpg") for number in range(5)]
    for path in paths:
        pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def crops_of(image, side=8):
    """Every crop of an image, and its mirror image."""
    places = range(image.shape[0] - side + 1)
    for top in places:
        for left in places:
            crop = image[top : top + side, left : left + side]
            yield crop
            yield crop[:, ::-1]


def test_every_contestant_shows_crops_of_the_same_pixels(paths):
    whole = [decode_resized(path, size=12) for path in paths]
    known = {crop.tobytes() for image in whole for crop in crops_of(image)}
    feeds = bench_input.feeds(paths, batch_size=4, workers=0)
    assert sum(name.startswith("torch") for name in feeds) == 1
    assert len(feeds) == 6  # without workers, two rows are one
    for name, feed in feeds.items():
        batch = np.asarray(feed.ready(feed.next()))
        if name.startswith("torch"):
            batch = batch.transpose(0, 2, 3, 1)
        assert batch.shape == (4, 8, 8, 3)
        assert batch.dtype == np.uint8
        assert all(image.tobytes() in known for image in batch), name
        feed.close()


def test_waits_are_those_behind_the_first_batch():
    flags = argparse.Namespace(batch_size=10)
    # 1 s for the first; then 1 + 0.5 of the 4.5 s from its arrival to the last one's.
    waited = bench_input._waited([(0, 1), (2, 3), (5, 5.5)], flags)
    assert waited == {
        "steps": 3,
        "images_s": pytest.approx(20 / 4.5),
        "waited": pytest.approx(1 / 3),
        "first_batch_s": 1,
    }


def test_a_short_training_is_measured_through_the_projects_loop(paths, monkeypatch):
    flags = argparse.Namespace(batch_size=2, workers=0, width=2, steps=3)
    monkeypatch.setattr(bench_input, "make_training", lambda *_: three_batches)
    rows = bench_input.waiting(paths, flags)
    assert [row["steps"] for row in rows] == [3] * 4
    assert all(0 <= row["waited"] <= 1 for row in rows)


def three_batches(batches, store, folder, steps):
    for _ in range(3):
        next(batches)
