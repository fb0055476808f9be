"""Joint and alternating steps against the equations, worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa import losses
from jiaa.train import optimizers
from jiaa.train.multitask import (
    Labelled,
    MultiTaskStep,
    Source,
    Term,
    source_optimizers,
)
from jiaa.types import ImageStore

SOURCES = (
    Source("aesthetics", (Term("aesthetics", "score", losses.euclidean),)),
    Source("second", (Term("traits", "target", losses.euclidean, 2.0),)),
)


def apply(variables, inputs, *, tasks, mutable, **options):
    """Outputs w_shared * w_task * x; statistics count the images that were seen."""
    params, stats = variables["params"], variables["batch_stats"]
    names = {"aesthetics": "branches_aesthetics", "traits": "branches_traits"}
    shared = params["backbone"]["w"] * inputs
    outputs = {name: params[names[name]]["w"] * shared for name in tasks}
    return outputs, {"batch_stats": {"seen": stats["seen"] + inputs.shape[0]}}


def variables():
    tree = {"backbone": 2.0, "branches_aesthetics": 3.0, "branches_traits": 0.5}
    params = {name: {"w": jnp.float32(x)} for name, x in tree.items()}
    return {"params": params, "batch_stats": {"seen": jnp.float32(0)}}


def prepare(content, *, key):
    del key
    return content


def batch():
    """x = 1, s = 4; x = 2, t = (1, 3)."""
    return {
        "aesthetics": {"images": jnp.array([[1.0]]), "score": jnp.array([[4.0]])},
        "second": {
            "images": jnp.array([[2.0, 2.0]]),
            "target": jnp.array([[1.0, 3.0]]),
        },
    }


def step_of(sources, mode, make=optimizers.sgd, rate=0.01):
    rates = {".*": rate}
    txs = source_optimizers(sources, rates, make=make, mode=mode)
    return MultiTaskStep(apply, prepare, sources, txs, mode)


def weights(state):
    return [float(state.params[x]["w"]) for x in sorted(state.params)]


def run(step, times=1):
    state = step.init_state(variables(), key=jax.random.key(0))
    for _ in range(times):
        state, metrics = step(state, batch())
    return state, metrics


def test_a_joint_step_goes_down_the_sum_of_both_losses():
    # y = 6: L_a = (6 - 4)^2 = 4; p = (2, 2): L_p = mean(1, 1) = 1, gamma 2: L = 6.
    # d/d shared: 2 * 2 * 3 = 12, and gamma * mean(2 * (1, -1) * 1) = 0.
    # d/d aesthetics: 2 * 2 * 2 = 8; d/d traits: gamma * mean((2, -2) * 4) = 0.
    state, metrics = run(step_of(SOURCES, "joint"))
    np.testing.assert_allclose(weights(state), [2 - 0.12, 3 - 0.08, 0.5], rtol=1e-6)
    assert float(metrics["loss"]) == pytest.approx(6.0)
    assert float(metrics["loss_second_traits"]) == pytest.approx(2.0)
    assert int(state.step) == 1
    assert float(state.batch_stats["seen"]) == 2


def test_alternating_takes_the_second_step_from_where_the_first_led():
    # First as above: shared 1.88, aesthetics 2.92. Then p = .5 * 1.88 * 2 = 1.88:
    # gaps (.88, -1.12), d/d traits = 2 * mean(2 * gap * 3.76) = -1.8048,
    # d/d shared = 2 * mean(2 * gap * 1) = -.48.
    state, _ = run(step_of(SOURCES, "alternating"))
    expected = [1.88 + 0.0048, 2.92, 0.5 + 0.018048]
    np.testing.assert_allclose(weights(state), expected, rtol=1e-6)


def test_an_alternating_step_moves_no_other_branch_by_momentum_or_decay():
    def make(rate):
        return optimizers.sgd(rate, momentum=0.9, weight_decay=0.1)

    txs = source_optimizers(SOURCES, {".*": 0.01}, make=make, mode="alternating")
    params = variables()["params"]
    gradient = jax.tree.map(jnp.ones_like, params)
    updates, _ = txs["aesthetics"].update(
        gradient, txs["aesthetics"].init(params), params
    )
    assert float(updates["branches_traits"]["w"]) == 0
    assert float(updates["backbone"]["w"]) == pytest.approx(-0.01 * (1 + 0.2))


def test_pdmtls_rates_fall_by_a_tenth_each_epoch():
    # Shared 1e-5, branches 1e-4 (x100 here), x0.9 each epoch of one step; no momentum.
    def scheduled(rate):
        return optimizers.exponential_epochs(rate, steps_per_epoch=1)

    rates = {"backbone/.*": scheduled(1e-3), ".*": scheduled(1e-2)}
    txs = source_optimizers(SOURCES[:1], rates, make=optimizers.sgd)
    params = variables()["params"]
    state, gradient = txs["joint"].init(params), jax.tree.map(jnp.ones_like, params)
    for _ in range(3):
        updates, state = txs["joint"].update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    total = 1 + 0.9 + 0.81
    assert float(params["backbone"]["w"]) == pytest.approx(2 - 1e-3 * total)
    assert float(params["branches_aesthetics"]["w"]) == pytest.approx(3 - 1e-2 * total)


def test_rows_of_resident_data_are_the_batches_of_a_loader():
    step = step_of(SOURCES, "joint")
    data = {
        name: Labelled(
            jnp.array([1]),
            {k: x for k, x in part.items() if k != "images"},
            ImageStore(features=jnp.concatenate([part["images"] * 9, part["images"]])),
        )
        for name, part in batch().items()
    }
    start = step.init_state(variables(), key=jax.random.key(0))
    rows = {name: jnp.array([0]) for name in data}
    state, _ = step(start, rows, data)
    assert weights(state) == weights(run(step)[0])
    with pytest.raises(ValueError, match="holds rows only"):
        step(start, rows)
    with pytest.raises(ValueError, match=r"labels \[\], not \['score'\]"):
        step(start, {**batch(), "aesthetics": {"images": jnp.ones((1, 1))}})


def test_unknown_modes_and_missing_optimizers_are_refused():
    with pytest.raises(ValueError, match="mode is 'both'"):
        MultiTaskStep(apply, prepare, SOURCES, {}, "both")
    with pytest.raises(
        ValueError, match=r"expected exactly \['aesthetics', 'second'\]"
    ):
        MultiTaskStep(apply, prepare, SOURCES, {}, "alternating")
