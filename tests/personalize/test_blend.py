"""The blended taste against SciPy's multivariate t, and what its shares mean."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from contracts import check_personalizer
from meta import tiny
from personalize.test_ridge import Scored

from jiaa.personalize import Blend
from jiaa.personalize.blend import LOG_PRIOR
from jiaa.personalize.hyper_prior import Strangers, learn_log_prior
from jiaa.types import Episode, Examples, ImageStore, UserTasks

IMAGES, WIDTH = 60, 12


@pytest.fixture
def method():
    return Blend(Scored(), WIDTH)


@pytest.fixture
def world(rng):
    """(prior, store, the crowd's unit scores): a random crowd on random features."""
    features = rng.normal(size=(IMAGES, WIDTH)).astype(np.float32)
    kernel = (0.1 * rng.normal(size=(WIDTH, 1))).astype(np.float32)
    params = {"head": {"kernel": kernel, "bias": np.full(1, 0.5, np.float32)}}
    crowd = (features @ kernel)[:, 0] + np.float32(0.5)
    prior = jax.tree.map(jnp.asarray, {"params": params, "batch_stats": {}})
    return prior, ImageStore(features=jnp.asarray(features)), crowd


def episode_of(scores, *, shots):
    """The first `shots` images are the support, the others the query."""
    ids, scores = np.arange(IMAGES, dtype=np.int32), np.asarray(scores, np.float32)

    def part(chosen):
        return Examples(ids[chosen], scores[chosen], np.ones(len(ids[chosen]), bool))

    split = part(slice(shots)), part(slice(shots, None))
    return Episode(np.asarray(7, np.int32), *split)


def adapted_to(method, prior, store, scores, *, shots=40):
    episode = episode_of(scores, shots=shots)
    return method.adapt(prior, episode, store, key=jax.random.key(0))


def test_the_blend_keeps_the_contract(next_key):
    store = tiny.store_of(next_key())
    task = tiny.tasks_of(next_key(), store)[0]
    variables = Scored().init(next_key(), jnp.zeros((1, tiny.FEATURES)), method="score")
    prior = {"params": variables["params"], "batch_stats": {}}
    episode = tiny.episode_of(task, 9)
    method = Blend(Scored(), tiny.FEATURES, shots=9)
    check_personalizer(method, prior, episode, store, jax.random.key(1))


def test_evidence_is_that_of_a_multivariate_t_on_contrasts(method, world, rng):
    prior, store, crowd = world
    scores = np.clip(crowd + 0.1 * rng.normal(size=IMAGES), 0, 1)[:9]
    directions = method.directions(prior, store.features[:9])
    kernel = method.kernel(directions, directions)
    found = method.candidates(
        kernel, jnp.asarray(crowd[:9]), jnp.asarray(scores), mask=jnp.ones(9, bool)
    )
    # What remains of nine ratings when a constant of no consequence is taken away.
    contrasts = np.linalg.svd(np.eye(9) - 1 / 9)[0][:, :8].T
    expected = []
    for share, strength in method.hypotheses:
        covariance = np.eye(9) + strength * np.asarray(kernel, np.float64)
        expected.append(
            scipy.stats.multivariate_t(
                contrasts @ (share * crowd[:9]),
                method.noise**2 * contrasts @ covariance @ contrasts.T,
                df=method.confidence,
            ).logpdf(contrasts @ scores)
        )
    gaps = np.asarray(found.log_evidence) - expected
    np.testing.assert_allclose(gaps - gaps[0], 0, atol=2e-3)


def test_one_hypothesis_is_a_gaussian_process_around_its_share_of_the_crowd(world, rng):
    prior, store, crowd = world
    method = Blend(Scored(), WIDTH, shares=(0.5,), strengths=(3.0,))
    # Its only rival, exactly the crowd, is ruled out.
    method = dataclasses.replace(method, log_prior=(0.0, -1e9))
    scores = rng.uniform(0.2, 1, IMAGES)
    adapted = adapted_to(method, prior, store, scores, shots=8)
    query = episode_of(scores, shots=8).query
    got = method.predict(prior, adapted, query, store)
    unit = np.asarray(store.features, np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit[:8].T
    kernel = (cosine + 2 * cosine**2) / 3
    inverse = np.linalg.inv(np.eye(8) + 3 * kernel[:8])
    residual = scores[:8] - 0.5 * crowd[:8]
    offset = inverse.sum(0) @ residual / inverse.sum()
    expected = 0.5 * crowd + offset + 3 * kernel @ inverse @ (residual - offset)
    np.testing.assert_allclose(got, expected[8:], atol=1e-5)


def test_whoever_rates_as_the_crowd_does_is_taken_for_the_crowd(method, world):
    prior, store, crowd = world
    adapted = adapted_to(method, prior, store, crowd)
    assert adapted["share"] > 0.9
    scores = method.predict(prior, adapted, episode_of(crowd, shots=40).query, store)
    assert scipy.stats.spearmanr(scores, crowd[40:]).statistic > 0.99


def test_whoever_rates_against_the_crowd_shares_little_of_it(method, world):
    prior, store, crowd = world
    adapted = adapted_to(method, prior, store, 1 - crowd)
    assert adapted["share"] < 0.2
    query = episode_of(1 - crowd, shots=40).query
    scores = method.predict(prior, adapted, query, store)
    assert scipy.stats.spearmanr(scores, 1 - crowd[40:]).statistic > 0.8


def test_exactly_the_crowd_leaves_its_ranking(method, world, rng):
    prior, store, _ = world
    ruled_out = (*(-1e9,) * (len(method.hypotheses) - 1), 0.0)
    method = dataclasses.replace(method, log_prior=ruled_out)
    scores = rng.uniform(0.2, 1, IMAGES)
    adapted = adapted_to(method, prior, store, scores)
    assert adapted["share"] == 1
    np.testing.assert_array_equal(adapted["dual"], 0)


def test_a_learned_log_prior_is_read_from_the_prior(method, world):
    prior, store, crowd = world
    learned = method.learnable(prior)
    np.testing.assert_array_equal(learned["params"]["inner"][LOG_PRIOR], 0)
    sure = np.full(len(method.hypotheses), -1e9, np.float32)
    sure[-1] = 0
    params = {**learned["params"], "inner": {LOG_PRIOR: jnp.asarray(sure)}}
    adapted = adapted_to(method, {**learned, "params": params}, store, 1 - crowd)
    assert adapted["share"] == 1


def test_impossible_fields_are_refused():
    with pytest.raises(ValueError, match=r"strengths=\(0.0,\); expected"):
        Blend(Scored(), WIDTH, strengths=(0.0,))
    with pytest.raises(ValueError, match="noise=-1"):
        Blend(Scored(), WIDTH, noise=-1.0)
    with pytest.raises(ValueError, match="2 log priors for 16 hypotheses"):
        Blend(Scored(), WIDTH, log_prior=(0.0, 0.0))
    with pytest.raises(ValueError, match="share=1"):
        Strangers(share=1.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"shares": (0.0, -np.inf)},
        {"strengths": (1.0, np.inf)},
        {"log_prior": (np.nan,) * 16},
        {"curvature": np.nan},
        {"noise": np.inf},
    ],
)
def test_fields_are_finite_numbers(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=f"{name}=.*; expected finite numbers"):
        Blend(Scored(), WIDTH, **fields)


