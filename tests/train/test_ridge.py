"""Generic regression in closed form, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from jiaa.train.ridge import fit_ridge, held_out_scores


@pytest.mark.parametrize("width", [5, 60])
@pytest.mark.parametrize("strength", [0.3, 10.0])
def test_weights_are_ridges_on_targets_without_their_mean(rng, width, strength):
    features = rng.normal(1.0, 2.0, (40, width)).astype(np.float32)
    targets = rng.uniform(0.2, 1.0, 40).astype(np.float32)
    weights, bias = fit_ridge(features, targets, strength=strength)
    mean = targets.mean(dtype=np.float64)
    oracle = Ridge(alpha=strength, fit_intercept=False)
    oracle.fit(features.astype(np.float64), targets - mean)
    np.testing.assert_allclose(weights, oracle.coef_, atol=1e-6)
    assert bias == pytest.approx(mean)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_weights_count_images_as_often_as_they_say(rng, scale):
    features = rng.normal(size=(30, 8)).astype(np.float32)
    targets = rng.uniform(0.2, 1.0, 30).astype(np.float32)
    often = rng.integers(1, 5, 30)
    weights, bias = fit_ridge(
        features, targets, strength=0.7, weights=(scale * often).astype(np.float32)
    )
    rows = np.repeat(np.arange(30), often)
    # Weights of mean 1: the strength grows with the copies, the bias does not.
    expected, mean = fit_ridge(
        features[rows], targets[rows], strength=0.7 * often.mean()
    )
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert bias == pytest.approx(mean, abs=1e-6)


def test_equal_weights_are_no_weights_and_zeros_are_refused(rng):
    features = rng.normal(size=(9, 3)).astype(np.float32)
    targets = rng.uniform(size=9).astype(np.float32)
    plain, bias = fit_ridge(features, targets, strength=0.1)
    alike = np.full(9, 4.0, np.float32)
    weights, same = fit_ridge(features, targets, strength=0.1, weights=alike)
    np.testing.assert_allclose(weights, plain, atol=1e-6)
    assert same == pytest.approx(bias)
    with pytest.raises(ValueError, match=r"least weight is 0\.0; expected positive"):
        fit_ridge(features, targets, strength=0.1, weights=alike * 0)
    with pytest.raises(ValueError, match="strength is -1"):
        fit_ridge(features, targets, strength=-1.0)


def test_endless_strength_predicts_the_mean_for_all(rng):
    features = rng.normal(size=(30, 4)).astype(np.float32)
    targets = rng.uniform(size=30).astype(np.float32)
    weights, bias = fit_ridge(features, targets, strength=1e12)
    np.testing.assert_allclose(features @ weights + bias, targets.mean(), atol=1e-6)


def test_a_vanishing_strength_finds_the_weights_that_made_the_targets(rng):
    features = rng.normal(size=(50, 6)).astype(np.float32)
    features -= features.mean(0)
    true = rng.normal(size=6).astype(np.float32)
    weights, _ = fit_ridge(features, features @ true + 0.7, strength=1e-9)
    np.testing.assert_allclose(weights, true, atol=1e-4)


@pytest.mark.parametrize("width", [4, 40])
def test_a_held_out_score_is_that_of_a_fit_to_all_other_images(rng, width):
    features = rng.normal(size=(12, width)).astype(np.float32)
    targets = rng.uniform(0.2, 1.0, 12).astype(np.float32)
    bias = targets.mean(dtype=np.float64)
    found = held_out_scores(features, targets, strength=0.5)
    for image in range(12):
        others = np.arange(12) != image
        oracle = Ridge(alpha=0.5, fit_intercept=False)
        oracle.fit(features[others].astype(np.float64), targets[others] - bias)
        expected = features[image] @ oracle.coef_ + bias
        assert found[image] == pytest.approx(expected, abs=1e-5)


def test_held_out_scores_weigh_images_as_the_fit_does(rng):
    features = rng.normal(size=(9, 20)).astype(np.float32)
    targets = rng.uniform(size=9).astype(np.float32)
    weights = rng.uniform(0.5, 2.0, 9).astype(np.float32)
    found = held_out_scores(features, targets, strength=0.5, weights=weights)
    share = weights / weights.mean()
    bias = np.average(targets, weights=weights)
    oracle = Ridge(alpha=0.5, fit_intercept=False)
    oracle.fit(features[1:], targets[1:] - bias, sample_weight=share[1:])
    assert found[0] == pytest.approx(features[0] @ oracle.coef_ + bias, abs=1e-5)
