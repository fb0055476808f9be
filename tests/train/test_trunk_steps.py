"""What a trunk learns from: everybody's scores, each predicted from the others."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.kernel_ridge import KernelRidge

from jiaa.train.state import create_train_state
from jiaa.train.trunk_steps import TrunkStep, left_out_errors, tastes
from jiaa.types import ImageStore, UserTasks

SPREAD = 0.2


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_tasks(scores, mask):
    """Raters [user image] of images numbered backwards, so that columns are no ids."""
    users, images = scores.shape
    ids = np.broadcast_to(np.arange(images)[::-1], scores.shape)
    return UserTasks(
        user_id=np.arange(users),
        image_ids=np.where(mask, ids, 0).astype(np.int32),
        scores=np.where(mask, scores, 0).astype(np.float32),
        mask=mask,
    )


@pytest.fixture
def tasks(rng):
    mask = rng.random((7, 12)) < 0.8
    mask[3] = False  # a rater of nothing here
    return make_tasks(rng.random((7, 12)).astype(np.float32), mask)


def gaussian(params, inputs):
    """Kernel of linear features: their directions are what can be learned."""
    features = inputs @ params["scale"]
    features = features / jnp.linalg.norm(features, axis=1, keepdims=True)
    return jnp.exp(2 * features @ features.T - 2)


def make_step(batch_size=6, **options):
    return TrunkStep(
        kernel=gaussian,
        prepare=lambda content, key: content,
        optimizer=optax.adam(0.03),
        batch_size=batch_size,
        **options,
    )


def make_state(step, width, key=0):
    return create_train_state(
        {"params": {"scale": jnp.eye(width)}},
        optimizer=step.optimizer,
        key=jax.random.key(key),
    )


def test_left_out_error_is_that_of_solving_without_the_image(rng):
    x = rng.normal(size=(9, 4))
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1))
    targets = rng.normal(size=9)
    targets -= targets.mean()
    found = left_out_errors(
        jnp.asarray(kernel, jnp.float32),
        jnp.asarray(targets, jnp.float32),
        jnp.ones(9, bool),
        strength=0.3,
    )
    for i in range(9):
        others = np.arange(9) != i
        ridge = KernelRidge(alpha=0.3, kernel="precomputed")
        ridge.fit(kernel[np.ix_(others, others)], targets[others])
        expected = targets[i] - ridge.predict(kernel[i : i + 1, others])[0]
        assert found[i] == pytest.approx(expected, abs=1e-5)


def test_masked_images_are_in_no_regression(rng):
    x = rng.normal(size=(8, 3))
    kernel = jnp.asarray(np.exp(-((x[:, None] - x[None]) ** 2).sum(-1)), jnp.float32)
    targets = jnp.asarray(rng.normal(size=8), jnp.float32)
    mask = jnp.arange(8) < 5
    found = left_out_errors(kernel, targets, mask, strength=0.5)
    alone = left_out_errors(
        kernel[:5, :5], targets[:5], jnp.ones(5, bool), strength=0.5
    )
    np.testing.assert_allclose(found[:5], alone, atol=1e-6)
    np.testing.assert_array_equal(found[5:], 0)


def test_crowd_and_personal_add_up_to_standardised_scores(tasks):
    found = tastes(tasks, images=14, spread=SPREAD, weight=0.0)
    np.testing.assert_array_equal(found.mask[:, 12:], False)
    np.testing.assert_array_equal(found.personal[~found.mask], 0)
    for user in (0, 1, 2, 4):
        real = tasks.mask[user]
        scores = tasks.scores[user][real].astype(np.float64)
        ids = tasks.image_ids[user][real]
        expected = (scores - scores.mean()) / scores.std()
        both = found.crowd[ids] + found.personal[user, ids]
        np.testing.assert_allclose(both, expected, atol=1e-5)


def test_a_harsh_and_a_generous_rater_of_equal_taste_do_not_differ():
    scores = np.array([[0.2, 0.4, 0.3], [0.7, 0.9, 0.8]], np.float32)
    found = tastes(make_tasks(scores, np.ones((2, 3), bool)), images=3, spread=SPREAD)
    np.testing.assert_allclose(found.personal, 0, atol=1e-6)


def test_steps_learn_the_feature_that_tastes_depend_on(rng):
    store = ImageStore(features=rng.normal(size=(60, 3)).astype(np.float32))
    taste = rng.normal(size=(20, 1)) + 1
    scores = np.tanh(taste * store.features[::-1, 0])  # of the first feature alone
    tasks = make_tasks(scores, np.ones((20, 60), bool))
    known = tastes(tasks, images=60, spread=SPREAD)
    step = make_step(batch_size=30)
    state = make_state(step, 3)
    run = jax.jit(step)
    first = last = None
    for i in range(60):
        state, metrics = run(state, jnp.asarray(i % 20), tasks, known, store)
        first, last = first or float(metrics["loss"]), float(metrics["loss"])
    scale = np.linalg.norm(state.params["scale"], axis=1)
    assert last < 0.7 * first
    assert scale[0] > 1.3 * scale[1:].max()
    assert int(state.step) == 60


def test_the_same_key_and_step_give_the_same_state(tasks, rng):
    store = ImageStore(features=rng.normal(size=(12, 3)).astype(np.float32))
    known = tastes(tasks, images=12, spread=SPREAD)
    step = make_step()
    one, two = (
        step(make_state(step, 3), jnp.asarray(1), tasks, known, store)[0]
        for _ in range(2)
    )
    other = step(make_state(step, 3, key=1), jnp.asarray(1), tasks, known, store)[0]
    np.testing.assert_array_equal(one.params["scale"], two.params["scale"])
    assert not np.array_equal(one.params["scale"], other.params["scale"])


def test_a_rater_of_few_photographs_gives_finite_gradients(rng):
    store = ImageStore(features=rng.normal(size=(12, 3)).astype(np.float32))
    mask = np.zeros((2, 12), bool)
    mask[0, :3] = mask[1, 2:] = True
    tasks = make_tasks(rng.random((2, 12)).astype(np.float32), mask)
    known = tastes(tasks, images=12, spread=SPREAD)
    step = make_step(batch_size=8)
    state, metrics = step(make_state(step, 3), jnp.asarray(0), tasks, known, store)
    assert np.isfinite(metrics["loss"])
    assert np.isfinite(state.params["scale"]).all()


def test_the_crowd_weighs_as_told(tasks, rng):
    store = ImageStore(features=rng.normal(size=(12, 3)).astype(np.float32))
    known = tastes(tasks, images=12, spread=SPREAD)
    losses = {}
    for crowd in (0.0, 1.0, 2.0):
        step = make_step(crowd=crowd)
        _, metrics = step(make_state(step, 3), jnp.asarray(0), tasks, known, store)
        losses[crowd] = float(metrics["loss"])
    assert losses[2.0] - losses[1.0] == pytest.approx(losses[1.0] - losses[0.0])
