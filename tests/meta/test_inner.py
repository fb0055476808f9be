"""The inner loop against gradients by hand, optax's own loop, and its own promises."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from meta import tiny

from jiaa.meta.inner import Calibration, InnerLoop, InnerOptimizer
from jiaa.models.variables import load_variables, save_variables
from jiaa.personalize import Finetune
from jiaa.types import Episode, Examples

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
    shared = learned.learnable(prior)
    one, _ = run(fixed, prior, examples, store, 3)
    other, _ = run(learned, shared, examples, store, 3)
    assert_trees_equal(one["params"], other["params"], atol=1e-7)

    def after(params):
        return jnp.sum(run(learned, {**prior, "params": params}, examples, store, 3)[1])

    gradient = jax.grad(after)(shared["params"])["inner"]["log_rates"]
    assert all(float(x) != 0 for x in jax.tree.leaves(gradient))


def test_learned_rates_of_a_part_survive_a_file(world, next_key, tmp_path):
    store, examples = world
    fixed = InnerLoop(tiny.Line(), optimizer=SGD, adapts="head/kernel")
    learned = dataclasses.replace(
        fixed, optimizer=dataclasses.replace(SGD, learned=True)
    )
    prior = tiny.prior_of(tiny.Line(), next_key())
    prior = learned.learnable(prior)
    save_variables(tmp_path / "prior.safetensors", prior)
    read = {"batch_stats": {}, **load_variables(tmp_path / "prior.safetensors")}
    one, other, plain = (
        run(loop, start, examples, store, 2)[0]["params"]
        for loop, start in ((learned, prior), (learned, read), (fixed, prior))
    )
    assert_trees_equal(one, other)
    assert_trees_equal(one, plain, atol=1e-7)


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


def test_decay_pulls_a_moved_state_back_to_the_prior_by_hand(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    plain = InnerLoop(tiny.Line(), optimizer=SGD)
    decayed = dataclasses.replace(plain, decay=0.7)
    first, _ = run(decayed, prior, examples, store, 1)
    unpulled, _ = run(plain, prior, examples, store, 1)
    assert_trees_equal(first["params"], unpulled["params"])  # 0 at the prior itself

    def one_more(loop):
        key = jax.random.key(0)
        return loop.run(prior, first, examples, store, steps=1, key=key)[0]["params"]

    expected = jax.tree.map(
        lambda stepped, moved, start: stepped - 0.1 * 0.7 * (moved - start),
        one_more(plain),
        first["params"],
        prior["params"],
    )
    assert_trees_equal(one_more(decayed), expected, atol=1e-6)


def test_a_summed_loss_steps_as_many_times_as_far_as_there_are_images(world, next_key):
    store, examples = world
    mask = jnp.arange(12) < 9
    examples = dataclasses.replace(examples, mask=mask)
    prior = tiny.prior_of(tiny.Line(), next_key())
    mean = InnerLoop(tiny.Line(), optimizer=SGD)
    total = dataclasses.replace(mean, reduction="sum")
    (one, one_loss), (other, other_loss) = (
        run(loop, prior, examples, store, 1) for loop in (mean, total)
    )
    moved = [
        jax.tree.map(jnp.subtract, state["params"], prior["params"])
        for state in (one, other)
    ]
    assert_trees_equal(moved[1], jax.tree.map(lambda x: 9 * x, moved[0]), atol=1e-5)
    np.testing.assert_allclose(other_loss, 9 * one_loss, rtol=1e-5)


def examples_of(scores, mask):
    return Examples(
        jnp.arange(len(scores)), jnp.asarray(scores, jnp.float32), jnp.asarray(mask)
    )


def test_a_users_scale_by_hand():
    # Variance of 0.2, 0.4, 0.9 is 0.26 / 3; the padded score takes no part.
    given = examples_of([0.2, 0.4, 0.9, np.nan], [True, True, True, False])
    found = Calibration(spread=0.2, weight=0.25).scale(given)
    expected = np.sqrt((0.75 * 0.26 / 3 + 0.25 * 0.04) / 0.04)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_user_who_gives_one_score_to_all_gets_the_usual_spreads_share():
    given = examples_of([0.6] * 5, [True] * 5)
    assert float(Calibration(0.3, 0.16).scale(given)) == pytest.approx(0.4, rel=1e-3)


CALIBRATED = InnerLoop(
    tiny.Line(),
    optimizer=SGD,
    loss="centred",
    calibrate=Calibration(spread=0.2, weight=0.0),
)


def adapted(loop, prior, support, store):
    """(adapted state, predictions for all images) of a user with that support set."""
    learner = Finetune(loop, steps=4)
    episode = Episode(jnp.asarray(1), support, support)
    state = learner.adapt(prior, episode, store, key=jax.random.key(0))
    ids = jnp.arange(len(store))
    return state, loop.predict(prior, state, ids, store)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_calibrated_predictions_have_the_supports_mean(world, next_key, weight):
    store, examples = world
    loop = dataclasses.replace(CALIBRATED, calibrate=Calibration(0.2, weight))
    prior = tiny.prior_of(tiny.Line(), next_key())
    padded = dataclasses.replace(
        examples,
        mask=jnp.arange(12) < 8,
        scores=jnp.where(jnp.arange(12) < 8, examples.scores, jnp.nan),
    )
    _, predicted = adapted(loop, prior, padded, store)
    rows = np.asarray(padded.image_ids)[:8]
    assert float(np.mean(np.asarray(predicted)[rows])) == pytest.approx(
        float(jnp.mean(examples.scores[:8])), abs=1e-5
    )


def test_a_user_whose_scores_are_stretched_and_moved_gets_predictions_so(
    world, next_key
):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    other = dataclasses.replace(examples, scores=1.7 * examples.scores - 0.4)
    _, one = adapted(CALIBRATED, prior, examples, store)
    _, moved = adapted(CALIBRATED, prior, other, store)
    np.testing.assert_allclose(moved, 1.7 * one - 0.4, atol=1e-5)
    # With weight, a user of little spread is trusted less: no longer so.
    loop = dataclasses.replace(CALIBRATED, calibrate=Calibration(0.2, 0.5))
    _, one = adapted(loop, prior, examples, store)
    _, moved = adapted(loop, prior, other, store)
    assert np.max(np.abs(moved - (1.7 * one - 0.4))) > 1e-3


def test_calibration_without_any_steps_keeps_the_generic_order(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Line(), next_key())
    state = CALIBRATED.begin(prior, examples)
    state = CALIBRATED.finish(prior, state, examples, store)
    ids = jnp.arange(len(store))
    generic = CALIBRATED.predict(prior, CALIBRATED.start(prior), ids, store)
    found = CALIBRATED.predict(prior, state, ids, store)
    np.testing.assert_array_equal(np.argsort(found), np.argsort(generic))


def test_calibration_refuses_a_loss_that_a_constant_changes():
    with pytest.raises(ValueError, match=r"calibrate needs.*centred.*'mse'"):
        dataclasses.replace(CALIBRATED, loss="mse")


@pytest.mark.parametrize("ratings", [0, 1, 5])
def test_ratings_that_tell_no_spread_leave_the_usual_one(world, next_key, ratings):
    store, examples = world
    mask = jnp.arange(12) < ratings
    same = dataclasses.replace(examples, mask=mask, scores=jnp.full(12, 0.6))
    assert float(Calibration(0.2, 0.0).scale(same)) == 1.0
    prior = tiny.prior_of(tiny.Line(), next_key())
    state, predicted = adapted(CALIBRATED, prior, same, store)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((state, predicted)))


@pytest.mark.parametrize("numbers", [(0.0, 0.2), (-0.1, 0.2), (0.2, -0.1), (0.2, 1.1)])
def test_calibration_refuses_numbers_out_of_range(numbers):
    with pytest.raises(ValueError, match=r"spread above 0.*weight in \[0, 1\]"):
        Calibration(*numbers)


@pytest.mark.parametrize("options", [{}, {"dropout": True, "batch_size": 5}], ids=str)
def test_the_first_loss_is_that_of_the_first_step(world, next_key, options):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm="reset", **options)
    _, losses = run(loop, prior, examples, store, 2)
    first = loop.first_loss(
        prior, loop.start(prior), examples, store, key=jax.random.key(0)
    )
    assert float(first) == pytest.approx(float(losses[0]), rel=1e-6)


def test_a_rate_scale_multiplies_every_rate(world, next_key):
    store, examples = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    loop = InnerLoop(tiny.Normed(), optimizer=SGD)
    half = dataclasses.replace(loop, optimizer=InnerOptimizer("sgd", ((".*", 0.05),)))
    scaled, _ = loop.run(
        prior,
        loop.start(prior),
        examples,
        store,
        steps=3,
        key=jax.random.key(0),
        rate_scale=jnp.float32(0.5),
    )
    expected, _ = run(half, prior, examples, store, 3)
    assert_trees_equal(scaled["params"], expected["params"], atol=1e-6)
