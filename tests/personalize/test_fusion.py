"""Inter-task fusion: eqs. 5 to 7 by hand, scikit-learn and torch as oracles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import check_personalizer
from sklearn.linear_model import Ridge as ScikitRidge

from jiaa.personalize.fusion import (
    RidgeFusion,
    fusion_prior,
    fusion_weights,
    split_outputs,
    stepped_fusion,
)
from jiaa.types import Episode, Examples, ImageStore

EVERYONE = np.ones(8, bool)


@pytest.fixture
def user(rng):
    """One user's episode: eight ratings to learn from and four to be measured on."""
    columns = rng.uniform(-0.8, 0.8, (12, 6)).astype(np.float32)
    columns[:, 0] = rng.uniform(0.2, 1.0, 12)
    scores = jnp.asarray(rng.uniform(0.2, 1.0, 12), jnp.float32)
    support, query = (
        Examples(jnp.arange(a, b), scores[a:b], jnp.ones(b - a, bool))
        for a, b in ((0, 8), (8, 12))
    )
    store = ImageStore(features=jnp.asarray(columns))
    return Episode(jnp.asarray(3), support, query), store


def residual_of(user):
    episode, store = user
    generic, second = split_outputs(store.take(episode.support.image_ids), 5)
    return second, episode.support.scores - generic


def test_two_images_and_one_trait_by_hand():
    # w = (2 * .3 + 1 * .1) / (4 + 1 + 5) = .07
    second, residual = jnp.array([[2.0], [1.0]]), jnp.array([0.3, 0.1])
    real = jnp.ones(2, bool)
    weights, offset = fusion_weights(second, residual, real, strength=5.0)
    np.testing.assert_allclose(weights, [0.07], rtol=1e-6)
    assert float(offset) == 0
    # Centred: +-.5 and +-.1, w = .1 / (.5 + .5), b = .2 - 1.5 w.
    weights, offset = fusion_weights(second, residual, real, strength=0.5, offset=True)
    np.testing.assert_allclose([weights[0], offset], [0.1, 0.05], rtol=1e-5)


@pytest.mark.parametrize("offset", [False, True])
def test_the_solution_is_scikit_learns(user, offset):
    second, residual = residual_of(user)
    weights, level = fusion_weights(
        second, residual, jnp.asarray(EVERYONE), strength=0.3, offset=offset
    )
    fit = ScikitRidge(alpha=0.3, fit_intercept=offset)
    fit.fit(np.asarray(second, np.float64), np.asarray(residual, np.float64))
    np.testing.assert_allclose(weights, fit.coef_, atol=1e-5)
    np.testing.assert_allclose(level, fit.intercept_, atol=1e-5)


@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_collinear_traits_share_a_bounded_weight(user, strength):
    second, residual = residual_of(user)
    alike = jnp.tile(second[:, :1], (1, 5))
    weights, _ = fusion_weights(
        alike, residual, jnp.asarray(EVERYONE), strength=strength
    )
    np.testing.assert_allclose(weights, weights[0], rtol=1e-2, atol=1e-5)
    bound = np.linalg.norm(residual) / (2 * np.sqrt(strength))
    assert np.linalg.norm(weights) <= bound


def test_a_constant_trait_beside_an_offset_gets_no_weight(user):
    second, residual = residual_of(user)
    second = second.at[:, 2].set(0.4)
    weights, _ = fusion_weights(
        second, residual, jnp.asarray(EVERYONE), strength=0.1, offset=True
    )
    assert abs(float(weights[2])) < 1e-5


def test_ridge_fusion_keeps_the_contract(user):
    episode, store = user
    check_personalizer(
        RidgeFusion(),
        fusion_prior(),
        episode,
        store,
        jax.random.key(0),
        generic=store.features[8:, 0],
        empty_is_generic=True,
        order_free=True,
    )


def test_stepped_fusion_keeps_the_contract(user):
    episode, store = user
    check_personalizer(
        stepped_fusion(shots=8, epochs=2, rate=0.1),
        fusion_prior(),
        episode,
        store,
        jax.random.key(0),
        generic=store.features[8:, 0],
    )


def test_a_user_who_agrees_with_the_generic_score_keeps_it(user):
    episode, store = user
    agreeing = dataclasses.replace(episode.support, scores=store.features[:8, 0])
    adapted = RidgeFusion().adapt(
        fusion_prior(),
        dataclasses.replace(episode, support=agreeing),
        store,
        key=jax.random.key(0),
    )
    np.testing.assert_allclose(adapted["weights"], 0, atol=1e-7)


def test_two_sgd_steps_by_hand():
    # One image, s_a = .5, s_p = 1, score 1: L = (w - .5)^2, g = 2 (w - .5) + .1 w.
    # g0 = -1, w1 = .1; g1 = -.8 + .01, v1 = .9 g0 + g1 = -1.69, w2 = .1 + .09 * 1.69.
    store = ImageStore(features=jnp.array([[0.5, 1.0]]))
    one = Examples(jnp.array([0]), jnp.array([1.0]), jnp.array([True]))
    method = stepped_fusion(shots=1, width=1, epochs=2, rate=0.1, decay=0.1)
    adapted = method.adapt(
        fusion_prior(1), Episode(jnp.asarray(0), one, one), store, key=jax.random.key(0)
    )
    np.testing.assert_allclose(adapted["params"]["weights"], [0.2521], rtol=1e-6)


def test_steps_are_torchs_sgd(user):
    torch = pytest.importorskip(
        "torch", reason="needs the extra: pip install jiaa[torch]"
    )
    episode, store = user
    method = stepped_fusion(shots=8, epochs=30, rate=0.05)
    adapted = method.adapt(fusion_prior(), episode, store, key=jax.random.key(0))
    second, residual = map(np.array, residual_of(user))  # torch wants to write
    weights = torch.zeros(5, requires_grad=True)
    sgd = torch.optim.SGD([weights], lr=0.05, momentum=0.9, weight_decay=1e-5)
    decay = torch.optim.lr_scheduler.ExponentialLR(sgd, 0.9)
    for _ in range(30):
        sgd.zero_grad()
        gap = torch.from_numpy(second) @ weights - torch.from_numpy(residual)
        (gap**2).mean().backward()
        sgd.step()
        decay.step()
    found = adapted["params"]["weights"]
    np.testing.assert_allclose(found, weights.detach().numpy(), atol=1e-5)


def test_the_papers_rates_hardly_move_the_weights(user):
    """Even where the best weight is 1, 50 epochs reach less than a hundredth."""
    episode, store = user
    generic, second = split_outputs(store.features, 5)
    scores = (generic + second[:, 0])[:8]
    learning = dataclasses.replace(episode.support, scores=scores)
    adapted = stepped_fusion(shots=8).adapt(
        fusion_prior(),
        dataclasses.replace(episode, support=learning),
        store,
        key=jax.random.key(0),
    )
    assert 0 < float(adapted["params"]["weights"][0]) < 0.01


def test_a_store_of_another_width_is_refused(user):
    _, store = user
    with pytest.raises(ValueError, match="6 columns; expected 11"):
        split_outputs(store.features, 10)
    with pytest.raises(ValueError, match="strength above 0"):
        RidgeFusion(strength=0.0)
