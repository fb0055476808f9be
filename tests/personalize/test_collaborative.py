"""New users' factors against scikit-learn, and the contract of personalizers."""

import dataclasses

import drawn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import check_personalizer
from sklearn.linear_model import LogisticRegression

from jiaa.data.interactions import make_pairs
from jiaa.models.collaborative import Collaborative, Reviews
from jiaa.models.ranking import Ranking
from jiaa.personalize import NewUser
from jiaa.train.collaborative import with_means
from jiaa.types import Episode, Examples, ImageStore

USERS, IMAGES, SHOTS, QUERY, WORDS = 6, 12, 5, 4, 3


@pytest.fixture
def world(rng):
    def examples(rows):
        count = len(rows)
        return Examples(
            image_ids=jnp.asarray(rows),
            scores=jnp.asarray(rng.random(count), jnp.float32),
            mask=jnp.ones(count, bool),
            side={
                "image": jnp.asarray(rows),
                "words": jnp.asarray(rng.integers(2, 7, (count, WORDS))),
                "length": jnp.full(count, WORDS),
            },
        )

    store = ImageStore(features=jnp.asarray(rng.normal(size=(IMAGES, 8)), jnp.float32))
    episode = Episode(jnp.array(5), examples(np.arange(5)), examples(np.arange(5, 9)))
    return episode, store


def learned(network, store):
    pair = jnp.arange(2)
    reviews = None
    if network.attends:
        reviews = Reviews(jnp.ones((2, 1, WORDS), int), jnp.ones((2, 1), int))
    params = drawn.params(network, pair, pair, store.take(pair), reviews, scale=1)
    every = make_pairs(
        user=np.arange(USERS),
        image=np.arange(USERS),
        good=np.ones(USERS, bool),
        users=USERS,
    )
    return {"params": with_means(params, every)}


VBPR = Ranking(users=USERS, images=IMAGES, width=2, map_shape=(1, 2, 4), spread=1.0)
CFAN = Collaborative(
    users=USERS,
    images=IMAGES,
    width=3,
    map_shape=(1, 2, 4),
    attends=True,
    vocabulary=7,
    word_width=2,
    state=2,
    hidden=(),
)


def test_new_users_keep_the_contract(world):
    episode, store = world
    # The pointwise loss is logistic regression's, below.
    method = NewUser(CFAN, pairwise=True, steps=3, rate=0.3)
    prior = learned(CFAN, store)
    # A user without ratings has written nothing either.
    check_personalizer(
        method,
        prior,
        episode,
        store,
        jax.random.key(1),
        empty_is_generic=True,
        order_free=True,
        atol=1e-4,
    )


def test_a_linear_network_is_fitted_as_by_logistic_regression(world):
    episode, store = world
    prior = learned(VBPR, store)
    # scikit-learn takes no offsets: no image has a bias, and the mean user no score.
    for bias in ("content_bias", "image_bias"):
        none = jax.tree.map(jnp.zeros_like, prior["params"][bias])
        prior["params"][bias] = none
    method = NewUser(VBPR, strength=2.0, steps=600)
    params = prior["params"]
    numbers = episode.support.image_ids
    content = store.take(numbers)
    item = jax.jit(lambda *given: VBPR.apply({"params": params}, *given, method="item"))
    items = item(numbers, content)
    table = np.asarray(params["user_table"]["embedding"])
    assert np.abs(table[-1]).max() > 0
    prior["params"]["user_table"]["embedding"] = jnp.asarray(table).at[-1].set(0)
    adapted = method.adapt(prior, episode, store, key=jax.random.key(0))
    deviation = np.sqrt(np.mean(table[:-1] ** 2, axis=0))
    fit = LogisticRegression(C=1 / 2.0, fit_intercept=False, tol=1e-8)
    fit.fit(
        np.asarray(items)[:, :-1] * deviation, np.asarray(episode.support.scores) > 0.5
    )
    np.testing.assert_allclose(adapted["factors"], deviation * fit.coef_[0], atol=2e-3)


def test_a_photograph_without_a_number_is_unseen(world):
    episode, store = world
    prior = learned(VBPR, store)
    method = NewUser(VBPR)
    bare = dataclasses.replace(episode.query, side={})
    unseen = dataclasses.replace(episode.query, side={"image": jnp.full(4, -1)})
    start = method.init(prior)
    scores = [method.predict(prior, start, query, store) for query in (bare, unseen)]
    np.testing.assert_array_equal(*scores)


def test_bpr_calls_all_unseen_photographs_equal(world):
    episode, store = world
    network = Ranking(users=USERS, images=IMAGES, width=2)
    prior = learned(network, store)
    method = NewUser(network, pairwise=True)
    bare = dataclasses.replace(episode.query, side={})
    found = method.predict(prior, method.init(prior), bare, store)
    assert len(np.unique(found)) == 1


def test_rows_that_fill_a_table_up_are_no_users(world):
    _, store = world
    full = dataclasses.replace(VBPR, table_multiple=16)
    plain, filled = (
        NewUser(network)._population(learned(network, store))
        for network in (VBPR, full)
    )
    np.testing.assert_allclose(plain, filled, atol=1e-6)


def test_strengths_below_0_are_refused():
    with pytest.raises(ValueError, match="strength=-1"):
        NewUser(VBPR, strength=-1.0)
