"""Steps of CFAN and BPR: losses by hand, the leak, and who training did not meet."""

import dataclasses

import drawn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa.data.interactions import Labels, make_pairs
from jiaa.evaluate.collaborative import predict_all
from jiaa.models.collaborative import Collaborative
from jiaa.models.ranking import Ranking
from jiaa.train import collaborative as steps
from jiaa.train.collaborative import Objective
from jiaa.train.state import create_train_state
from jiaa.types import ImageStore

USERS, IMAGES, CHANNELS = 4, 6, 5


@pytest.fixture(scope="module")
def material():
    """User 3 has one pair; user 1 found nothing bad."""
    rng = np.random.default_rng(0)
    user = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
    pairs = make_pairs(
        user=user,
        image=np.array([0, 1, 2, 1, 3, 0, 3, 4, 5]),
        good=np.array([1, 0, 0, 1, 1, 0, 1, 0, 1], bool),
        users=USERS,
        words=rng.integers(2, 9, (9, 3)),
        length=np.full(9, 3),
    )
    labels = Labels(
        np.array([0, 1, -1, 0, 1, 1]),
        np.array([1, 0, 1, np.nan, 0, 1], np.float32),
    )
    store = ImageStore(features=rng.normal(size=(IMAGES, 4 * CHANNELS)))
    made = steps.make_material(pairs, labels, store)
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x)), made)


@pytest.fixture(scope="module")
def cfan():
    return Collaborative(
        users=USERS,
        images=IMAGES,
        width=3,
        map_shape=(2, 2, CHANNELS),
        attends=True,
        tasks=("user", "tag", "crowd"),
        tags=2,
        vocabulary=9,
        word_width=2,
        state=2,
        hidden=(),
    )


def start(network, material, seed=0):
    pair = jnp.zeros(1, int)
    content = material.store.take(pair)
    reviews = steps.own_reviews(material.pairs, pair) if network.attends else None
    return drawn.params(network, pair, pair, content, reviews, seed=seed)


losses_of = jax.jit(steps.pair_losses, static_argnames=("network", "objective"))


@pytest.fixture(scope="module")
def params(cfan, material):
    return start(cfan, material)


ROWS = jnp.arange(9)


def test_losses_are_equation_6_negated(cfan, params, material):
    objective = Objective(attends_to="own")
    found = losses_of(
        cfan, params, ROWS, material, objective=objective, key=jax.random.key(0)
    )
    pairs, labels = material.pairs, material.labels
    reviews = steps.own_reviews(pairs, ROWS)
    logits = jax.jit(cfan.apply)(
        {"params": params},
        pairs.user,
        pairs.image,
        material.store.take(pairs.image),
        reviews,
    )
    p = {
        task: 1 / (1 + np.exp(-np.asarray(x, np.float64))) for task, x in logits.items()
    }
    y = np.asarray(pairs.good)
    expected = -np.log(np.where(y, p["user"], 1 - p["user"]))
    np.testing.assert_allclose(found["user"], expected, atol=1e-5)
    verdict = np.asarray(labels.crowd_good)[pairs.image]
    crowd = -np.log(np.where(verdict > 0.5, p["crowd"], 1 - p["crowd"]))
    crowd[np.isnan(verdict)] = 0  # nobody voted on image 3
    np.testing.assert_allclose(found["crowd"], crowd, atol=1e-5)
    tag = np.asarray(labels.tag)[pairs.image]
    of_tag = np.arange(2) == tag[:, None]
    z = -np.log(np.where(of_tag, p["tag"], 1 - p["tag"])).sum(1) * (tag >= 0)
    np.testing.assert_allclose(found["tag"], z, atol=1e-5)


def test_a_users_other_reviews_never_hold_that_of_the_image(material):
    pairs = material.pairs
    draw = jax.jit(steps.reviews_of, static_argnames="count")
    drawn = draw(pairs, pairs.user, pairs.image, count=40, key=jax.random.key(3))
    assert drawn.words.shape == (9, 40, 3)
    for row in range(9):
        own = np.asarray(pairs.words)[row]
        there = np.asarray(drawn.words)[row][np.asarray(drawn.length)[row] > 0]
        others = np.asarray(pairs.words)[(pairs.user == pairs.user[row])]
        assert not (there == own).all(1).any()
        assert len(np.unique(there, axis=0)) == len(others) - 1  # all others are drawn
    stranger = steps.reviews_of(
        pairs, jnp.array([-1]), jnp.array([0]), count=4, key=jax.random.key(0)
    )
    assert not stranger.length.any()


