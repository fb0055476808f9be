"""Ridge on residuals against scikit-learn, and the contract of personalizers."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import check_personalizer
from meta import tiny
from sklearn.linear_model import Ridge as ScikitRidge

from jiaa.meta import bilevel
from jiaa.models.generic import initialise_head
from jiaa.models.heads import WarpedHead
from jiaa.personalize import Ridge


class Scored(nn.Module):
    """A linear generic score of features, as `Aesthetic.score` gives it."""

    def setup(self):
        self.head = nn.Dense(1)

    def score(self, features):
        return self.head(features)[..., 0]


@pytest.fixture
def world(next_key):
    store = tiny.store_of(next_key())
    task = tiny.tasks_of(next_key(), store)[0]
    variables = Scored().init(next_key(), jnp.zeros((1, tiny.FEATURES)), method="score")
    prior = {"params": variables["params"], "batch_stats": {}}
    return prior, tiny.episode_of(task, 9), store


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_prediction_equals_scikit_learns_ridge_on_the_residuals(world, strength):
    prior, episode, store = world
    method = Ridge(Scored(), tiny.FEATURES, strength)
    adapted = method.adapt(prior, episode, store, key=jax.random.key(0))
    got = method.predict(prior, adapted, episode.query, store)
    support, query = (
        np.asarray(store.take(part.image_ids), np.float64)
        for part in (episode.support, episode.query)
    )
    head = jax.tree.map(np.asarray, prior["params"]["head"])
    generic = [x @ head["kernel"][:, 0] + head["bias"] for x in (support, query)]
    fit = ScikitRidge(alpha=strength).fit(
        support, np.asarray(episode.support.scores) - generic[0]
    )
    np.testing.assert_allclose(got, generic[1] + fit.predict(query), atol=2e-5)


def test_ridge_keeps_the_contract(world):
    prior, episode, store = world
    check_personalizer(
        Ridge(Scored(), tiny.FEATURES), prior, episode, store, jax.random.key(1)
    )


def test_a_user_who_agrees_with_the_generic_model_keeps_it(world):
    prior, episode, store = world
    method = Ridge(Scored(), tiny.FEATURES)
    generic = method.predict(prior, method.init(prior), episode.support, store)
    agreeing = dataclasses.replace(
        episode, support=dataclasses.replace(episode.support, scores=generic)
    )
    adapted = method.adapt(prior, agreeing, store, key=jax.random.key(0))
    np.testing.assert_allclose(adapted["weights"], 0, atol=1e-6)


def test_the_strength_is_learned_through_the_solution(world):
    prior, episode, store = world
    method = Ridge(Scored(), tiny.FEATURES, 0.5, learned=True)
    shared = method.learnable(prior)
    direction = bilevel.MAML(method)(shared, episode, store, key=jax.random.key(0))
    assert float(direction.gradient["inner"]["log_strength"]) != 0
    plain = Ridge(Scored(), tiny.FEATURES, 0.5)
    one, other = (
        m.adapt(p, episode, store, key=jax.random.key(0))
        for m, p in ((method, shared), (plain, prior))
    )
    np.testing.assert_allclose(one["weights"], other["weights"], atol=1e-6)


def test_a_strength_that_is_not_above_zero_is_refused():
    with pytest.raises(ValueError, match=r"strength is 0.0; expected .* above 0"):
        Ridge(Scored(), tiny.FEATURES, 0.0)


class Headed(nn.Module):
    """A head alone, as `Aesthetic.score` gives it."""

    head: nn.Module

    def score(self, features):
        return self.head(features)


def test_through_a_warp_the_fit_is_ridge_on_warped_features(world, rng):
    _, episode, store = world
    model = Headed(WarpedHead(shared=4))
    prior = initialise_head(model, width=tiny.FEATURES, key=jax.random.key(0))
    warp = jnp.asarray(rng.normal(size=(4, 4)), jnp.float32)
    prior["params"]["head"]["warp"] = warp
    method = Ridge(model, tiny.FEATURES, 0.5)
    adapted = method.adapt(prior, episode, store, key=jax.random.key(0))
    got = method.predict(prior, adapted, episode.query, store)
    support, query = (
        np.hstack([x[:, :4] @ np.asarray(warp), x[:, 4:]])
        for x in (
            np.asarray(store.take(part.image_ids))
            for part in (episode.support, episode.query)
        )
    )
    fit = ScikitRidge(alpha=0.5).fit(support, np.asarray(episode.support.scores))
    np.testing.assert_allclose(got, fit.predict(query), atol=2e-5)
