"""Experimental design: the image is asked whose rating takes most of the variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.personalize.active import STRATEGIES, State, make_album
from jiaa.personalize.active.design import NOISE, Design, taste_kernel


@pytest.fixture
def features(rng):
    return rng.normal(size=(9, 4)).astype(np.float32)


@pytest.fixture
def design(features):
    return Design.of(features)


def told(design, *images):
    state = design.begin()
    for image in images:
        state = design.tell(state, image, 4.0)
    return state


def posterior(design, rated):
    """A Gaussian process' covariance by its definition."""
    kernel = np.asarray(design.kernel, np.float64)
    seen = kernel[np.ix_(rated, rated)] + NOISE * np.eye(len(rated))
    return kernel - kernel[:, rated] @ np.linalg.solve(seen, kernel[rated])


def test_what_is_known_is_the_process_posterior(design):
    found = told(design, 3, 0, 7).covariance
    np.testing.assert_allclose(found, posterior(design, [3, 0, 7]), atol=1e-5)


def test_the_next_image_leaves_the_least_variance(design):
    left = {x: np.trace(posterior(design, [2, x])) for x in range(9) if x != 2}
    best = min(left, key=left.__getitem__)
    assert design.next_images(told(design, 2), 1).tolist() == [best]


def test_several_at_once_are_those_one_by_one(design):
    one_by_one = []
    for _ in range(4):
        state = told(design, *one_by_one)
        one_by_one += design.next_images(state, 1).tolist()
    assert design.next_images(design.begin(), 4).tolist() == one_by_one


def test_what_was_told_is_not_asked_again(design):
    found = design.next_images(told(design, 1, 5), 20)
    assert sorted(found) == [0, 2, 3, 4, 6, 7, 8]


def test_what_is_left_out_is_not_asked_but_counts(design):
    state = told(design, 1)
    left = {
        x: np.trace(posterior(design, [1, x])) for x in range(9) if x not in (1, 4, 5)
    }
    best = min(left, key=left.__getitem__)
    assert design.next_images(state, 1, without=[4, 5]).tolist() == [best]
    assert sorted(design.next_images(state, 20, without=[1, 4])) == [
        0,
        2,
        3,
        5,
        6,
        7,
        8,
    ]


def test_the_stars_and_the_order_of_the_features_make_no_difference(
    design, features, rng
):
    known = [design.tell(design.begin(), 4, stars) for stars in (1.0, 5.0)]
    np.testing.assert_array_equal(*(state.covariance for state in known))
    other = Design.of(features[:, rng.permutation(4)])
    found = [each.next_images(each.begin(), 3) for each in (design, other)]
    np.testing.assert_array_equal(*found)


def test_the_reason_is_the_share_of_variance_and_the_likest(features):
    features[1] = features[0] * 1.01
    design = Design.of(features)
    why = design.reason(design.begin(), 0)
    before, after = np.trace(design.kernel), np.trace(posterior(design, [0]))
    assert why.share == pytest.approx((before - after) / before, rel=1e-4)
    assert why.like[0] == 1
    assert 0 not in why.like


def test_a_second_rating_of_an_image_tells_nothing_more(design):
    state = told(design, 2, 5)
    assert design.tell(state, 2, 1.0) is state


def test_padding_changes_no_kernel(features):
    likeness = features @ features.T
    padded = np.pad(likeness, (0, 3), constant_values=7.0)
    whole = jax.jit(taste_kernel)(padded, mask=np.arange(12) < 9)
    np.testing.assert_allclose(whole[:9, :9], Design.of(features).kernel, atol=1e-5)
    assert not whole[9:].any()
    assert not whole[:, 9:].any()


def test_the_strategy_of_protocols_asks_the_same(features, design, next_key):
    """With a linear kernel, Algorithm 1 asks what `Design` asks."""
    album = make_album(
        jnp.asarray(features), jnp.zeros(9), mask=jnp.ones(9, bool), kind="linear"
    )
    nothing = jnp.zeros(9)
    for rated in ([2], [2, 7]):
        seen = jnp.zeros(9, bool).at[jnp.asarray(rated)].set(True)
        state = State(nothing, seen, nothing, nothing, next_key())
        worth = STRATEGIES["experimental_design"](
            album, state, fit=dict, key=next_key()
        )
        best = int(jnp.argmax(jnp.where(seen, -jnp.inf, worth)))
        assert design.next_images(told(design, *rated), 1).tolist() == [best]


def test_no_question_is_refused(design):
    with pytest.raises(ValueError, match="next_images of n=0"):
        design.next_images(design.begin(), 0)


def test_images_that_are_all_alike_are_still_asked():
    design = Design.of(np.ones((3, 2), np.float32))
    assert sorted(design.next_images(design.begin(), 3)) == [0, 1, 2]
    assert design.reason(design.begin(), 0).share == 0
