"""Counts of stars by hand; shares sum to 1."""

import numpy as np
import pytest

from jiaa.data.distributions import distributions, score_counts
from jiaa.types import UserTasks


def tasks(stars, bins):
    """Two users of three ratings; the second's last is padding."""
    return UserTasks(
        user_id=np.arange(2),
        image_ids=np.array([[0, 1, 3], [1, 3, 0]]),
        scores=np.array(stars, np.float32) / bins,
        mask=np.array([[True, True, True], [True, True, False]]),
    )


def test_counts_and_shares_by_hand():
    counts = score_counts(tasks([[5, 2, 1], [2, 4, 3]], 5), images=4, bins=5)
    expected = np.zeros((4, 5), int)
    expected[0, 4], expected[1, 1], expected[3, [0, 3]] = 1, 2, 1
    np.testing.assert_array_equal(counts, expected)
    shares = distributions(counts)
    np.testing.assert_allclose(shares[3], [0.5, 0, 0, 0.5, 0])
    np.testing.assert_allclose(shares.sum(axis=1), [1, 1, 0, 1])


def test_scores_outside_of_the_stars_are_refused():
    with pytest.raises(ValueError, match="0 to 5 stars; expected 1 to 5"):
        score_counts(tasks([[5, 0, 1], [2, 4, 3]], 5), images=4, bins=5)
