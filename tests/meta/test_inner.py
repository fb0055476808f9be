"""The inner loop against gradients by hand, optax's own loop, and its own promises."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from meta import tiny

from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.types import Examples

SGD = InnerOptimizer("sgd", ((".*", 0.1),))


@pytest.fixture
def world(next_key):
    """(store, one user's examples)."""
    store = tiny.store_of(next_key())
    task = tiny.tasks_of(next_key(), store)[0]
    return store, tiny.episode_of(task, 12).support


def run(loop, prior, examples, store, steps, seed=0):
    return _run(loop, steps, prior, examples, store, jax.random.key(seed))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _run(loop, steps, prior, examples, store, key):
    start = loop.start(prior)
    return loop.run(prior, start, examples, store, steps=steps, key=key)


def assert_trees_equal(one, other, **tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **{"rtol": 0, **tolerance}),
        one,
        other,
    )


def test_zero_steps_return_the_prior(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    state, _ = run(InnerLoop(tiny.Normed()), prior, examples, store, 0)
    assert_trees_equal(state["params"], prior["params"])
    assert_trees_equal(state["batch_stats"], prior["batch_stats"])


def test_one_sgd_step_is_the_gradient_of_the_mean_squared_error_by_hand(
    world, next_key
):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    state, losses = run(
        InnerLoop(tiny.Line(), optimizer=SGD), prior, examples, store, 1
    )
    x, y = np.asarray(store.take(examples.image_ids)), np.asarray(examples.scores)
    kernel = np.asarray(prior["params"]["head"]["kernel"])[:, 0]
    gap = x @ kernel + np.asarray(prior["params"]["head"]["bias"]) - y
    expected = kernel - 0.1 * 2 * x.T @ gap / len(y)
    np.testing.assert_allclose(
        state["params"]["head"]["kernel"][:, 0], expected, atol=1e-6
    )
    assert float(losses[0]) == pytest.approx(np.mean(gap**2), rel=1e-5)


def test_adam_steps_equal_optax_adam(world, next_key):
    store, examples = world
    model = tiny.Normed()
    prior = tiny.prior_of(model, next_key())
    loop = InnerLoop(model, optimizer=InnerOptimizer("adam", ((".*", 0.01),)))
    state, _ = run(loop, prior, examples, store, 5)
    params, optimizer = prior["params"], optax.adam(0.01)
    opt_state = optimizer.init(params)

    def loss(params):
        variables = {"params": params, "batch_stats": prior["batch_stats"]}
        predicted = model.apply(variables, store.take(examples.image_ids))
        return jnp.mean((predicted - examples.scores) ** 2)

    for _ in range(5):
        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        params = optax.apply_updates(params, updates)
    assert_trees_equal(state["params"], params, atol=1e-5)


def test_only_the_named_part_adapts(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, adapts="head")
    state, _ = run(loop, prior, examples, store, 3)
    assert jax.tree.leaves(state["params"]["hidden"]) == []
    assert np.any(
        state["params"]["head"]["kernel"] != prior["params"]["head"]["kernel"]
    )
    whole = dataclasses.replace(loop, adapts="all")
    moved, _ = run(whole, prior, examples, store, 3)
    assert np.any(
        moved["params"]["hidden"]["kernel"] != prior["params"]["hidden"]["kernel"]
    )


def test_rates_go_by_path_pattern(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    optimizer = InnerOptimizer("sgd", (("head/.*", 0.1), (".*", 0.0)))
    state, _ = run(
        InnerLoop(tiny.Normed(), optimizer=optimizer), prior, examples, store, 2
    )
    assert_trees_equal(state["params"]["hidden"], prior["params"]["hidden"])
    assert np.any(
        state["params"]["head"]["kernel"] != prior["params"]["head"]["kernel"]
    )


@pytest.mark.parametrize("batch_norm", ["frozen", "reset"])
@pytest.mark.parametrize("batch_size", [None, 5])
def test_padding_the_support_changes_nothing(world, next_key, batch_norm, batch_size):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    loop = InnerLoop(
        tiny.Normed(), optimizer=SGD, batch_norm=batch_norm, batch_size=batch_size
    )

    def pad(leaf, value):
        return jnp.pad(leaf, (0, 4), constant_values=value)

    padded = Examples(
        pad(examples.image_ids, 3), pad(examples.scores, jnp.nan), pad(examples.mask, 0)
    )
    plain, _ = run(loop, prior, examples, store, 4)
    with_padding, _ = run(loop, prior, padded, store, 4)
    if batch_size is None:
        assert_trees_equal(plain, with_padding, atol=1e-6)
    else:  # other draws, yet never of the padding, whose scores are NaN
        assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(with_padding))


def test_frozen_batch_norm_keeps_the_statistics_and_reset_learns_the_users(
    world, next_key
):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    for mode, moves in (("frozen", False), ("reset", True)):
        loop = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm=mode)
        state, _ = run(loop, prior, examples, store, 2)
        gap = jax.tree.map(
            lambda a, b: np.abs(a - b).max(), state["batch_stats"], prior["batch_stats"]
        )
        assert (max(jax.tree.leaves(gap)) > 0) == moves


