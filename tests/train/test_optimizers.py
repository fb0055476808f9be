import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa.train import optimizers
from jiaa.train.optimizers import by_path

PARAMS = {
    "backbone": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "head": {"Dense_0": {"kernel": jnp.ones((2, 1))}},
}
ONES = jax.tree.map(jnp.ones_like, PARAMS)


def updates_of(optimizer, gradient=ONES):
    return optimizer.update(gradient, optimizer.init(PARAMS), PARAMS)[0]


def test_each_group_moves_at_its_own_rate():
    tx = by_path({"head": 0.1}, default=0.01, make=optimizers.sgd)
    updates = updates_of(tx)
    np.testing.assert_allclose(updates["head"]["Dense_0"]["kernel"], -0.1)
    np.testing.assert_allclose(updates["backbone"]["kernel"], -0.01)


def test_the_first_of_two_matching_groups_wins():
    groups = {"backbone/bias": 1.0, "backbone/.*": 2.0}
    updates = updates_of(by_path(groups, default=3.0, make=optimizers.sgd))
    np.testing.assert_allclose(updates["backbone"]["bias"], -1.0)
    np.testing.assert_allclose(updates["backbone"]["kernel"], -2.0)
    np.testing.assert_allclose(updates["head"]["Dense_0"]["kernel"], -3.0)


def test_frozen_groups_neither_move_nor_keep_optimizer_state():
    tx = by_path({"head": 1e-3}, default=None)
    moments = [x for x in jax.tree.leaves(tx.init(PARAMS)) if x.ndim]
    assert sorted(x.shape for x in moments) == [(2, 1), (2, 1)]
    assert not np.any(updates_of(tx)["backbone"]["kernel"])


def test_groups_of_adam_equal_adam_on_each_group_alone():
    tx = by_path({"head": 1e-2}, default=optimizers.adam(1e-3, weight_decay=0.1))
    alone = optimizers.adam(1e-3, weight_decay=0.1)
    backbone = PARAMS["backbone"]
    expected, _ = alone.update(ONES["backbone"], alone.init(backbone), backbone)
    jax.tree.map(np.testing.assert_array_equal, updates_of(tx)["backbone"], expected)


def test_a_group_that_names_no_parameter_is_an_error_that_lists_the_paths():
    with pytest.raises(
        ValueError, match=r"'haed/.*'.*backbone/bias.*head/Dense_0/kern"
    ):
        by_path({"haed/.*": 1e-3}, default=1e-4).init(PARAMS)


@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        (
            optimizers.sgd(0.1, momentum=0.9, weight_decay=0.05),
            "SGD",
            {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05},
        ),
        (
            optimizers.sgd(0.1, momentum=0.9, nesterov=True),
            "SGD",
            {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        ),
        (
            optimizers.adam(0.1, weight_decay=0.05),
            "Adam",
            {"lr": 0.1, "weight_decay": 0.05},
        ),
        (
            optimizers.adamw(0.1, weight_decay=0.05),
            "AdamW",
            {"lr": 0.1, "weight_decay": 0.05},
        ),
    ],
)
def test_optimizers_follow_torch_step_by_step(ours, name, options, rng):
    torch = pytest.importorskip("torch")
    start = rng.normal(size=5).astype(np.float32)
    theirs = torch.nn.Parameter(torch.tensor(start))
    reference = getattr(torch.optim, name)([theirs], **options)
    params = jnp.asarray(start)
    state = ours.init(params)
    for gradient in rng.normal(size=(6, 5)).astype(np.float32):
        theirs.grad = torch.tensor(gradient)
        reference.step()
        updates, state = ours.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params, theirs.detach().numpy(), atol=1e-5)


def test_exponential_epochs_multiply_once_an_epoch():
    rate = optimizers.schedule("exponential_epochs", 1e-4, steps_per_epoch=10)
    rates = [float(rate(step)) for step in (0, 9, 10, 25)]
    np.testing.assert_allclose(rates, [1e-4, 1e-4, 0.9e-4, 0.81e-4], rtol=1e-6)


def test_compounding_epochs_replay_the_released_program():
    rate = optimizers.schedule("compounding_epochs", 1.0, steps_per_epoch=3)
    released = 1.0
    for epoch in range(8):
        released *= 0.9**epoch
        np.testing.assert_allclose(rate(3 * epoch + 2), released, rtol=1e-5)


