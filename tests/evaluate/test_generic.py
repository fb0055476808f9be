"""Generic metrics against SciPy and by hand; folds that share nobody."""

import numpy as np
import pytest
import scipy.stats

from jiaa.evaluate import generic


def test_metrics_of_scores_and_distributions_are_scipys(rng):
    predicted, target = rng.dirichlet(np.ones(7), (2, 20)).astype(np.float32)
    stars = np.arange(1, 8)
    one, other = predicted @ stars / 7, target @ stars / 7
    got = generic.generic_metrics(
        one,
        other,
        threshold=0.55,
        predicted_distribution=predicted,
        target_distribution=target,
    )
    same = np.mean((one > 0.55) == (other > 0.55))
    gaps = [
        (scipy.stats.energy_distance(stars, stars, p, t) / np.sqrt(2 * 7))
        for p, t in zip(predicted, target, strict=True)
    ]
    work = [
        scipy.stats.wasserstein_distance(stars, stars, p, t) / 7
        for p, t in zip(predicted, target, strict=True)
    ]
    expected = {
        "acc": same,
        "srocc": scipy.stats.spearmanr(one, other)[0],
        "plcc": scipy.stats.pearsonr(one, other)[0],
        "rmse": np.sqrt(np.mean((one - other) ** 2)),
        "mse": np.mean((one - other) ** 2),
        "emd": np.mean(gaps),
        "emd1": np.mean(work),
    }
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5, err_msg=name)


def test_a_constant_prediction_has_no_correlation():
    got = generic.generic_metrics(
        np.full(4, 0.5, np.float32), np.arange(4, dtype=np.float32), threshold=0.6
    )
    assert np.isnan(got["srocc"])
    assert got["acc"] == 0.25


def test_a_users_traits_are_the_mean_over_what_they_like():
    # Users 0, 1, 3; by image the ranks disagree, by user's mean they agree.
    user = np.array([0, 0, 1, 1, 3, 3])
    predicted = np.array([[0.9], [-0.9], [0.3], [0.1], [0.5], [0.4]], np.float32)
    traits = np.array([[-0.5], [0.2], [9.0], [0.6]])
    got = generic.trait_prediction(predicted, user, traits, names=["openness"])
    assert got["openness"]["user"] == pytest.approx(1.0)
    expected = scipy.stats.spearmanr(predicted[:, 0], traits[user, 0])[0]
    assert got["openness"]["image"] == pytest.approx(expected, abs=1e-6)


def test_table_4_is_a_rank_correlation_a_trait():
    score = np.array([0.1, 0.2, 0.9], np.float32)
    traits = np.stack([score**3, -score], axis=1)
    got = generic.trait_correlations(score, traits, names=["a", "b"])
    assert (got["a"], got["b"]) == (pytest.approx(1.0), pytest.approx(-1.0))


def test_folds_share_no_user_and_leave_nobody_out():
    folds = generic.user_folds(31, folds=10)
    assert sorted(np.concatenate(folds)) == list(range(31))
    assert {len(fold) for fold in folds} == {3, 4}
    with pytest.raises(ValueError, match="10 folds of 9 users"):
        generic.user_folds(9)


def test_no_user_and_no_image_is_on_both_sides(rng):
    user, image = np.repeat(np.arange(10), 4), rng.integers(0, 25, 40)
    train, test = generic.held_out(user, image, np.array([2, 5]))
    assert set(user[test]) == {2, 5}
    assert not set(user[train]) & {2, 5}
    assert not set(image[train]) & set(image[test])
    assert len(train)
