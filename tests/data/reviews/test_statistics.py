"""Table 1 and the shares of Fig. 2, by hand."""

import numpy as np
import pytest

from jiaa.data import DataError
from jiaa.data.reviews import statistics


def test_statistics_by_hand():
    user, image = np.array([0, 0, 1, 1, 1]), np.array([4, 4, 4, 5, 6])
    whole = statistics.review_statistics(user, image)
    assert (whole.images, whole.users, whole.reviews) == (3, 2, 5)
    assert whole.reviews_per_image == pytest.approx(5 / 3)
    assert whole.users_per_image == pytest.approx(4 / 3)
    assert (whole.reviews_of_an_image, whole.users_of_an_image) == ((1, 3), (1, 2))
    tags = np.zeros((7, 2), int)
    tags[5], tags[6] = (9, 3), (3, 0)
    by_tag = statistics.statistics_by_tag(user, image, tags, most=2)
    assert {tag: x.images for tag, x in by_tag.items()} == {3: 2, 9: 1, 0: 3}


def test_shares_of_levels_leave_out_what_rates_nothing():
    image, level = np.array([4, 4, 4, 5, 6]), np.array([5, 0, 1, 2, 0])
    shares = statistics.level_shares(image, level, of=4)
    assert shares.tolist() == [0.5, 0, 0, 0, 0.5]
    with pytest.raises(DataError, match="no review of image 6 rates it"):
        statistics.level_shares(image, level, of=6)