@pytest.mark.parametrize(("source", "leaks"), [("others", False), ("own", True)])
def test_only_the_papers_reading_sees_the_review_to_be_predicted(
    cfan, params, material, source, leaks
):
    options = {"network": cfan, "source": source, "key": jax.random.key(0)}
    test = jax.tree.map(np.asarray, material.pairs)
    before = predict_all(params, test, material, **options)["user"]
    changed = dataclasses.replace(test, words=(test.words + 1) % 7 + 2)
    after = predict_all(params, changed, material, **options)["user"]
    assert (not np.allclose(before, after)) == leaks


def test_bpr_prefers_good_to_the_same_users_bad_images(material):
    network = Ranking(users=USERS, images=IMAGES, width=2)
    params = start(network, material)
    scores = jax.jit(network.apply)(
        {"params": params}, jnp.repeat(jnp.arange(4), 6), jnp.tile(jnp.arange(6), 4)
    )["user"].reshape(4, 6)
    objective = Objective(pairwise=True)
    rows = steps.pair_rows(material.pairs, objective)
    assert rows.tolist() == [0, 3, 4, 6, 8]
    bad = {0: [1, 2], 1: range(6), 2: [0, 4], 3: range(6)}  # any, where none is bad
    for number in range(4):
        found = losses_of(
            network,
            params,
            jnp.asarray(rows),
            material,
            objective=objective,
            key=jax.random.key(number),
        )["user"]
        for loss, row in zip(found, rows, strict=True):
            user, image = int(material.pairs.user[row]), int(material.pairs.image[row])
            gaps = scores[user, image] - scores[user, np.asarray(bad[user])]
            possible = np.log1p(np.exp(-np.asarray(gaps)))
            assert np.abs(possible - float(loss)).min() < 1e-5


def test_steps_learn_and_weigh_their_losses_as_equation_6(cfan, params, material):
    optimizer = optax.adam(0.1)
    objective = Objective(reviews=2)
    options = {"network": cfan, "objective": objective, "optimizer": optimizer}
    state = create_train_state(
        {"params": params}, optimizer=optimizer, key=jax.random.key(0)
    )
    history = []
    for _ in range(25):
        state, metrics = steps.train_step(state, ROWS, material, **options)
        user, crowd, tag = (
            float(metrics[f"loss_{x}"]) for x in ("user", "crowd", "tag")
        )
        # The paper's lambda_beta and lambda_z.
        np.testing.assert_allclose(metrics["loss"], user + crowd + 0.015 * tag, 1e-5)
        history.append(user)
    assert history[-1] < 0.5 * history[0]
    assert int(state.step) == 25


def test_the_unmet_get_the_mean_of_the_met(material):
    network = Ranking(users=USERS + 1, images=IMAGES + 2, width=2)
    params = start(network, material)
    filled = steps.with_means(params, material.pairs)
    for table, met in (("user_table", 4), ("image_table", 6), ("image_bias", 6)):
        before, after = (x[table]["embedding"] for x in (params, filled))
        np.testing.assert_array_equal(after[:met], before[:met])
        mean = np.broadcast_to(before[:met].mean(0), after[met:].shape)
        np.testing.assert_allclose(after[met:], mean, atol=1e-6)
    kept = steps.with_means(params, material.pairs, forgets=True)
    last = params["image_table"]["embedding"][-1]
    np.testing.assert_array_equal(kept["image_table"]["embedding"][6], last)


def test_forgotten_images_all_look_unseen(material):
    network = Ranking(users=USERS, images=IMAGES, width=2)
    params = start(network, material)

    def total(params):
        objective = Objective(pairwise=True, forgets=1.0)
        found = losses_of(
            network,
            params,
            jnp.array([0, 3]),
            material,
            objective=objective,
            key=jax.random.key(0),
        )
        return found["user"].sum()

    # Two unseen images are a tie.
    np.testing.assert_allclose(total(params), 2 * np.log(2), rtol=1e-6)
    gradient = jax.jit(jax.grad(total))(params)["image_table"]["embedding"]
    assert not gradient[:-1].any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attends_to": "mine"}, "attends_to='mine'"),
        ({"opponents": "all"}, "opponents='all'"),
        ({"penalty": -1.0}, r"penalty=-1\.0; expected 0 or more"),
        ({"reviews": 0}, "reviews=0"),
        ({"forgets": 2.0}, r"forgets=2\.0"),
    ],
)
def test_objectives_without_a_meaning_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Objective(**options)