def test_dropout_follows_the_key(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, dropout=True)
    one, same, other = (
        run(loop, prior, examples, store, 2, seed)[0]["params"]["head"]["kernel"]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.any(np.asarray(one) != np.asarray(other))


def test_second_order_gradient_equals_finite_differences(world, next_key):
    store, examples = world
    model = tiny.Normed()
    prior = tiny.prior_of(model, next_key())
    loop = InnerLoop(model, optimizer=SGD, second_order=True)

    def after(kernel, loop=loop):
        shared = {**prior, "params": {**prior["params"], "head": kernel}}
        state, _ = run(loop, shared, examples, store, 3)
        predicted = loop.predict(shared, state, examples.image_ids, store)
        return jnp.sum(predicted**2)

    head = prior["params"]["head"]
    gradient = jax.grad(after)(head)["bias"][0]
    step = 1e-2
    moved = [after({**head, "bias": head["bias"] + sign * step}) for sign in (1, -1)]
    assert float(gradient) == pytest.approx(
        float(moved[0] - moved[1]) / (2 * step), rel=1e-2
    )
    first_order = dataclasses.replace(loop, second_order=False)
    other = jax.grad(lambda head: after(head, first_order))(head)["bias"][0]
    assert abs(float(other - gradient)) > 1e-3


def test_second_order_through_adam_is_finite_where_a_gradient_is_zero(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    store = dataclasses.replace(store, features=store.features.at[:, 0].set(0.0))
    optimizer = InnerOptimizer("adam", ((".*", 0.01),), eps_root=1e-8)
    loop = InnerLoop(tiny.Line(), optimizer=optimizer, second_order=True)

    def after(params):
        shared = {**prior, "params": params}
        state, _ = run(loop, shared, examples, store, 3)
        return jnp.sum(loop.predict(shared, state, examples.image_ids, store))

    gradient = jax.grad(after)(prior["params"])
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradient))


def test_learned_rates_start_at_the_given_ones_and_are_in_the_params(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    fixed = InnerLoop(tiny.Line(), optimizer=SGD)
    learned = dataclasses.replace(
        fixed, optimizer=dataclasses.replace(SGD, learned=True)
    )
    shared = {**prior, "params": learned.learnable(prior["params"])}
    one, _ = run(fixed, prior, examples, store, 3)
    other, _ = run(learned, shared, examples, store, 3)
    assert_trees_equal(one["params"], other["params"], atol=1e-7)

    def after(params):
        return jnp.sum(run(learned, {**prior, "params": params}, examples, store, 3)[1])

    gradient = jax.grad(after)(shared["params"])["inner"]["log_rates"]
    assert all(float(x) != 0 for x in jax.tree.leaves(gradient))


def test_remat_changes_no_number(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    loop = InnerLoop(tiny.Normed(), optimizer=SGD)
    one, _ = run(loop, prior, examples, store, 3)
    other, _ = run(dataclasses.replace(loop, remat=True), prior, examples, store, 3)
    assert_trees_equal(one, other, atol=1e-7)


def test_unknown_loss_names_the_known_ones(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    with pytest.raises(ValueError, match=r"unknown loss 'huber'.*'mse'"):
        run(InnerLoop(tiny.Line(), loss="huber"), prior, examples, store, 1)
