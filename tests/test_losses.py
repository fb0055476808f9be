"""Losses: one value per example, against hand-worked values and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jiaa import losses


def test_squared_error_is_one_value_an_image():
    error = losses.squared_error(jnp.array([0.5, 1.0]), jnp.array([0.25, 0.0]))
    np.testing.assert_allclose(error, [0.0625, 1.0])


def test_rank_loss_at_a_tie_of_predictions_is_log_two():
    loss = losses.pairwise_rank(jnp.full(4, 0.3), jnp.array([0.2, 0.4, 0.6, 0.8]))
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)


def test_rank_loss_of_images_with_equal_targets_is_zero():
    loss = losses.pairwise_rank(jnp.arange(4.0), jnp.full(4, 0.6))
    np.testing.assert_array_equal(loss, np.zeros(4))


def test_rank_loss_falls_as_the_right_order_grows_clearer():
    target = jnp.array([0.2, 0.6, 1.0])
    tight, wide = (losses.pairwise_rank(s * target, target) for s in (0.5, 1.0))
    assert np.all(np.asarray(wide) < np.asarray(tight))


def test_rank_loss_ignores_masked_partners():
    predicted, target = jnp.array([0.1, 0.9, 5.0]), jnp.array([0.2, 0.8, 0.0])
    mask = jnp.array([True, True, False])
    np.testing.assert_allclose(
        losses.pairwise_rank(predicted, target, mask)[:2],
        losses.pairwise_rank(predicted[:2], target[:2]),
        rtol=1e-6,
    )


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_emd_equals_scipy(order, next_key):
    bins = 10
    keys = next_key(), next_key()
    predicted, target = (
        jax.random.dirichlet(key, jnp.ones(bins), (6,)) for key in keys
    )
    grid = np.arange(bins)
    for p, t, got in zip(
        *map(np.asarray, (predicted, target)),
        losses.earth_mover_distance(predicted, target, order=order),
        strict=True,
    ):
        if order == 1:
            expected = scipy.stats.wasserstein_distance(grid, grid, p, t) / bins
        else:
            distance = scipy.stats.energy_distance(grid, grid, p, t)
            expected = distance / np.sqrt(2 * bins)
        assert float(got) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_emd_of_a_perfect_prediction_is_zero_with_finite_gradient(order):
    even = jnp.full((3, 5), 0.2)
    value, gradient = jax.value_and_grad(
        lambda p: losses.earth_mover_distance(p, even, order=order).sum()
    )(even)
    assert float(value) == 0
    assert np.all(np.isfinite(gradient))


def test_masked_mean_counts_only_what_the_mask_holds():
    values = jnp.array([1.0, 3.0, jnp.nan])
    mask = jnp.array([True, True, False])
    assert float(losses.masked_mean(values, mask)) == 2
    assert float(losses.masked_mean(values, jnp.zeros(3, bool))) == 0


def test_centred_error_is_what_the_best_constant_leaves_over():
    predicted, target = jnp.array([0.1, 0.2, 0.6]), jnp.array([0.5, 0.9, 0.7])
    # Gaps 0.4, 0.7, 0.1 have the mean 0.4.
    error = losses.centred_squared_error(predicted, target)
    np.testing.assert_allclose(error, [0.0, 0.09, 0.09], atol=1e-6)


def test_a_constant_on_predictions_or_targets_changes_no_centred_error(rng):
    predicted, target = jnp.asarray(rng.uniform(size=(2, 9)), jnp.float32)
    error = losses.centred_squared_error(predicted, target)
    for moved in ((predicted + 0.4, target), (predicted, target - 2.0)):
        np.testing.assert_allclose(
            losses.centred_squared_error(*moved), error, atol=1e-5
        )
    gradient = jax.grad(lambda p: jnp.sum(losses.centred_squared_error(p, target)))
    assert float(jnp.sum(gradient(predicted))) == pytest.approx(0, abs=1e-5)


def test_masked_images_take_no_part_in_the_offset():
    predicted, target = jnp.array([0.1, 0.2, 50.0]), jnp.array([0.5, 0.9, jnp.nan])
    mask = jnp.array([True, True, False])
    error = losses.centred_squared_error(predicted, target, mask)
    alone = losses.centred_squared_error(predicted[:2], target[:2])
    np.testing.assert_allclose(error[:2], alone, atol=1e-6)
    assert np.all(np.isfinite(error))
    nobody = losses.centred_squared_error(predicted, target, jnp.zeros(3, bool))
    np.testing.assert_array_equal(nobody, np.zeros(3))


def test_euclidean_is_the_mean_over_outputs_or_pdmtls_sum():
    predicted, target = jnp.array([[0.5, 0.1]]), jnp.array([[0.0, 0.3]])
    np.testing.assert_allclose(losses.euclidean(predicted, target), [0.145], rtol=1e-5)
    total = losses.euclidean(predicted, target, total=True)
    np.testing.assert_allclose(total, [0.29], rtol=1e-5)


def test_cross_entropy_of_a_certain_class_is_minus_its_logarithm():
    predicted = jnp.array([[0.25, 0.75], [1.0, 0.0]])
    target = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    got = losses.cross_entropy(predicted, target)
    np.testing.assert_allclose(got, [-np.log(0.75), 0.0], atol=1e-6)


def test_kongs_rank_loss_by_hand():
    # Pairs: (.5, .4) in the wrong order by .1, the third too near to the first.
    predicted = jnp.array([0.4, 0.5, 0.9])
    target = jnp.array([0.8, 0.6, 0.81])
    got = losses.margin_rank(predicted, target, margin=0.2, least=0.05)
    # First: partner second, .2 + .1. Second: .3 and third (.2 - .4 < 0). Third: 0.
    np.testing.assert_allclose(got, [0.15, 0.075, 0.0], atol=1e-6)
    tie = losses.margin_rank(jnp.zeros(2), jnp.array([0.1, 0.9]), margin=0.2)
    np.testing.assert_allclose(tie, [0.1, 0.1], rtol=1e-6)
