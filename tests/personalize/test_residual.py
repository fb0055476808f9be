"""PAM and its regressors: the contract, scikit-learn, and what the method promises."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import check_personalizer
from meta import tiny
from sklearn.linear_model import BayesianRidge as ScikitBayesianRidge
from sklearn.svm import NuSVR as ScikitNuSVR

from jiaa.personalize import BayesianRidge, NuSVR, Residual
from jiaa.personalize.bayesian_ridge import fit_bayesian_ridge

SHOTS = 9


class Scored(nn.Module):
    """A linear generic score of features, as `Aesthetic.score` gives it."""

    def setup(self):
        self.head = nn.Dense(1)

    def score(self, features):
        return self.head(features)[..., 0]


@pytest.fixture(scope="module")
def world():
    keys = jax.random.split(jax.random.key(5), 3)
    store = tiny.store_of(keys[0])
    task = tiny.tasks_of(keys[1], store)[0]
    shape = jnp.zeros((1, tiny.FEATURES))
    variables = Scored().init(keys[2], shape, method="score")
    prior = {"params": variables["params"], "batch_stats": {}}
    return prior, tiny.episode_of(task, SHOTS), store


def arrays(world, method):
    """Support and query features, and the support's targets, in NumPy."""
    prior, episode, store = world
    start = method.init(prior)
    support, query = episode.support, episode.query
    generic = [method.predict(prior, start, part, store) for part in (support, query)]
    features = [np.asarray(store.take(part.image_ids)) for part in (support, query)]
    return features, [np.asarray(x) for x in generic], np.asarray(support.scores)


@functools.partial(jax.jit, static_argnums=0)
def adapt_and_predict(method, prior, episode, store):
    adapted = method.adapt(prior, episode, store, key=jax.random.key(0))
    return adapted, method.predict(prior, adapted, episode.query, store)


def scores(world, method):
    return np.asarray(adapt_and_predict(method, *world)[1])


def test_pam_is_scikit_learns_machine_on_the_offsets(world):
    method = Residual(Scored(), tiny.FEATURES, regressor=NuSVR(c=(0.3,), nu=(0.6,)))
    (support, query), (before, generic), stars = arrays(world, method)
    oracle = ScikitNuSVR(C=0.3, nu=0.6, tol=1e-8).fit(support, stars - before)
    expected = generic + oracle.predict(query)
    np.testing.assert_allclose(scores(world, method), expected, atol=1e-3)


def test_the_baseline_is_the_machine_on_raw_scores_of_some_columns(world):
    machine = NuSVR(c=(0.4,), gamma=(0.5,))
    method = Residual(
        Scored(), tiny.FEATURES, regressor=machine, columns=(1, 4), target="score"
    )
    (support, query), _, stars = arrays(world, method)
    support, query = support[:, 1:4], query[:, 1:4]
    gamma = 0.5 / (3 * support.var())
    oracle = ScikitNuSVR(C=0.4, gamma=gamma, tol=1e-8).fit(support, stars)
    np.testing.assert_allclose(scores(world, method), oracle.predict(query), atol=1e-3)


@pytest.mark.parametrize("regressor", [NuSVR(), BayesianRidge(weight=3.0)])
def test_residual_keeps_the_contract(world, regressor):
    prior, episode, store = world
    method = Residual(Scored(), tiny.FEATURES, shots=SHOTS, regressor=regressor)
    check_personalizer(
        method,
        prior,
        episode,
        store,
        jax.random.key(1),
        empty_is_generic=True,
        order_free=True,
        atol=2e-4,
    )


def test_the_offset_of_a_user_who_agrees_with_the_generic_model_is_zero(world):
    prior, episode, store = world
    method = Residual(Scored(), tiny.FEATURES)
    generic = method.predict(prior, method.init(prior), episode.support, store)
    agreeing = dataclasses.replace(
        episode, support=dataclasses.replace(episode.support, scores=generic)
    )
    adapted, _ = adapt_and_predict(method, prior, agreeing, store)
    np.testing.assert_allclose(adapted["fitted"]["coefficients"], 0, atol=1e-6)


def test_cross_validation_takes_the_width_that_generated_the_targets():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(24, 2)).astype(np.float32)
    targets = np.sin(3 * features[:, 0]).astype(np.float32)  # narrow
    machine = NuSVR(c=(1.0,), gamma=(0.003, 3.0), folds=2, gap=1e-3)
    fitted = jax.jit(machine.fit)(features, targets, np.ones(24, bool))
    assert float(fitted["gamma"]) == pytest.approx(3.0 / (2 * features.var()), rel=1e-4)


@pytest.mark.parametrize("rows", [7, 40])
def test_bayesian_ridge_is_scikit_learns(rows):
    rng = np.random.default_rng(rows)
    features = rng.normal(size=(rows, 12)).astype(np.float32)
    targets = features[:, 0] - 0.5 * features[:, 1] + rng.normal(size=rows) * 0.4
    targets = targets.astype(np.float32)
    oracle = ScikitBayesianRidge(
        max_iter=500, tol=1e-10, alpha_1=2.0, alpha_2=0.6, lambda_1=2.0, lambda_2=1.0
    ).fit(features, targets)
    found = fit_bayesian_ridge(
        jnp.asarray(features),
        jnp.asarray(targets),
        mask=jnp.ones(rows, bool),
        weight=4.0,
        noise=0.3,
        prior=0.5,
        steps=500,
    )
    np.testing.assert_allclose(found["weights"], oracle.coef_, atol=2e-3)
    assert float(found["offset"]) == pytest.approx(oracle.intercept_, abs=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "cubic"}, "unknown kernel 'cubic'"),
        ({"c": ()}, r"c=\(\); expected a tuple of one or more numbers above 0"),
        ({"gamma": (1.0, float("nan"))}, r"gamma=\(1.0, nan\); expected"),
        ({"gap": 0.0}, "gap=0.0; expected a duality gap above 0"),
        ({"nu": (1.2,)}, "nu of at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NuSVR(**options)
