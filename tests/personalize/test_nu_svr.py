"""nu-SVR: against scikit-learn's NuSVR (libsvm), and what the method promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import NuSVR

from jiaa.personalize.nu_svr import fit_nu_svr

SIZE, SUPPORT, SPLITS = 40, 30, 2
SETTINGS = [(c, nu) for c in (0.13, 1.1, 9.7) for nu in (0.23, 0.51, 0.83)]
C, NU = np.asarray(SETTINGS, np.float32).T


def kernel_of(kind, rng):
    features = rng.normal(size=(SIZE, 8))
    if kind == "linear":  # of rank 8: its coefficients are not unique, its scores are
        return (features @ features.T / 8).astype(np.float32)
    gamma = {"rbf": 1 / 8, "smooth": 0.01}[kind]
    squares = np.square(features[:, None] - features[None]).sum(-1)
    return np.exp(-gamma * squares).astype(np.float32)


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, None, None, 0, 0))
@functools.partial(jax.vmap, in_axes=(None, None, 0, None, None))
def fit_all(kernel, targets, mask, c, nu):
    """One program for all tests: settings x splits, the kernel shared by both."""
    return fit_nu_svr(kernel, targets, mask=mask, c=c, nu=nu)


def problem(seed=0, kind="rbf"):
    rng = np.random.default_rng(seed)
    kernel = kernel_of(kind, rng)
    truth = kernel @ rng.normal(size=SIZE) / 4
    # Stars: a fifth apart, with many ties.
    targets = np.round(truth + 0.15 * rng.normal(size=SIZE), 1).astype(np.float32)
    masks = np.stack([rng.permutation(SIZE) < SUPPORT for _ in range(SPLITS)])
    return kernel, targets, masks


@pytest.mark.parametrize("kind", ["rbf", "smooth", "linear"])
def test_scores_equal_those_of_libsvm(kind):
    kernel, targets, masks = problem(kind=kind)
    found = fit_all(kernel, targets, masks, C, NU)
    scores = np.asarray(found.coefficients @ kernel + found.offset[..., None])
    for setting, (c, nu) in enumerate(SETTINGS):
        for split, mask in enumerate(masks):
            oracle = NuSVR(kernel="precomputed", C=c, nu=nu, tol=1e-8)
            oracle.fit(kernel[np.ix_(mask, mask)], targets[mask])
            expected = oracle.predict(kernel[:, mask])
            np.testing.assert_allclose(scores[setting, split], expected, atol=1e-3)


def test_the_gap_is_as_asked_in_double_precision():
    """And so the solution is exact: what single precision leaves is its rounding."""
    with jax.enable_x64(True):
        kernel, targets, masks = problem(seed=1)
        c, nu, kernel, targets = (np.float64(x) for x in (C, NU, kernel, targets))
        found = fit_all(kernel, targets, masks, c, nu)
        assert found.gap.dtype == np.float64
        assert np.max(found.gap) <= 1e-7


def test_bounds_hold_and_the_gap_is_what_rounding_leaves():
    kernel, targets, masks = problem(seed=1)
    found = fit_all(kernel, targets, masks, C, NU)
    assert np.max(found.gap) < 1e-5
    beta = np.asarray(found.coefficients)
    np.testing.assert_allclose(beta.sum(-1) / C[:, None], 0.0, atol=1e-4)
    assert np.all(np.abs(beta) <= C[:, None, None] * (1 + 1e-6))
    assert np.all(beta[:, ~masks] == 0.0)
    budget = (C * NU * SUPPORT)[:, None] * (1 + 1e-5)
    assert np.all(np.abs(beta).sum(-1) <= budget)


def test_nu_bounds_the_share_of_support_vectors_and_of_ratings_off_the_tube():
    """Chang and Lin (2002), proposition 1 of nu-SVR."""
    kernel, targets, masks = problem(seed=2)
    found = jax.tree.map(lambda x: x[:3], fit_all(kernel, targets, masks, C, NU))
    residual = targets - np.asarray(found.coefficients) @ kernel
    residual = np.abs(residual - np.asarray(found.offset)[..., None])
    outside = (residual > np.asarray(found.tube)[..., None] + 1e-4) & masks
    support = np.abs(found.coefficients) > 1e-6
    for row, share in enumerate(NU[:3]):
        assert np.all(outside[row].sum(-1) <= share * SUPPORT + 1e-4)
        assert np.all(support[row].sum(-1) >= share * SUPPORT - 1e-4)


def test_ratings_outside_of_the_mask_change_nothing():
    kernel, targets, masks = problem(seed=3)
    masks[1] = masks[0]
    found = fit_all(kernel, targets, masks, C, NU)
    other = np.where(masks[0], targets, 77.0).astype(np.float32)
    again = fit_all(kernel, other, masks, C, NU)
    np.testing.assert_array_equal(found.coefficients[:, 0], again.coefficients[:, 0])


def test_targets_all_the_same_are_the_offset():
    kernel, _, masks = problem()
    same = np.full(SIZE, 0.6, np.float32)
    found = fit_all(kernel, same, masks, C, NU)
    scores = np.asarray(found.coefficients @ kernel + found.offset[..., None])
    np.testing.assert_allclose(scores, 0.6, atol=1e-5)


@pytest.mark.parametrize("shared", [0.0, 1.0, 30.0])
def test_images_that_are_all_alike_get_the_middle_of_the_targets(shared):
    """Centring such a kernel leaves nothing, or rounding: there is only an offset."""
    kernel = np.full((SIZE, SIZE), shared, np.float32)
    targets = np.linspace(-0.3, 0.7, SIZE, dtype=np.float32)
    found = fit_all(kernel, targets, np.ones((SPLITS, SIZE), bool), C, NU)
    scores = np.asarray(found.coefficients @ kernel + found.offset[..., None])
    np.testing.assert_allclose(scores, 0.2, atol=2e-3)
    one = np.tile(np.arange(SIZE) == 3, (SPLITS, 1))
    found = fit_all(kernel, targets, one, C, NU)
    scores = np.asarray(found.coefficients @ kernel + found.offset[..., None])
    np.testing.assert_allclose(scores, targets[3], atol=1e-5)


def test_without_ratings_the_score_is_zero():
    kernel, targets, masks = problem()
    found = fit_all(kernel, targets, np.zeros_like(masks), C, NU)
    assert not np.any(found.coefficients)
    assert not np.any(found.offset)
    assert np.all(jnp.isfinite(found.gap))


def test_a_start_changes_the_way_and_not_the_solution():
    kernel, targets, masks = problem(seed=4)
    cold = fit_all(kernel, targets, masks, C, NU)
    start = np.where(masks[0], np.asarray(cold.coefficients[3, 0]), 0.0)
    start[np.flatnonzero(masks[0])[:2]] = 0.0
    warm = fit_nu_svr(
        jnp.asarray(kernel),
        jnp.asarray(targets),
        mask=jnp.asarray(masks[0]),
        c=float(C[3]),
        nu=float(NU[3]),
        start=jnp.asarray(start, jnp.float32),
    )
    scores = [
        np.asarray(x.coefficients) @ kernel + float(x.offset)
        for x in (jax.tree.map(lambda x: x[3, 0], cold), warm)
    ]
    np.testing.assert_allclose(*scores, atol=1e-3)
