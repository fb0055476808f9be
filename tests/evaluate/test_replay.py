"""One user of one repeat alone gives what the evaluation of all of them measured."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from meta import tiny

from jiaa import metrics
from jiaa.data import DataError
from jiaa.evaluate import personalization
from jiaa.evaluate.replay import replay
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.personalize import Finetune

KEY = jax.random.key(11)
METHOD = Finetune(
    InnerLoop(
        tiny.Line(),
        optimizer=InnerOptimizer("sgd", ((".*", 0.1),)),
        batch_size=8,
    ),
    steps=4,
)


@pytest.fixture(scope="module")
def world():
    """Prior, tasks of 20, 12 and 15 ratings, store."""
    keys = jax.random.split(jax.random.key(0), 3)
    store = tiny.store_of(keys[0])
    tasks = tiny.tasks_of(keys[1], store, users=3)
    mask = jnp.arange(20)[None] < jnp.array([20, 12, 15])[:, None]
    ids = jnp.where(mask, tasks.image_ids, 0)
    scores = jnp.where(mask, tasks.scores, 0.0)
    tasks = dataclasses.replace(tasks, image_ids=ids, scores=scores, mask=mask)
    return tiny.prior_of(tiny.Line(), keys[2]), tasks, store


@pytest.fixture(scope="module")
def measured(world):
    prior, tasks, store = world
    options = {"shots": (5,), "repeats": 4, "metrics": {"srocc": metrics.spearman}}
    return personalization(
        METHOD, prior, tasks, store, **options, progress=False, key=KEY
    )


@pytest.mark.parametrize(("user", "repeat"), [(0, 0), (1, 3), (2, 1)])
def test_it_gives_the_coefficients_that_were_measured(world, measured, user, repeat):
    prior, tasks, store = world
    again = replay(METHOD, prior, tasks[user], store, shots=5, repeat=repeat, key=KEY)
    for name, scores in (("srocc", again.scores), ("generic_srocc", again.generic)):
        expected = measured.values[name][0, user, repeat]
        query = again.query
        found = scipy.stats.spearmanr(scores[query], again.user[query]).statistic
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rated_images_come_once_in_order_with_the_user_s_own_scores(world):
    prior, tasks, store = world
    again = replay(METHOD, prior, tasks[1], store, shots=5, key=KEY)
    ids = np.asarray(tasks[1].image_ids)[:12]
    order = np.argsort(ids)
    np.testing.assert_array_equal(again.image_ids, ids[order])
    own = np.asarray(tasks[1].scores)[:12][order]
    np.testing.assert_allclose(again.user, own)
    assert np.count_nonzero(again.query) == 12 - 5


def test_a_user_with_too_few_ratings_is_named(world):
    prior, tasks, store = world
    names = {int(tasks.user_id[1]): "ann"}
    with pytest.raises(DataError, match="ann rated 12 images; shots=12"):
        replay(METHOD, prior, tasks[1], store, shots=12, names=names, key=KEY)
