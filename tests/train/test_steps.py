import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from train.killable_run import Network, initial_variables, prepare

from jiaa import losses
from jiaa.train.state import create_train_state
from jiaa.train.steps import CrowdScores, generic_step, train_step
from jiaa.types import ImageStore

OPTIMIZER = optax.sgd(0.5)


class Linear(nn.Module):
    """Frozen-trunk features to a score; no BatchNorm."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        return nn.Dense(1)(x)[:, 0]


def features_as_they_are(content, *, key):
    del key
    return content


def linear_run(next_key, *, weights=None):
    features = jax.random.normal(next_key(), (10, 4))
    crowd = CrowdScores(
        jnp.array([9, 4, 0, 7]), jnp.array([0.2, 0.4, 0.6, 1.0]), weights
    )
    model = Linear()
    state = create_train_state(
        model.init(next_key(), features), optimizer=OPTIMIZER, key=next_key()
    )
    bound = {
        "crowd": crowd,
        "store": ImageStore(features=features),
        "apply": model.apply,
        "prepare": features_as_they_are,
        "loss": losses.squared_error,
        "optimizer": OPTIMIZER,
    }
    return state, functools.partial(generic_step, **bound), features


def by_hand(params, inputs, targets, weights):
    """One step of gradient descent on the weighted squared error, in NumPy."""
    kernel, bias = (np.asarray(params["Dense_0"][k]) for k in ("kernel", "bias"))
    error = inputs @ kernel[:, 0] + bias[0] - targets
    share = weights / weights.sum()
    gradient = 2 * inputs.T @ (share * error)
    return (
        np.sum(share * error**2),
        kernel[:, 0] - 0.5 * gradient,
        bias[0] - np.sum(share * error),
    )


@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 5.0, 2.0]])
def test_a_step_is_gradient_descent_on_the_weighted_mean_loss(next_key, weights):
    given = None if weights is None else jnp.asarray(weights)
    state, step, features = linear_run(next_key, weights=given)
    after, metrics = step(state, jnp.array([3, 0, 1]))
    used = np.ones(3) if weights is None else np.asarray(weights)[[3, 0, 1]]
    loss, kernel, bias = by_hand(
        state.params, np.asarray(features)[[7, 9, 4]], np.array([1.0, 0.2, 0.4]), used
    )
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    moved = after.params["Dense_0"]
    np.testing.assert_allclose(moved["kernel"][:, 0], kernel, rtol=1e-5)
    np.testing.assert_allclose(moved["bias"][0], bias, rtol=1e-5)
    assert int(after.step) == 1
    assert after.batch_stats == {}


def test_the_scale_of_the_weights_changes_nothing(next_key):
    state, step, _ = linear_run(next_key, weights=jnp.array([1.0, 2.0, 3.0, 4.0]))
    rows = jnp.array([0, 1, 2])
    one, _ = step(state, rows)
    crowd = step.keywords["crowd"]
    scaled = CrowdScores(crowd.image_ids, crowd.scores, 10 * crowd.weights)
    ten, _ = functools.partial(step, crowd=scaled)(state, rows)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one.params, ten.params
    )


@pytest.fixture(scope="module")
def image_run():
    """(state, step): a network with BatchNorm and dropout on uint8 images."""
    rng = np.random.default_rng(0)
    network = Network()
    variables = initial_variables(network, 8, rng)
    crowd = CrowdScores(
        np.arange(6, dtype=np.int32), np.linspace(0.2, 1.0, 6, dtype=np.float32)
    )
    step = functools.partial(
        train_step,
        crowd=crowd,
        store=ImageStore(images=rng.integers(0, 256, (6, 8, 8, 3), np.uint8)),
        apply=network.apply,
        prepare=prepare,
        loss=losses.squared_error,
        optimizer=OPTIMIZER,
    )

    def state():
        return create_train_state(variables, optimizer=OPTIMIZER, key=jax.random.key(1))

    return state, step


def test_a_step_moves_the_batch_norm_statistics(image_run):
    state, step = image_run
    before = state().batch_stats
    after, _ = step(state(), np.arange(4, dtype=np.int32))
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after.batch_stats)
    assert all(jax.tree.leaves(moved))


def test_the_same_step_of_the_same_key_draws_the_same_noise(image_run):
    state, step = image_run
    rows = np.arange(4, dtype=np.int32)
    losses_of = [
        float(step(state().replace(step=jnp.int32(number)), rows)[1]["loss"])
        for number in (3, 3, 4)
    ]
    assert losses_of[0] == losses_of[1]
    assert losses_of[0] != losses_of[2]


def test_images_from_a_loader_that_reads_ahead_give_the_same_step(image_run):
    state, step = image_run
    rows = np.array([5, 1, 2, 0], np.int32)
    images = step.keywords["store"].images[rows]
    stored, _ = step(state(), rows)
    loaded, _ = functools.partial(step, store=None)(
        state(), {"index": rows, "images": images}
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        stored.params,
        loaded.params,
    )


def test_the_state_that_goes_in_is_used_up(image_run):
    state, step = image_run
    used = state()
    step(used, np.arange(4, dtype=np.int32))
    assert used.params["hidden"]["kernel"].is_deleted()


def test_rows_without_a_store_are_an_error_that_says_what_to_pass(next_key):
    state, step, _ = linear_run(next_key)
    with pytest.raises(ValueError, match=r"store is None.*Pass store="):
        functools.partial(step, store=None)(state, jnp.array([0, 1]))
