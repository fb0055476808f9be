"""Metrics agree with SciPy and scikit-learn, with ties, masks, constant sides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from jiaa import metrics

USERS, IMAGES = 300, 60


@pytest.fixture(scope="module")
def table():
    """Stars with ties, predictions some of them rounded, ragged masks, NaN padding."""
    rng = np.random.default_rng(0)
    target = rng.integers(1, 6, (USERS, IMAGES)).astype(np.float32) / 5
    predicted = rng.normal(size=(USERS, IMAGES)).astype(np.float32)
    predicted[::3] = np.round(predicted[::3] * 2) / 2
    mask = rng.uniform(size=(USERS, IMAGES)) < rng.uniform(0.1, 1, (USERS, 1))
    mask[:, :2] = True
    target[5] = 0.4
    predicted[7] = 0.25
    poison = np.where(mask, 0, np.nan).astype(np.float32)
    return predicted + poison, target + poison, mask


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        (metrics.spearman, scipy.stats.spearmanr),
        (metrics.pearson, scipy.stats.pearsonr),
    ],
)
@pytest.mark.filterwarnings("ignore:An input array is (nearly )?constant")
def test_correlations_equal_scipy_for_every_user_with_ties_and_padding(
    metric, oracle, table
):
    measured = jax.jit(jax.vmap(metric))(*table)
    expected = np.array(
        [oracle(p[m], t[m]).statistic for p, t, m in zip(*table, strict=True)]
    )
    np.testing.assert_array_equal(measured.defined, np.isfinite(expected))
    assert not measured.defined[5]
    assert not measured.defined[7]
    np.testing.assert_allclose(
        measured.value, np.nan_to_num(expected), atol=2e-6, rtol=0
    )


def test_spearman_of_a_monotone_transform_is_one(next_key):
    scores = jax.random.normal(next_key(), (40,))
    measured = metrics.spearman(jnp.exp(scores), scores, jnp.ones(40, bool))
    assert float(measured.value) == pytest.approx(1.0, abs=1e-6)


def test_spearman_of_thousands_of_images_equals_scipy():
    rng = np.random.default_rng(1)
    target = rng.integers(1, 11, 5000).astype(np.float32)
    predicted = (target + rng.normal(size=5000) * 3).astype(np.float32)
    measured = metrics.spearman(
        jnp.asarray(predicted), jnp.asarray(target), jnp.ones(5000, bool)
    )
    expected = scipy.stats.spearmanr(predicted, target).statistic
    assert float(measured.value) == pytest.approx(expected, abs=1e-5)


def test_large_constant_offset_does_not_define_a_correlation():
    constant = jnp.full(7, 0.1) * 3
    measured = metrics.pearson(constant, jnp.arange(7.0), jnp.ones(7, bool))
    assert not measured.defined
    assert float(measured.value) == 0


def test_ranks_share_their_average_at_ties():
    values = jnp.array([3.0, 1.0, 3.0, 2.0, -9.0])
    mask = jnp.array([True, True, True, True, False])
    np.testing.assert_array_equal(
        metrics.average_ranks(values, mask), [3.5, 1, 3.5, 2, 0]
    )


def test_rmse_and_accuracy_by_hand():
    predicted = jnp.array([0.2, 0.8, 0.6, 9.0])
    target = jnp.array([0.4, 0.8, 0.2, 0.0])
    mask = jnp.array([True, True, True, False])
    assert float(metrics.rmse(predicted, target, mask).value) == pytest.approx(
        np.sqrt((0.04 + 0 + 0.16) / 3)
    )
    assert float(metrics.accuracy(predicted, target, mask).value) == pytest.approx(
        2 / 3
    )


def test_auc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(2)
    predicted = rng.integers(0, 6, 200).astype(np.float32)
    positive = rng.uniform(size=200) < 0.3
    measured = metrics.auc(
        jnp.asarray(predicted), jnp.asarray(positive), jnp.ones(200, bool)
    )
    expected = sklearn.metrics.roc_auc_score(positive, predicted)
    assert float(measured.value) == pytest.approx(expected, abs=1e-6)


def test_auc_of_one_class_is_undefined():
    measured = metrics.auc(jnp.arange(4.0), jnp.zeros(4, bool), jnp.ones(4, bool))
    assert not measured.defined
