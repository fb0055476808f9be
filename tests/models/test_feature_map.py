"""Maps between trunk and head: their promises for training and for unseen images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel

from jiaa.models.feature_map import fit_feature_map, from_arrays, to_arrays
from jiaa.models.variables import load_variables, save_variables

WIDTHS, WEIGHTS, GAMMA = (6, 9), (1.0, 0.25), 0.7
KERNEL = {"widths": WIDTHS, "kind": "kernel", "weights": WEIGHTS, "gamma": GAMMA}


@pytest.fixture
def train(rng):
    """Features of 40 training images, far from standard."""
    return rng.normal(2.0, 3.0, (40, sum(WIDTHS))).astype(np.float32)


@pytest.fixture
def unseen(rng):
    return rng.normal(2.0, 3.0, (25, sum(WIDTHS))).astype(np.float32)


def exact_kernel(train, one, other):
    """The same kernel from scikit-learn's, on unit vectors of standardised features."""
    total = 0.0
    for block, weight in zip(np.split(np.arange(15), [6]), WEIGHTS, strict=True):
        mean, spread = train[:, block].mean(0), train[:, block].std(0)
        sides = [(x[:, block] - mean) / spread for x in (one, other)]
        sides = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in sides]
        total = total + weight / sum(WEIGHTS) * rbf_kernel(*sides, gamma=GAMMA)
    return total


def test_standardised_features_have_mean_zero_and_variance_one(train):
    mapped = np.asarray(fit_feature_map(train, widths=WIDTHS)(train))
    np.testing.assert_allclose(mapped.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(mapped.var(0), 1, atol=1e-4)


def test_a_feature_that_never_varies_becomes_zero_for_all_images(train, unseen):
    train[:, 3] = 0.1  # its float32 mean differs from it by rounding
    mapped = np.asarray(fit_feature_map(train, widths=WIDTHS)(unseen))
    np.testing.assert_array_equal(mapped[:, 3], 0)
    assert np.all(mapped[:, 2] != 0)


def test_products_of_mapped_training_images_are_the_kernel(train):
    mapped = np.asarray(fit_feature_map(train, waves=64, **KERNEL)(train))
    anchored, rest = mapped[:, :40], mapped[:, 40:]
    np.testing.assert_allclose(
        anchored @ anchored.T, exact_kernel(train, train, train), atol=1e-3
    )
    np.testing.assert_allclose(rest, 0, atol=1e-4)


def test_components_come_largest_first(train):
    anchored = np.asarray(fit_feature_map(train, waves=64, **KERNEL)(train))[:, :40]
    sizes = np.sum(anchored**2, axis=0)
    assert np.all(np.diff(sizes) <= 1e-4)


def test_products_of_unseen_images_come_close_to_the_kernel_as_waves_grow(
    train, unseen
):
    expected = exact_kernel(train, unseen, unseen)
    errors = []
    for waves in (64, 1024, 16384):
        mapped = np.asarray(fit_feature_map(train, waves=waves, **KERNEL)(unseen))
        errors.append(np.sqrt(np.mean((mapped @ mapped.T - expected) ** 2)))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.02
    # Without r, an image that resembles no training image would lose its own norm.
    anchored = mapped[:, :40]
    assert errors[2] < 0.2 * np.sqrt(np.mean((anchored @ anchored.T - expected) ** 2))


def test_products_of_an_unseen_and_a_training_image_need_no_waves(train, unseen):
    fitted = fit_feature_map(train, waves=32, **KERNEL)
    products = np.asarray(fitted(unseen)) @ np.asarray(fitted(train)).T
    np.testing.assert_allclose(products, exact_kernel(train, unseen, train), atol=2e-3)


def test_the_seed_decides_the_frequencies_and_nothing_else_does(train, unseen):
    one, same, other = (
        np.asarray(fit_feature_map(train, waves=32, seed=s, **KERNEL)(unseen))
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(one[:, :40], other[:, :40])
    assert not np.allclose(one[:, 40:], other[:, 40:])


@pytest.mark.parametrize("kind", ["standardise", "kernel"])
def test_a_map_survives_a_file(kind, train, unseen, tmp_path):
    fitted = fit_feature_map(train, waves=32, **{**KERNEL, "kind": kind})
    save_variables(tmp_path / "map.safetensors", {"map": to_arrays(fitted)})
    read = from_arrays(load_variables(tmp_path / "map.safetensors")["map"])
    np.testing.assert_array_equal(read(unseen), fitted(unseen))
    before, after = jax.tree.leaves(fitted), jax.tree.leaves(read)
    assert [np.shape(x) for x in after] == [np.shape(x) for x in before]


def test_more_blocks_than_ten_keep_their_order(rng):
    features = rng.normal(size=(20, 12)).astype(np.float32) * np.arange(1, 13)
    features = features.astype(np.float32)
    fitted = fit_feature_map(features, widths=(1,) * 12)
    np.testing.assert_array_equal(
        from_arrays(to_arrays(fitted))(features), fitted(features)
    )


def test_a_map_is_differentiable_and_the_same_under_jit(train, unseen):
    fitted = fit_feature_map(train, waves=32, **KERNEL)
    np.testing.assert_allclose(jax.jit(fitted)(unseen), fitted(unseen), atol=1e-4)
    gradient = jax.grad(lambda x: jnp.sum(fitted(x) ** 2))(jnp.asarray(unseen))
    assert np.all(np.isfinite(gradient))


def test_a_training_image_at_the_mean_of_a_block_gives_finite_features(train, unseen):
    train[:, 6:] = 1.5  # a block that says nothing of any image
    mapped = fit_feature_map(train, waves=32, **KERNEL)(unseen)
    assert np.all(np.isfinite(mapped))


def test_the_map_of_kind_none_is_no_map(train):
    assert fit_feature_map(train, widths=WIDTHS, kind="none") is None


def test_wrong_options_are_answered_with_what_is_expected(train):
    with pytest.raises(ValueError, match=r"'fourier'.*standardise.*kernel"):
        fit_feature_map(train, widths=WIDTHS, kind="fourier")
    with pytest.raises(ValueError, match=r"\(6, 8\).*width 15.*add up"):
        fit_feature_map(train, widths=(6, 8))
    with pytest.raises(ValueError, match=r"7 waves.*even"):
        fit_feature_map(train, waves=7, **KERNEL)


def test_shares_among_images_add_up_to_the_kernel_of_these_images(train, unseen):
    fitted = fit_feature_map(train, waves=2, **KERNEL)
    parts = np.split(unseen, np.cumsum(WIDTHS)[:-1], axis=1)
    found = sum(
        block.among(part, fitted.gamma)
        for block, part in zip(fitted.blocks, parts, strict=True)
    )
    expected = exact_kernel(train, unseen, unseen)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_products_of_a_unit_map_are_the_blocks_mean_cosine(train, unseen, tmp_path):
    fitted = fit_feature_map(train, widths=WIDTHS, kind="unit", weights=WEIGHTS)
    mapped = np.asarray(fitted(unseen))
    expected = 0.0
    for block, weight in zip(np.split(np.arange(15), [6]), WEIGHTS, strict=True):
        mean, spread = train[:, block].mean(0), train[:, block].std(0)
        standard = (unseen[:, block] - mean) / spread
        expected = expected + weight / sum(WEIGHTS) * cosine_similarity(standard)
    np.testing.assert_allclose(mapped @ mapped.T, expected, atol=1e-5)
    save_variables(tmp_path / "map.safetensors", to_arrays(fitted))
    again = from_arrays(load_variables(tmp_path / "map.safetensors"))
    np.testing.assert_array_equal(again(unseen), fitted(unseen))
