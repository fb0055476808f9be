"""nu-SVR: against scikit-learn's NuSVR (libsvm), and what the method promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import NuSVR

from jiaa.personalize.nu_svr import fit_nu_svr

SIZE, SUPPORT, SPLITS = 48, 36, 4


def kernel_of(kind, rng):
    features = rng.normal(size=(SIZE, 8))
    if kind == "linear":  # of rank 8: its coefficients are not unique, its scores are
        return (features @ features.T / 8).astype(np.float32)
    gamma = {"rbf": 1 / 8, "smooth": 0.01}[kind]
    squares = np.square(features[:, None] - features[None]).sum(-1)
    return np.exp(-gamma * squares).astype(np.float32)


@functools.cache
def fit_all():
    """One program for all tests: settings x splits, the kernel shared by both."""
    fit = lambda kernel, targets, mask, c, nu: fit_nu_svr(  # noqa: E731
        kernel, targets, mask=mask, c=c, nu=nu
    )
    splits = jax.vmap(fit, in_axes=(None, None, 0, None, None))
    return jax.jit(jax.vmap(splits, in_axes=(None, None, None, 0, 0)))


def problem(seed=0, kind="rbf"):
    rng = np.random.default_rng(seed)
    kernel = kernel_of(kind, rng)
    truth = kernel @ rng.normal(size=SIZE) / 4
    # Stars: a fifth apart, with many ties.
    targets = np.round(truth + 0.15 * rng.normal(size=SIZE), 1).astype(np.float32)
    masks = np.stack([rng.permutation(SIZE) < SUPPORT for _ in range(SPLITS)])
    return kernel, targets, masks


SETTINGS = [(c, nu) for c in (0.13, 1.1, 9.7) for nu in (0.23, 0.51, 0.83)]


@pytest.mark.parametrize("kind", ["rbf", "smooth", "linear"])
def test_scores_equal_those_of_libsvm(kind):
    kernel, targets, masks = problem(kind=kind)
    c, nu = np.asarray(SETTINGS, np.float32).T
    found = fit_all()(kernel, targets, masks, c, nu)
    scores = np.asarray(found.coefficients @ kernel + found.offset[..., None])
    for setting, (c, nu) in enumerate(SETTINGS):
        for split, mask in enumerate(masks):
            oracle = NuSVR(kernel="precomputed", C=c, nu=nu, tol=1e-8)
            oracle.fit(kernel[np.ix_(mask, mask)], targets[mask])
            expected = oracle.predict(kernel[:, mask])
            np.testing.assert_allclose(scores[setting, split], expected, atol=1e-3)


def test_the_gap_is_as_asked_and_bounds_hold():
    kernel, targets, masks = problem(seed=1)
    c, nu = np.asarray(SETTINGS, np.float32).T
    found = fit_all()(kernel, targets, masks, c, nu)
    assert np.all(found.gap < 1e-4)
    beta = np.asarray(found.coefficients)
    np.testing.assert_allclose(beta.sum(-1) / c[:, None], 0.0, atol=1e-4)
    assert np.all(np.abs(beta) <= c[:, None, None] * (1 + 1e-6))
    assert np.all(beta[:, ~masks] == 0.0)
    budget = (c * nu * SUPPORT)[:, None] * (1 + 1e-5)
    assert np.all(np.abs(beta).sum(-1) <= budget)


def test_nu_bounds_the_share_of_support_vectors_and_of_ratings_off_the_tube():
    """Chang and Lin (2002), proposition 1 of nu-SVR."""
    kernel, targets, masks = problem(seed=2)
    c, nu = np.asarray([x for x in SETTINGS if x[0] < 1], np.float32).T
    found = fit_all()(kernel, targets, masks, c, nu)
    residual = targets - np.asarray(found.coefficients) @ kernel
    residual = np.abs(residual - np.asarray(found.offset)[..., None])
    outside = (residual > np.asarray(found.tube)[..., None] + 1e-4) & masks
    support = np.abs(found.coefficients) > 1e-6
    for row, share in enumerate(nu):
        assert np.all(outside[row].sum(-1) <= share * SUPPORT + 1e-4)
        assert np.all(support[row].sum(-1) >= share * SUPPORT - 1e-4)


def test_ratings_outside_of_the_mask_change_nothing():
    kernel, targets, masks = problem(seed=3)
    c, nu = np.float32([0.7]), np.float32([0.5])
    found = fit_all()(kernel, targets, masks, c, nu)
    other = np.where(masks[0], targets, 77.0).astype(np.float32)
    again = fit_all()(kernel, other, masks, c, nu)
    np.testing.assert_array_equal(found.coefficients[0, 0], again.coefficients[0, 0])


def test_targets_all_the_same_are_the_offset():
    kernel, _, masks = problem()
    c, nu = np.float32([1.0]), np.float32([0.5])
    same = np.full(SIZE, 0.6, np.float32)
    found = fit_all()(kernel, same, masks, c, nu)
    scores = np.asarray(found.coefficients @ kernel + found.offset[..., None])
    np.testing.assert_allclose(scores, 0.6, atol=1e-5)


def test_without_ratings_the_score_is_zero():
    kernel, targets, masks = problem()
    c, nu = np.float32([1.0]), np.float32([0.5])
    found = fit_all()(kernel, targets, np.zeros_like(masks), c, nu)
    assert not np.any(found.coefficients)
    assert not np.any(found.offset)
    assert np.all(jnp.isfinite(found.gap))