def tasks_of(scores):
    """Every row of `scores` [user image] as a user who rated all images."""
    users = len(scores)
    ids = np.broadcast_to(np.arange(IMAGES, dtype=np.int32), (users, IMAGES))
    return UserTasks(
        np.arange(users, dtype=np.int32),
        ids,
        np.asarray(scores, np.float32),
        np.ones((users, IMAGES), bool),
    )


def expected_share(method, prior, store, crowd, tasks, **strangers):
    log_prior = learn_log_prior(
        method,
        prior,
        np.asarray(store.features),
        crowd,
        tasks,
        strangers=Strangers(episodes=400, **strangers),
        key=jax.random.key(3),
    )
    assert log_prior.max() == 0
    shares = np.asarray([share for share, _ in method.hypotheses])
    return np.exp(log_prior) @ shares / np.exp(log_prior).sum()


def test_raters_like_the_crowd_teach_trust_and_strangers_teach_doubt(
    method, world, rng
):
    prior, store, crowd = world
    like_the_crowd = crowd[None] + 0.05 * rng.normal(size=(12, IMAGES))
    tasks = tasks_of(like_the_crowd)
    trusting = expected_share(method, prior, store, crowd, tasks, share=0.0)
    doubting = expected_share(method, prior, store, crowd, tasks, share=0.8)
    assert doubting < trusting - 0.15
    assert trusting > 0.5


def test_raters_with_too_few_ratings_teach_nothing(method, world):
    prior, store, crowd = world
    tasks = tasks_of(crowd[None])
    few = dataclasses.replace(tasks, mask=np.arange(IMAGES)[None] < 4)
    with pytest.raises(ValueError, match="no training rater has 5 ratings"):
        learn_log_prior(
            method, prior, np.asarray(store.features), crowd, few, key=jax.random.key(0)
        )
