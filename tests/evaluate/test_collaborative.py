"""Accuracy and AUC on held-out pairs against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jiaa.data.interactions import make_pairs
from jiaa.evaluate import collaborative as protocol


def test_auc_is_scikit_learns_with_ties(rng):
    scores, good = np.round(rng.normal(size=200), 1), rng.random(200) < 0.3
    expected = roc_auc_score(good, scores)
    assert protocol.auc(scores, good) == pytest.approx(expected)
    assert np.isnan(protocol.auc(scores, np.ones(200, bool)))


def test_users_whose_pairs_are_all_alike_have_no_auc():
    user = np.array([0, 0, 1, 1, 2])
    good = np.array([True, False, True, True, False])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert protocol.user_auc(scores, good, user) == (0.0, 1)


def test_a_threshold_calls_as_many_good_as_the_user_did():
    good = np.array([1, 0, 0, 1, 1, 1, 0, 0], bool)
    user = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    train = make_pairs(user=user, image=np.arange(8), good=good, users=4)
    scores = np.array([3.0, 1.0, 2.0, 5.0, 6.0, 7.0, 1.0, 2.0])
    limits = protocol.user_thresholds(scores, train)
    called = scores > limits[user]
    assert [int(called[user == u].sum()) for u in range(3)] == [1, 3, 0]
    assert limits[3] == 2.5  # a stranger: the median of the finite ones


def test_pair_metrics_join_all_three():
    pairs = make_pairs(
        user=np.array([0, 0, 1, 1]),
        image=np.arange(4),
        good=np.array([True, False, True, False]),
        users=2,
    )
    scores = np.array([5.0, 4.0, 1.0, 0.5])
    found = protocol.pair_metrics(scores, pairs, threshold=np.array([4.5, 2.0]))
    assert (found["user_auc"], found["users"]) == (1.0, 2.0)
    assert found["auc"] == 0.75
    assert found["accuracy"] == 0.75


def test_accuracy_by_tag_leaves_the_unknown_out():
    each, overall = protocol.by_tag(
        np.array([True, True, False, True]),
        np.array([1, 0, 0, np.nan]),
        np.array([0, 0, 1, 1]),
        tags=3,
    )
    np.testing.assert_array_equal(each, [0.5, 1.0, np.nan])
    assert overall == pytest.approx(2 / 3)


def test_pairs_are_grouped_by_their_images_reviews():
    pairs = make_pairs(
        user=np.zeros(4, int),
        image=np.arange(4),
        good=np.array([True, False, True, True]),
        users=1,
    )
    scores = np.array([1.0, -1.0, -1.0, 2.0])
    rows = protocol.by_reviews(scores, pairs, np.array([1, 2, 5, 9]), edges=(1, 3))
    assert [row["pairs"] for row in rows] == [2, 2]
    assert [row["accuracy"] for row in rows] == [1.0, 0.5]
    assert rows[0]["auc"] == 1.0
    assert np.isnan(rows[1]["auc"])
    # A user's threshold moves verdicts; the AUC is that of the scores.
    strict = protocol.by_reviews(
        scores, pairs, np.ones(4, int), edges=(1,), threshold=np.array([1.5])
    )
    (whole,) = strict
    assert (whole["auc"], whole["accuracy"]) == (
        protocol.pair_metrics(scores, pairs)["auc"],
        0.5,
    )


def test_an_images_verdict_is_the_mean_over_its_pairs():
    margin, image = np.array([3.0, -1.0, -2.0, 0.5]), np.array([4, 4, 0, 2])
    seen, good = protocol.image_verdicts(margin, image, images=6)
    assert seen.tolist() == [0, 2, 4]
    assert good.tolist() == [False, True, True]
