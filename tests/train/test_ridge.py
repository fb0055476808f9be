"""Generic regression in closed form, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from jiaa.train.ridge import fit_ridge


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