def test_cosine_warms_up_and_ends_at_its_final_rate():
    rate = optimizers.schedule("cosine", 2.0, steps=110, warmup_steps=10, final=0.5)
    rates = [float(rate(step)) for step in (0, 5, 10, 60, 110, 200)]
    np.testing.assert_allclose(rates, [0.0, 1.0, 2.0, 1.25, 0.5, 0.5], atol=1e-6)
    assert float(optimizers.cosine(2.0, steps=10)(0)) == 2.0
    with pytest.raises(ValueError, match="warmup_steps=10 of steps=10"):
        optimizers.cosine(2.0, steps=10, warmup_steps=10)


def test_schedules_run_inside_jit_as_rates_of_groups():
    rate = optimizers.exponential_epochs(1.0, steps_per_epoch=1, decay=0.5)
    tx = by_path({"head": rate}, default=None, make=optimizers.sgd)
    state = tx.init(PARAMS)
    moved = []
    for _ in range(3):
        updates, state = jax.jit(tx.update)(ONES, state, PARAMS)
        moved.append(float(updates["head"]["Dense_0"]["kernel"][0, 0]))
    assert moved == [-1.0, -0.5, -0.25]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'adan'.*adam.*sgd"):
        optimizers.optimizer("adan", 1e-3)
    with pytest.raises(ValueError, match=r"'staircase'.*constant.*cosine.*linear"):
        optimizers.schedule("staircase", 1e-3)
    assert float(optimizers.schedule("constant", 0.5)(7)) == 0.5
    assert isinstance(
        optimizers.optimizer("sgd", 1e-3, momentum=0.9), optax.GradientTransformation
    )


def test_linear_falls_in_a_straight_line_to_zero_and_stays():
    rate = optimizers.schedule("linear", 2.0, steps=10)
    rates = [float(rate(step)) for step in (0, 5, 10, 15)]
    np.testing.assert_allclose(rates, [2.0, 1.0, 0.0, 0.0])


def test_pull_adds_nothing_at_the_start_and_then_the_way_back_to_it():
    tx = optimizers.pull_to_start([("head/.*", 0.5)])
    state = tx.init(PARAMS)
    at_start, state = tx.update(ONES, state, PARAMS)
    jax.tree.map(np.testing.assert_array_equal, at_start, ONES)
    moved = jax.tree.map(lambda x: x + 3.0, PARAMS)
    pulled, _ = jax.jit(tx.update)(ONES, state, moved)
    np.testing.assert_allclose(pulled["head"]["Dense_0"]["kernel"], 1 + 0.5 * 3)
    np.testing.assert_array_equal(pulled["backbone"]["kernel"], 1.0)


def test_descent_with_a_pull_converges_between_target_and_start():
    # |p - 4|^2 / 2 + 3 |p - 0|^2 / 2 is least at 1.
    tx = optax.chain(optimizers.pull_to_start([(".*", 3.0)]), optax.sgd(0.1))
    params = {"p": jnp.zeros(())}
    state = tx.init(params)
    for _ in range(60):
        updates, state = tx.update({"p": params["p"] - 4.0}, state, params)
        params = optax.apply_updates(params, updates)
    assert float(params["p"]) == pytest.approx(1.0, abs=1e-4)


def test_the_start_of_a_pull_survives_donated_parameters():
    tx = optimizers.pull_to_start([(".*", 1.0)])
    params = {"p": jnp.ones(3)}
    state = tx.init(params)
    jax.jit(lambda p: jax.tree.map(lambda x: x + 1, p), donate_argnums=0)(params)
    np.testing.assert_array_equal(jax.tree.leaves(state)[0], 1.0)


def test_a_pull_needs_params_and_patterns_that_name_some():
    tx = optimizers.pull_to_start([("head/.*", 0.5)])
    with pytest.raises(ValueError, match="needs params"):
        tx.update(ONES, tx.init(PARAMS))
    with pytest.raises(ValueError, match=r"'haed/.*'.*head/Dense_0/kernel"):
        optimizers.pull_to_start([("haed/.*", 0.5)]).init(PARAMS)


def test_a_pull_keeps_the_start_of_what_it_names_and_nothing_else():
    tx = optimizers.pull_to_start([("head/.*", 0.5), ("backbone/bias", 0.0)])
    kept = jax.tree.leaves(tx.init(PARAMS))
    assert [x.shape for x in kept] == [(2, 1)]
    nothing = optimizers.pull_to_start(())
    assert jax.tree.leaves(nothing.init(PARAMS)) == []
    jax.tree.map(np.testing.assert_array_equal, updates_of(nothing), ONES)
