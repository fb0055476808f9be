"""Likes from PsychoFlickr's raw files: its ten folds, and who likes a photograph."""

import dataclasses

import numpy as np
import pytest

from jiaa.data import load
from jiaa.data.likes import Likes, dataset_likes
from jiaa.data.synthetic.formats import FORMATS
from jiaa.types import ImageStore


def test_the_target_of_a_photograph_is_its_likers_mean():
    # Image 1 is liked by users 0 and 2, image 3 by user 2; image 0's like is left out.
    traits = np.array([[1.0, 0.0], [-1.0, -1.0], [0.0, 0.5]])
    store = ImageStore(images=np.zeros((4, 2, 2, 3), np.uint8))
    likes = Likes(np.array([0, 1, 2, 2]), np.array([1, 0, 1, 3]), traits, store)
    images, mean = likes.mean_traits(np.array([0, 2, 3]))
    assert images.tolist() == [1, 3]
    np.testing.assert_allclose(mean, [[0.5, 0.25], [0.0, 0.5]])


def test_a_fold_divides_people_and_photographs(tmp_path):
    root = FORMATS["psycho_flickr"](tmp_path, users=20, images=60, image_size=16)
    options = {"root": root, "image_size": 8, "progress": False}
    tested = set()
    for fold in range(10):
        dataset = load("psycho_flickr", fold=fold, **options)
        likes, learned, held_out = dataset_likes(dataset)
        assert set(likes.user[learned]).isdisjoint(likes.user[held_out])
        assert set(likes.image[learned]).isdisjoint(likes.image[held_out])
        people = np.unique(likes.user[held_out])
        tested |= {tuple(row) for row in likes.traits[people]}
        assert len(people) == 2
    rows = np.loadtxt(root / "users.csv", str, delimiter=",", skiprows=1)
    asked = rows[:, 1:].astype(float) / 4
    # Stored as float32; quarters are exact.
    assert tested == {tuple(row) for row in asked.astype(np.float32)}
    aadb = FORMATS["aadb"](tmp_path / "aadb", images=30, workers=4, image_size=16)
    rated = load("aadb", root=aadb, image_size=16, progress=False)
    with pytest.raises(ValueError, match="have no traits"):
        dataset_likes(rated)
    with pytest.raises(ValueError, match="'aadb' has no test and train users"):
        dataset_likes(dataclasses.replace(rated, tasks={}))
    for wrong in (np.nan, 1.5):
        with pytest.raises(ValueError, match=r"user '.*' are \[.*\]; expected .* -1"):
            dataset_likes(with_trait(dataset, wrong))


def with_trait(dataset, value):
    """`dataset` with this trait of the first training user."""
    tasks = dataset.tasks["train"]
    traits = np.array(tasks.side["traits"])
    traits[0, :, 2] = value
    tasks = dataclasses.replace(tasks, side={**tasks.side, "traits": traits})
    return dataclasses.replace(dataset, tasks={**dataset.tasks, "train": tasks})
