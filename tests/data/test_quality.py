"""Worker quality by hand: eq. 1 of PAM, and the means it weights."""

import numpy as np

from jiaa.data import quality
from jiaa.types import Ratings


def test_quality_is_the_mean_of_equation_one():
    stars = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 3.0])
    worker = np.array(["a", "a", "a", "b", "b", "b"])
    gold = Ratings(worker, np.array(list("xyzxyz")), stars, (1.0, 5.0))
    true = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 1.0])
    # a is 0, 1 and 2 stars off, b is 3, 4 and 2.
    assert quality.worker_quality(gold, true) == {"a": 2.5 / 3, "b": 0.5 / 3}


def test_weights_move_the_mean_to_the_better_worker():
    means = quality.weighted_means(
        np.array([1.0, 0.2, 0.6, 0.4]),
        np.array([0, 0, 2, 3]),
        np.array([0.9, 0.3, 1.0, np.nan]),
        images=4,
    )
    np.testing.assert_allclose(means, [0.8, np.nan, 0.6, np.nan])


def test_equal_quality_is_the_plain_mean(rng):
    scores, image = rng.random(50), rng.integers(0, 5, 50)
    means = quality.weighted_means(scores, image, np.full(50, 0.7), images=5)
    np.testing.assert_allclose(means, [scores[image == k].mean() for k in range(5)])


def test_deviation_of_equal_quality_is_the_sample_s(rng):
    scores, image = rng.random(50), rng.integers(0, 5, 50)
    found = quality.weighted_deviations(scores, image, np.full(50, 0.7), images=5)
    expected = [scores[image == k].std(ddof=1) for k in range(5)]
    np.testing.assert_allclose(found, expected)


def test_deviation_by_hand_and_of_too_few():
    found = quality.weighted_deviations(
        np.array([1.0, 5.0, 3.0]),
        np.array([0, 0, 1]),
        np.array([0.75, 0.25, 1.0]),
        images=3,
    )
    # Mean 2: sqrt((.75 * 1 + .25 * 9) / (1/2 * 1)).
    np.testing.assert_allclose(found, [6.0**0.5, np.nan, np.nan])
