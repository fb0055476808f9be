"""Who is held out, what is left out, and the crowd's means that training sees."""

import jax
import numpy as np
import pytest

from jiaa.data.dataset import assemble
from jiaa.data.table import DataError
from jiaa.data.tasks import user_id
from jiaa.types import ImageStore, Ratings

IMAGES = ("a", "b", "c", "d")
STORE = ImageStore(images=np.zeros((4, 2, 2, 3), np.uint8))


def table(*rows):
    workers, images, stars = zip(*rows, strict=True)
    return Ratings(
        np.array(workers), np.array(images), np.array(stars, float), (1.0, 5.0)
    )


RATINGS = table(
    ("ann", "a", 5), ("ann", "b", 3), ("bob", "a", 1), ("bob", "c", 2), ("cy", "c", 4)
)
USERS = {"ann": "train", "bob": "train", "cy": "test"}


def build(ratings=RATINGS, **options):
    given = {"name": "tiny", "image_names": IMAGES, "user_split": USERS} | options
    return assemble(ratings, STORE, **given)


def test_users_go_to_their_split_and_images_are_shared():
    dataset = build()
    assert set(dataset.tasks) == {"train", "test"}
    train, test = dataset.split("train"), dataset.split("test")
    assert [dataset.workers[int(i)] for i in train.user_id] == ["ann", "bob"]
    assert test.user_id.tolist() == [user_id("cy")]
    assert train.image_ids.tolist() == [[0, 1], [0, 2]]
    assert dataset.image_split.tolist() == ["", "", "", ""]
    assert dataset.notes == ()


def test_mean_scores_are_those_of_training_raters_alone():
    dataset = build()
    np.testing.assert_allclose(dataset.mean_scores, [0.6, 0.6, 0.4, 0.0], rtol=1e-6)
    assert dataset.raters.tolist() == [2, 1, 1, 0]
    assert dataset.generic_ids().tolist() == [0, 1, 2]


def test_no_image_is_seen_on_both_sides_when_images_are_split():
    split = {"a": "train", "b": "train", "c": "test", "d": "test"}
    dataset = build(image_split=split)
    train, test = dataset.split("train"), dataset.split("test")
    assert not set(train.image_ids[train.mask]) & set(test.image_ids[test.mask])
    assert dataset.raters.tolist() == [2, 1, 0, 0], "bob's rating of c is left out"
    assert dataset.notes == ("1 ratings left out: the image belongs to another split",)
    assert dataset.image_split.tolist() == ["train", "train", "test", "test"]


def test_images_decide_where_users_are_not_split():
    split = {"a": "train", "b": "train", "c": "test"}
    dataset = build(user_split=None, image_split=split)
    assert dataset.split("train").mask.sum() == 3
    test = dataset.split("test")
    assert sorted(dataset.workers[int(i)] for i in test.user_id) == ["bob", "cy"]
    assert dataset.image_split.tolist() == ["train", "train", "test", ""]


def test_users_with_few_ratings_are_dropped_and_named(caplog):
    dataset = build(min_ratings=2)
    assert set(dataset.tasks) == {"train"}
    assert dataset.notes == ("1 users left out with fewer than 2 ratings: cy (1)",)
    assert "cy (1)" in caplog.text
    split = {"a": "train", "b": "train", "c": "test", "d": "test"}
    after_split = build(min_ratings=2, image_split=split)
    assert "bob (1)" in after_split.notes[1], "counted after images were held out"
    assert after_split.raters.tolist() == [1, 1, 0, 0]
    with pytest.raises(DataError, match=r"no ratings left.*fewer than 9"):
        build(min_ratings=9)


def test_missing_split_is_named_with_the_remedy():
    with pytest.raises(DataError, match="'tiny' has no 'val' users, only test, train"):
        build().split("val")


def test_unplaced_workers_and_images_are_refused():
    with pytest.raises(DataError, match="worker cy in no split"):
        build(user_split={"ann": "train", "bob": "train"})
    with pytest.raises(DataError, match="image c in no split"):
        build(image_split={"a": "train", "b": "train"})
    with pytest.raises(ValueError, match="neither user_split nor image_split"):
        build(user_split=None)


def test_side_and_metadata_travel_along():
    side = {"review": np.arange(10).reshape(5, 2)}
    dataset = build(side=side, metadata={"theme": np.array(["x"] * 4)})
    reviews = {
        name: np.asarray(task.side["review"]).tolist()
        for name, task in dataset.tasks.items()
    }
    assert reviews["train"] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert reviews["test"] == [[[8, 9]]]
    assert dataset.metadata["theme"].shape == (4,)


def test_order_of_ratings_changes_nothing(rng):
    order = rng.permutation(5)
    shuffled = Ratings(
        RATINGS.worker[order], RATINGS.image[order], RATINGS.stars[order], (1.0, 5.0)
    )
    one, other = build(), build(shuffled)
    jax.tree.map(np.testing.assert_array_equal, dict(one.tasks), dict(other.tasks))
    np.testing.assert_array_equal(one.mean_scores, other.mean_scores)


def test_a_dataset_and_its_values_are_shown_in_a_line():
    dataset = build()
    assert repr(dataset) == "Dataset('tiny', 4 images; test 1 users, train 2 users)"
    assert "scores=float32[2, 2]" in repr(dataset.split("train"))
    shown = "ImageStore(images=uint8[4, 2, 2, 3], features=None, image_ids=None)"
    assert repr(STORE) == shown
