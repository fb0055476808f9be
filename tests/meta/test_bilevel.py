"""BLG-PIAA's update, MAML and the sampling of training episodes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from meta import tiny

from jiaa.data import tasks as data_tasks
from jiaa.meta import bilevel
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.personalize import Finetune
from jiaa.train.state import create_train_state

SGD = InnerOptimizer("sgd", ((".*", 0.1),))
SAMPLING = bilevel.Sampling(support=8, query=4)


@pytest.fixture
def world(next_key):
    store = tiny.store_of(next_key())
    return store, tiny.tasks_of(next_key(), store, users=4)


def state_of(model, optimizer, key):
    return create_train_state(
        tiny.prior_of(model, key), optimizer=optimizer, key=jax.random.key(5)
    )


def leaves_close(one, other, atol):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0), one, other
    )


def test_blg_by_hand_walks_support_then_query_from_there(world, next_key):
    store, tasks = world
    episode = tiny.episode_of(tasks[0], 12)
    prior = tiny.prior_of(tiny.Line(), next_key())
    loop = InnerLoop(tiny.Line(), optimizer=SGD)
    direction = bilevel.BLG(loop, steps=2)(prior, episode, store, key=jax.random.key(0))
    head = prior["params"]["head"]
    theta = np.append(np.asarray(head["kernel"])[:, 0], head["bias"])
    start = theta.copy()
    for part in (episode.support, episode.query):
        x = np.c_[np.asarray(store.take(part.image_ids)), np.ones(len(part.scores))]
        for _ in range(2):
            gap = x @ theta - np.asarray(part.scores)
            theta = theta - 0.1 * 2 * x.T @ gap / len(gap)
    got = direction.gradient["head"]
    np.testing.assert_allclose(
        np.append(np.asarray(got["kernel"])[:, 0], got["bias"]),
        start - theta,
        atol=1e-6,
    )


def test_zero_inner_steps_leave_the_prior_and_report_its_losses(world, next_key):
    store, tasks = world
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, dropout=True, batch_norm="carry")
    prior = tiny.prior_of(tiny.Normed(), next_key())
    episode = tiny.episode_of(tasks[0], 12)
    still, moved = (
        bilevel.BLG(loop, steps)(prior, episode, store, key=jax.random.key(0))
        for steps in (0, 1)
    )
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(still.gradient))
    leaves_close(still.batch_stats, prior["batch_stats"], 0)
    assert set(still.metrics) == set(moved.metrics)
    np.testing.assert_allclose(
        still.metrics["loss_support"], moved.metrics["loss_support"], rtol=1e-6
    )
    step = bilevel.MetaStep(bilevel.BLG(loop, 0), optax.sgd(0.25), SAMPLING)
    state = step.init_state(prior, key=next_key())
    after, metrics = jax.jit(step)(state, jnp.arange(4), tasks, store)
    leaves_close(after.prior, prior, 1e-7)
    assert all(np.isfinite(value) for value in metrics.values())


def test_beta_one_over_k_with_identical_users_lands_on_the_users_network(
    world, next_key
):
    store, tasks = world
    loop = InnerLoop(tiny.Line(), optimizer=SGD)
    step = bilevel.MetaStep(bilevel.BLG(loop, 3), optax.sgd(1 / 3), SAMPLING)
    state = state_of(tiny.Line(), step.optimizer, next_key())
    users = jnp.zeros(3, int)
    after, _ = jax.jit(step)(state, users, tasks, store)
    key = data_tasks.episode_key(state.key, repeat=0, user_id=tasks.user_id[0])
    episode = SAMPLING(tasks[0], key=jax.random.fold_in(key, 0))
    moved = step.outer(state.prior, episode, store, key=jax.random.fold_in(key, 1))
    expected = jax.tree.map(jnp.subtract, state.params, moved.gradient)
    leaves_close(after.params, expected, 1e-6)


@pytest.mark.parametrize(("strategy", "chunk"), [("map", 2), ("unroll", 1)])
def test_order_and_strategy_of_the_user_axis_change_nothing(
    world, next_key, strategy, chunk
):
    store, tasks = world
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm="reset")
    step = bilevel.MetaStep(bilevel.BLG(loop, 2), optax.sgd(0.25), SAMPLING)
    state = state_of(tiny.Normed(), step.optimizer, next_key())
    run = jax.jit(step)
    one, _ = run(state, jnp.arange(4), tasks, store)
    shuffled, _ = run(state, jnp.array([2, 0, 3, 1]), tasks, store)
    leaves_close(one.params, shuffled.params, 1e-6)
    other = dataclasses.replace(step, strategy=strategy, chunk=chunk)
    again, _ = jax.jit(other)(state, jnp.arange(4), tasks, store)
    leaves_close(one.params, again.params, 1e-6)


def test_carry_averages_the_users_statistics_and_reset_keeps_the_priors(
    world, next_key
):
    store, tasks = world
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm="reset")
    step = bilevel.MetaStep(bilevel.BLG(loop, 2), optax.sgd(0.25), SAMPLING)
    state = state_of(tiny.Normed(), step.optimizer, next_key())
    kept, _ = jax.jit(step)(state, jnp.arange(4), tasks, store)
    leaves_close(kept.batch_stats, state.batch_stats, 0)
    carry = dataclasses.replace(loop, batch_norm="carry")
    carrying = jax.jit(dataclasses.replace(step, outer=bilevel.BLG(carry, 2)))
    singles = [
        carrying(state, jnp.array([user]), tasks, store)[0].batch_stats
        for user in range(4)
    ]
    together, _ = carrying(state, jnp.arange(4), tasks, store)
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 4, *singles)
    leaves_close(together.batch_stats, mean, 1e-6)


def test_blg_moves_only_what_adapts_and_its_own_rates_stay(world, next_key):
    store, tasks = world
    optimizer = dataclasses.replace(SGD, learned=True)
    loop = InnerLoop(tiny.Normed(), optimizer=optimizer, adapts="head")
    prior = tiny.prior_of(tiny.Normed(), next_key())
    prior = loop.learnable(prior)
    direction = bilevel.BLG(loop, 2)(
        prior, tiny.episode_of(tasks[0], 12), store, key=jax.random.key(0)
    )
    assert jax.tree.structure(direction.gradient) == jax.tree.structure(prior["params"])
    still = {**direction.gradient, "head": {}}
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(still))
    assert np.any(direction.gradient["head"]["kernel"] != 0)


def test_blg_is_first_order(world, next_key):
    """The direction is a difference of parameters: no gradient passes through."""
    store, tasks = world
    loop = InnerLoop(tiny.Line(), optimizer=SGD)
    episode = tiny.episode_of(tasks[0], 12)
    prior = tiny.prior_of(tiny.Line(), next_key())

    def moved(scale):
        scaled = {**prior, "params": jax.tree.map(lambda p: p * scale, prior["params"])}
        direction = bilevel.BLG(loop, 2)(scaled, episode, store, key=jax.random.key(0))
        return jnp.sum(direction.gradient["head"]["kernel"])

    # First-order: theta_i = theta + (steps without derivative), so the gap has none.
    assert float(jax.grad(moved)(1.0)) == pytest.approx(0, abs=1e-6)


def test_maml_gradient_equals_the_gradient_of_the_query_loss(world, next_key):
    store, tasks = world
    loop = InnerLoop(tiny.Line(), optimizer=SGD, second_order=True)
    learner = Finetune(loop, steps=2)
    episode = tiny.episode_of(tasks[0], 12)
    prior = tiny.prior_of(tiny.Line(), next_key())

    def query_loss(params):
        shared = {**prior, "params": params}
        adapted = learner.adapt(shared, episode, store, key=jax.random.key(0))
        predicted = learner.predict(shared, adapted, episode.query, store)
        return jnp.mean((predicted - episode.query.scores) ** 2)

    direction = bilevel.MAML(learner)(prior, episode, store, key=jax.random.key(0))
    leaves_close(direction.gradient, jax.grad(query_loss)(prior["params"]), 1e-6)


def test_meta_training_lowers_the_loss_before_adaptation(world, next_key):
    store, tasks = world
    loop = InnerLoop(tiny.Line(), optimizer=SGD)
    step = bilevel.MetaStep(bilevel.BLG(loop, 3), optax.sgd(0.25), SAMPLING)
    state = state_of(tiny.Line(), step.optimizer, next_key())
    users = jnp.tile(jnp.arange(4), (30, 1))
    steps = jax.jit(bilevel.several(step))
    state, first = steps(state, users[:1], tasks, store)
    state, _ = steps(state, users, tasks, store)
    _, last = steps(state, users[:1], tasks, store)
    assert float(last["loss_support"]) < 0.5 * float(first["loss_support"])
    assert int(state.step) == 31


def test_several_iterations_in_one_dispatch_equal_one_by_one(world, next_key):
    store, tasks = world
    loop = InnerLoop(tiny.Line(), optimizer=SGD)
    step = bilevel.MetaStep(bilevel.BLG(loop, 2), optax.adam(1e-2), SAMPLING)
    start = state_of(tiny.Line(), step.optimizer, next_key())
    users = jnp.array([[0, 1], [2, 3], [1, 2]])
    together, _ = jax.jit(bilevel.several(step))(start, users, tasks, store)
    state, one = start, jax.jit(step)
    for row in users:
        state, _ = one(state, row, tasks, store)
    leaves_close(together.params, state.params, 1e-6)


@pytest.mark.parametrize("ratings", [30, 12, 9, 5])
def test_training_episodes_are_disjoint_and_sized_by_the_released_rule(
    next_key, ratings
):
    store = tiny.store_of(next_key())
    task = tiny.tasks_of(next_key(), store, users=1, ratings=ratings)[0]
    episode = jax.jit(SAMPLING)(task, key=next_key())
    support = np.asarray(episode.support.image_ids)[np.asarray(episode.support.mask)]
    query = np.asarray(episode.query.image_ids)[np.asarray(episode.query.mask)]
    num_support = 8 if ratings >= 12 else int(0.8 * ratings)
    assert len(support) == num_support
    assert len(query) == min(4, ratings - num_support)
    assert not set(support) & set(query)
    assert set(support) | set(query) <= set(np.asarray(task.image_ids).tolist())


def test_support_scores_of_the_query_level_never_reach_the_support_level(
    world, next_key
):
    store, tasks = world
    episode = tiny.episode_of(tasks[0], 12)
    hidden = jnp.full_like(episode.query.scores, 9.0)
    poisoned = dataclasses.replace(
        episode, query=dataclasses.replace(episode.query, scores=hidden)
    )
    learner = Finetune(InnerLoop(tiny.Line(), optimizer=SGD), steps=3)
    prior = tiny.prior_of(tiny.Line(), next_key())
    one, other = (
        learner.adapt(prior, e, store, key=jax.random.key(0))
        for e in (episode, poisoned)
    )
    leaves_close(one, other, 0)


def query_levels(rate):
    """A support level that moves the head and a query level that moves the rest."""
    support = InnerLoop(tiny.Normed(), optimizer=SGD, adapts="head")
    own = InnerOptimizer("sgd", ((".*", rate),))
    query = dataclasses.replace(support, adapts="(hidden|norm)/.*", optimizer=own)
    return bilevel.BLG(support, steps=2, query_loop=query)


def directions_of(outer, world, next_key):
    store, tasks = world
    prior = tiny.prior_of(tiny.Normed(), next_key())
    episode = tiny.episode_of(tasks[0], 12)
    direction = outer(prior, episode, store, key=jax.random.key(0))
    return prior, episode, direction


def test_a_query_level_of_its_own_moves_its_parameters_from_where_support_led(
    world, next_key
):
    outer = query_levels(0.05)
    prior, episode, direction = directions_of(outer, world, next_key)
    store = world[0]
    first, _ = outer.loop.run(
        prior,
        outer.loop.start(prior),
        episode.support,
        store,
        steps=2,
        key=jax.random.fold_in(jax.random.key(0), 0),
    )
    moved = jax.tree.map(jnp.subtract, prior["params"]["head"], first["params"]["head"])
    leaves_close(direction.gradient["head"], moved, 1e-6)

    def query_loss(rest):
        params = {**rest, "head": first["params"]["head"]}
        variables = {"params": params, "batch_stats": prior["batch_stats"]}
        scores = tiny.Normed().apply(variables, store.take(episode.query.image_ids))
        return jnp.mean((scores - episode.query.scores) ** 2)

    start = {name: prior["params"][name] for name in ("hidden", "norm")}
    rest = start
    for _ in range(2):
        gradient = jax.grad(query_loss)(rest)
        rest = jax.tree.map(lambda p, g: p - 0.05 * g, rest, gradient)
    expected = jax.tree.map(jnp.subtract, start, rest)
    leaves_close({n: direction.gradient[n] for n in expected}, expected, 1e-6)
    assert any(np.any(np.abs(x) > 1e-6) for x in jax.tree.leaves(expected))


def test_a_query_level_at_rate_zero_leaves_what_users_share(world, next_key):
    _, _, direction = directions_of(query_levels(0.0), world, next_key)
    for name in ("hidden", "norm"):
        assert not any(np.any(x) for x in jax.tree.leaves(direction.gradient[name]))
    assert np.any(direction.gradient["head"]["kernel"])


def test_a_query_level_like_the_support_level_is_the_slides_listing_with_sgd(
    world, next_key
):
    loop = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm="reset")
    key = next_key()
    both = (bilevel.BLG(loop, 2), bilevel.BLG(loop, 2, query_loop=loop))
    one, other = (
        directions_of(outer, world, lambda: key)[2].gradient for outer in both
    )
    leaves_close(one, other, 1e-7)


@pytest.mark.parametrize(
    "numbers",
    [{"support": 0}, {"query": 0}, {"fraction": 0.0}, {"fraction": 1.0}, {"under": 79}],
    ids=str,
)
def test_a_sampling_with_an_empty_side_is_refused(numbers):
    with pytest.raises(ValueError, match=r"expected support and query of 1 or more"):
        bilevel.Sampling(**numbers)


def test_an_update_without_statistics_leaves_the_priors(world, next_key):
    store, tasks = world

    def toward_zero(prior, episode, store, *, key):
        return bilevel.Direction(
            prior["params"], {"loss": jnp.mean(episode.query.scores)}
        )

    step = bilevel.MetaStep(toward_zero, optax.sgd(0.25), SAMPLING)
    state = state_of(tiny.Normed(), step.optimizer, next_key())
    after, metrics = jax.jit(step)(state, jnp.arange(4), tasks, store)
    leaves_close(after.params, jax.tree.map(jnp.zeros_like, state.params), 1e-6)
    leaves_close(after.batch_stats, state.batch_stats, 0)
    assert set(metrics) == {"loss"}


def test_maml_carries_statistics_where_its_loop_does(world, next_key):
    store, tasks = world
    episode = tiny.episode_of(tasks[0], 12)
    prior = tiny.prior_of(tiny.Normed(), next_key())
    for mode in ("reset", "carry"):
        loop = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm=mode)
        learner = Finetune(loop, steps=2)
        direction = bilevel.MAML(learner)(prior, episode, store, key=jax.random.key(0))
        if mode == "reset":
            assert jax.tree.leaves(direction.batch_stats) == []
        else:
            adapted = learner.adapt(prior, episode, store, key=jax.random.key(0))
            leaves_close(direction.batch_stats, adapted["batch_stats"], 1e-6)
