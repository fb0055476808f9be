"""Tables of images and of what people said of them."""

import numpy as np
import pytest

from jiaa.data.builders import labels
from jiaa.data.table import DataError
from jiaa.types import Ratings


def known():
    ratings = Ratings(
        np.array(["ann", "bob", "ann"]),
        np.array(["c", "a", "a"]),
        np.array([1.0, 2.0, 3.0]),
        (1.0, 5.0),
    )
    return labels.Labels(
        image_ids=("a", "b", "c"),
        image_split=np.array(["train", "test", "train"]),
        columns={"level": np.arange(3)},
        responses=labels.response_columns(ratings, ("a", "b", "c")),
    )


def test_responses_are_sorted_by_image_and_worker():
    responses = known().responses
    assert responses["image"].tolist() == [0, 0, 2]
    assert responses["worker"].tolist() == ["ann", "bob", "ann"]
    assert responses["stars"].tolist() == [3, 2, 1]


def test_taking_images_takes_what_was_said_of_them():
    taken = known().take(np.array([1, 2]))
    assert taken.image_ids == ("b", "c")
    assert taken.columns["level"].tolist() == [1, 2]
    assert taken.responses["image"].tolist() == [1]
    assert taken.ratings((1.0, 5.0)).image.tolist() == ["c"]


def test_an_image_without_a_file_goes_with_its_responses(tmp_path):
    for name in "bc":
        (tmp_path / name).touch()
    raw = labels.with_files(known(), tmp_path, max_missing=1)
    assert raw.labels.missing == ("a",)
    assert raw.paths == (tmp_path / "b", tmp_path / "c")
    assert raw.labels.responses["stars"].tolist() == [1]
    with pytest.raises(DataError, match="1 of 3 images have no file; max_missing=0"):
        labels.with_files(known(), tmp_path, max_missing=0)


def test_an_image_in_two_lists_is_named():
    assert labels.place_images({"x": ["a"], "y": ["b"]}, what="lists") == {
        "a": "x",
        "b": "y",
    }
    with pytest.raises(DataError, match=r"2 images stand in two splits: a \(x and y\)"):
        labels.place_images({"x": "abc", "y": "dab"}, what="lists")


def test_whoever_is_on_both_sides_is_named():
    labels.check_disjoint({"train": [1, 2], "val": [3], "test": [4]})
    with pytest.raises(DataError, match="1 users on both sides, test and train: 2;"):
        labels.check_disjoint({"train": [1, 2], "val": [3], "test": [2]})
