"""Taste has the form, the sizes and the causes that the module declares."""

import numpy as np

from jiaa.data.synthetic import photographs, raters

FACTS = photographs.draw_facts(4000, seed=0, group="crowd")
CROWD = raters.draw_raters(400, seed=0, group="crowd")


def personal(crowd):
    """The personal part of taste, raters by images."""
    shared = raters.COMMON_SD * raters.common_taste(FACTS)
    return raters.taste(crowd, FACTS) - shared


def weights_in_units_of_taste():
    """Personal weights whose inner products are those of personal tastes."""
    return CROWD.weights @ np.linalg.qr(raters.features(FACTS)).R.T


def test_common_taste_has_mean_zero_and_variance_one():
    common = raters.common_taste(FACTS)
    assert abs(common.mean()) < 0.05
    assert abs(common.var() - 1) < 0.07


def test_personal_part_averages_to_nothing_and_has_its_declared_size():
    part = personal(CROWD)
    assert abs(np.sqrt(part.var(1).mean()) - raters.PERSONAL_SD) < 0.04
    assert part.mean(0).std() < 0.1 * raters.PERSONAL_SD


def test_personal_part_has_no_common_trend():
    slopes = personal(CROWD) @ raters.common_taste(FACTS) / len(FACTS)
    assert abs(slopes.mean()) < 3 * slopes.std() / np.sqrt(len(slopes)) + 0.01


def test_raters_of_equal_traits_are_more_alike_than_random_pairs():
    part = personal(CROWD)
    alike = np.corrcoef(part)
    distance = np.linalg.norm(CROWD.traits[:, None] - CROWD.traits[None], axis=-1)
    pairs = np.triu_indices(len(CROWD), 1)
    near = distance[pairs] < np.quantile(distance[pairs], 0.02)
    assert alike[pairs][near].mean() > alike[pairs].mean() + 0.15


def test_traits_explain_their_declared_share_of_personal_taste():
    weights = weights_in_units_of_taste()
    predicted = CROWD.traits @ np.linalg.lstsq(CROWD.traits, weights, rcond=None)[0]
    share = (predicted**2).sum() / (weights**2).sum()
    assert abs(share - raters.PERSONAL_SHARES[0]) < 0.08


def test_eight_directions_hold_most_of_personal_taste():
    values = np.linalg.svd(weights_in_units_of_taste(), compute_uv=False)
    energy = values**2 / (values**2).sum()
    assert energy[:8].sum() > 0.8
    assert energy[:3].sum() < 0.8


def test_longer_draw_of_raters_begins_with_the_shorter():
    few = raters.draw_raters(3, seed=4, group="test")
    many = raters.draw_raters(8, seed=4, group="test")
    np.testing.assert_array_equal(few.weights, many.weights[:3])
    np.testing.assert_array_equal(few.spread, many.spread[:3])


def test_an_image_has_the_same_taste_whoever_else_is_rated():
    some = photographs.draw_facts(7, seed=0, group="crowd")
    alone, together = raters.taste(CROWD, some), raters.taste(CROWD, FACTS)
    np.testing.assert_allclose(alone, together[:, :7], rtol=1e-10, atol=1e-12)


def test_traits_lie_in_the_unit_range_and_reliability_is_a_probability():
    assert abs(CROWD.traits).max() < 1
    assert CROWD.reliability.min() >= 0.6
    assert CROWD.reliability.max() <= 1
    assert CROWD.spread.min() > 0


def test_noise_alone_separates_stars_from_rounded_truth():
    truth = np.linspace(0.0, 6.0, 2000)
    stars = raters.give_stars(
        truth, spread=1.0, reliability=1.0, rng=np.random.default_rng(0)
    )
    assert set(stars) == {1, 2, 3, 4, 5}
    error = stars - np.clip(truth, 1, 5)
    assert abs(error.std() - np.sqrt(raters.NOISE_SD**2 + 1 / 12)) < 0.08


def test_an_unreliable_rater_gives_any_star():
    stars = raters.give_stars(
        np.full(5000, 3.0), spread=1.0, reliability=0.0, rng=np.random.default_rng(0)
    )
    counts = np.bincount(stars.astype(int), minlength=6)[1:]
    assert abs(counts / 5000 - 0.2).max() < 0.03
