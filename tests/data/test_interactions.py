"""Pairs, labels and held-out shares."""

import numpy as np
import pytest

from jiaa.data import DataError, Dataset, interactions
from jiaa.data.reviews import Vocabulary
from jiaa.types import ImageStore, UserTasks

USER = np.array([2, 0, 2, 0, 1])
IMAGE = np.array([3, 1, 0, 0, 3])


def tasks():
    return UserTasks(
        user_id=np.array([7, 8]),
        image_ids=np.array([[0, 2, 3], [1, 0, 0]]),
        scores=np.array([[0.2, 0.6, 1.0], [0.8, 0, 0]], np.float32),
        mask=np.array([[True, True, True], [True, False, False]]),
        side={"review": np.array([["a b", "b", ""], ["c a a", 0, 0]], object)},
    )


def dataset(**metadata):
    return Dataset(
        name="mine",
        store=ImageStore(images=np.zeros((4, 1, 1, 3), np.uint8)),
        image_names=("a", "b", "c", "d"),
        tasks={"train": tasks()},
        workers={7: "x", 8: "y"},
        scale=(1.0, 5.0),
        mean_scores=np.array([0.2, 0.9, 0.6, 0.0], np.float32),
        raters=np.array([1, 1, 1, 0]),
        image_split=np.array([""] * 4),
        metadata=metadata,
    )


def test_pairs_are_sorted_and_each_users_are_a_range():
    good = np.array([True, False, True, True, False])
    pairs = interactions.make_pairs(user=USER, image=IMAGE, good=good, users=4)
    assert pairs.user.tolist() == [0, 0, 1, 2, 2]
    assert pairs.image.tolist() == [0, 1, 3, 0, 3]
    assert pairs.good.tolist() == [True, False, False, True, True]
    assert pairs.first.tolist() == [0, 2, 3, 5]
    assert pairs.count.tolist() == [2, 1, 2, 0]
    some = pairs.take(np.array([4, 0]))
    assert (some.user.tolist(), some.count.tolist()) == ([0, 2], [1, 0, 1, 0])


def test_ratings_become_pairs_with_their_reviews():
    pairs = interactions.pairs_of(
        tasks(), good_above=0.6, vocabulary=Vocabulary(("a", "b")), length=2
    )
    assert pairs.good.tolist() == [False, False, True, True]
    assert pairs.words.tolist() == [[2, 3], [3, 0], [0, 0], [1, 2]]
    assert pairs.length.tolist() == [2, 1, 0, 2]


def test_a_rating_without_a_number_is_refused():
    damaged = tasks()
    damaged.scores[0, 1] = np.nan
    with pytest.raises(DataError, match=r"user 0, rating 1: the score is nan"):
        interactions.pairs_of(damaged, good_above=0.6)


def test_a_pair_is_held_out_whoever_else_is_there():
    user, image = np.divmod(np.arange(100), 10)
    held_out = interactions.hold_out(user, image, share=0.2, seed=1)
    assert held_out.sum() == 20
    order = np.random.default_rng(0).permutation(100)
    again = interactions.hold_out(user[order], image[order], share=0.2, seed=1)
    np.testing.assert_array_equal(again, held_out[order])
    other = interactions.hold_out(user, image, share=0.2, seed=2)
    assert (other != held_out).any()
    with pytest.raises(ValueError, match=r"share=1\.5"):
        interactions.hold_out(user, image, share=1.5)


def test_avas_primary_tag_and_votes_are_the_labels():
    votes = np.zeros((4, 10), int)
    votes[0, 9], votes[1, 0], votes[2, 4] = 3, 2, 1  # means 10, 1 and 5; none
    tags = np.array([[9, 2], [5, 0], [0, 0], [9, 0]])
    labels, names = interactions.image_labels(
        dataset(votes=votes, tags=tags), tag="tags"
    )
    assert names == ("5", "9")
    assert labels.tag.tolist() == [1, 0, -1, 1]
    np.testing.assert_array_equal(labels.crowd_good, [1, 0, 0, np.nan])
    lost = np.where(votes == 2, np.nan, votes)
    labels_of_rest, _ = interactions.image_labels(dataset(votes=lost))
    assert np.isnan(labels_of_rest.crowd_good[1])  # a NaN vote is no verdict
    kept, which = interactions.keep_tags(labels, least=2)
    assert which.tolist() == [1]
    assert kept.tag.tolist() == [0, -1, -1, 0]


def test_without_votes_the_training_raters_are_the_crowd():
    labels, names = interactions.image_labels(dataset(), crowd_above=0.6)
    assert names == ()
    np.testing.assert_array_equal(labels.crowd_good, [0, 1, 0, np.nan])
    with pytest.raises(DataError, match="no column 'kind'"):
        interactions.image_labels(dataset(), tag="kind")


def test_splits_are_joined_to_the_longest_user():
    short = tasks()[np.array([1])]
    both = interactions.concatenate([tasks(), short])
    assert both.mask.shape == (3, 3)
    assert both.user_id.tolist() == [7, 8, 8]
