"""Questions: the photograph is asked whose rating takes most of the variance."""

import numpy as np
import pytest

from jiaa.serve import questions


@pytest.fixture
def features(rng):
    return rng.normal(size=(9, 4)).astype(np.float32)


def posterior(state, rated):
    """A Gaussian process' covariance by its definition."""
    kernel = state.kernel.astype(np.float64)
    if not rated:
        return kernel
    seen = kernel[np.ix_(rated, rated)] + questions.NOISE * np.eye(len(rated))
    return kernel - kernel[:, rated] @ np.linalg.solve(seen, kernel[rated])


def test_what_is_known_is_the_process_posterior(features):
    state = questions.start(features)
    for image in (3, 0, 7):
        state = questions.tell(state, image, 4.0)
    np.testing.assert_allclose(
        state.covariance(), posterior(state, [3, 0, 7]), atol=1e-5
    )


def test_the_next_image_leaves_the_least_variance(features):
    state = questions.tell(questions.start(features), 2, 1.0)
    left = {
        image: np.trace(posterior(state, [2, image]))
        for image in range(9)
        if image != 2
    }
    assert questions.next_images(state, 1) == [min(left, key=left.__getitem__)]


def test_several_at_once_are_those_one_by_one(features):
    state = questions.start(features)
    one_by_one = []
    for _ in range(4):
        (image,) = questions.next_images(state, 1)
        one_by_one.append(image)
        state = questions.tell(state, image, 3.0)
    assert questions.next_images(questions.start(features), 4) == one_by_one


def test_rated_and_skipped_images_are_not_asked_again(features):
    state = questions.skip(questions.start(features), 5)
    state = questions.tell(state, 1, 3.0)
    assert sorted(questions.next_images(state, 20)) == [0, 2, 3, 4, 6, 7, 8]


def test_the_stars_and_the_order_of_the_features_make_no_difference(features, rng):
    state = questions.start(features)
    told = [questions.tell(state, 4, stars).covariance() for stars in (1.0, 5.0)]
    np.testing.assert_array_equal(*told)
    shuffled = questions.start(features[:, rng.permutation(4)])
    assert questions.next_images(shuffled, 3) == questions.next_images(state, 3)


def test_the_reason_is_the_share_of_variance_and_the_likest(features):
    features[1] = features[0] * 1.01
    state = questions.start(features)
    why = questions.reason(state, 0)
    before, after = np.trace(state.kernel), np.trace(posterior(state, [0]))
    assert why.share == pytest.approx((before - after) / before, rel=1e-4)
    assert why.like[0] == 1
    assert 0 not in why.like


def test_photographs_that_are_all_alike_are_still_asked():
    state = questions.start(np.ones((3, 2), np.float32))
    assert sorted(questions.next_images(state, 3)) == [0, 1, 2]
    assert questions.reason(state, 0).share == 0
