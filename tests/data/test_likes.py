"""Likes from PsychoFlickr's raw files: its ten folds, and who likes a photograph."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from jiaa.data import load
from jiaa.data.likes import Likes, dataset_likes
from jiaa.data.synthetic.formats import FORMATS
from jiaa.types import ImageStore, UserTasks


def test_the_target_of_a_photograph_is_its_likers_mean():
    # Image 1 is liked by users 0 and 2, image 3 by user 2; image 0's like is left out.
    traits = np.array([[1.0, 0.0], [-1.0, -1.0], [0.0, 0.5]])
    store = ImageStore(images=np.zeros((4, 2, 2, 3), np.uint8))
    likes = Likes(np.array([0, 1, 2, 2]), np.array([1, 0, 1, 3]), traits, store)
    images, mean = likes.mean_traits(np.array([0, 2, 3]))
    assert images.tolist() == [1, 3]
    np.testing.assert_allclose(mean, [[0.5, 0.25], [0.0, 0.5]])


def test_a_fold_divides_people_and_photographs(tmp_path):
    root = FORMATS["psycho_flickr"](tmp_path, users=20, images=60, image_size=8)
    options = {"root": root, "image_size": 8, "progress": False}
    tested = set()
    for fold in range(10):
        likes, learned, held_out = dataset_likes(
            load("psycho_flickr", fold=fold, **options)
        )
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


@pytest.mark.parametrize("wrong", [np.nan, 1.5])
def test_traits_that_are_none_are_refused_with_the_users_name(wrong):
    ids, mask = np.array([[0], [1]]), np.ones((2, 1), bool)
    traits = np.array([[[0.5]], [[wrong]]], np.float32)
    side = {"traits": traits}
    tasks = UserTasks(np.array([3, 4]), ids, ids.astype(np.float32), mask, side)
    of_split = {"train": tasks[:1], "test": tasks[1:]}
    dataset = SimpleNamespace(
        name="likes", tasks=of_split, workers={3: "ann", 4: "bob"}, store=None
    )
    with pytest.raises(ValueError, match=r"'bob' are \[.*\]; expected .* -1 to 1"):
        dataset_likes(dataset)
