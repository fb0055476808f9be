"""Feature-based matrix factorisation: what it learns, and the contract."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from contracts import check_personalizer
from meta import tiny

from jiaa.models.column import Column
from jiaa.personalize.factorization import (
    Factorization,
    FeatureFactors,
    fit_factorization,
)

NETWORK = FeatureFactors(units=12, factors=3)


@pytest.fixture(scope="module")
def world():
    store = tiny.store_of(jax.random.key(0))
    tasks = tiny.tasks_of(jax.random.key(1), store)
    options = {"network": NETWORK, "steps": 400, "batch_size": 32, "rate": 1e-2}
    learned = fit_factorization(
        store.features, tasks, key=jax.random.key(2), decay=1e-4, **options
    )
    return {"params": {}, "batch_stats": {}, "factorization": learned}, tasks, store


def test_training_raters_scores_are_learned(world):
    prior, tasks, store = world
    learned = prior["factorization"]
    standard = (store.features - learned["center"][None]) * learned["scale"][None]
    items = np.asarray(NETWORK.apply({"params": learned["network"]}, standard))
    users = jax.tree.map(np.asarray, learned["users"])
    scores = users["factors"] @ items[:, 1:].T + users["bias"][:, None] + items[:, 0]
    found = np.take_along_axis(scores, np.asarray(tasks.image_ids), axis=1)
    truth = np.asarray(tasks.scores)
    error = np.mean((found + float(learned["mean"]) - truth) ** 2)
    assert error < 0.7 * truth.var()


def test_a_user_s_own_part_is_ridge_on_the_factors(world):
    prior, tasks, store = world
    episode = tiny.episode_of(tasks[0], 8)
    method = Factorization(Column(), NETWORK, decay=0.03)
    adapted = method.adapt(prior, episode, store, key=jax.random.key(0))
    features = np.asarray(store.take(episode.support.image_ids))
    learned = jax.tree.map(np.asarray, prior["factorization"])
    network = learned["network"]
    standard = (features - learned["center"]) * learned["scale"]
    hidden = standard @ network["hidden"]["kernel"] + network["hidden"]["bias"]
    items = 1 / (1 + np.exp(-hidden)) @ network["factors"]["kernel"]
    gaps = np.asarray(episode.support.scores) - learned["mean"] - items[:, 0]
    items[:, 0] = 1
    expected = np.linalg.solve(items.T @ items + 0.24 * np.eye(4), items.T @ gaps)
    np.testing.assert_allclose(adapted["own"], expected, atol=2e-4)


def test_factorization_keeps_the_contract(world):
    prior, tasks, store = world
    check_personalizer(
        Factorization(Column(), NETWORK),
        prior,
        tiny.episode_of(tasks[1], 8),
        store,
        jax.random.key(3),
        generic=store.take(tiny.episode_of(tasks[1], 8).query.image_ids)[:, -1],
        empty_is_generic=True,
        order_free=True,
    )


def test_a_decay_that_is_not_above_zero_is_refused():
    with pytest.raises(ValueError, match=r"decay is 0.0; expected .* above 0"):
        Factorization(nn.Module(), decay=0.0)


def test_divergence_is_an_error(world):
    _, tasks, store = world
    with pytest.raises(FloatingPointError, match="lower the rate"):
        fit_factorization(
            store.features,
            tasks,
            network=NETWORK,
            steps=60,
            rate=float("inf"),
            key=jax.random.key(0),
        )
