import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa.train.state import create_train_state, first_bad_leaf


def make(variables=None):
    variables = variables or {
        "params": {"head": {"kernel": jnp.ones((2, 1))}},
        "batch_stats": {"bn": {"mean": jnp.zeros(2)}},
    }
    return create_train_state(
        variables, optimizer=optax.adam(1e-3), key=jax.random.key(0)
    )


def test_a_new_state_is_at_step_zero_with_the_optimizers_own_state():
    state = make()
    assert int(state.step) == 0
    expected = optax.adam(1e-3).init(state.params)
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(expected)


def test_a_model_without_batch_norm_has_empty_statistics():
    assert make({"params": {"kernel": jnp.ones(2)}}).batch_stats == {}


def test_donating_the_state_leaves_the_variables_alone():
    variables = {"params": {"kernel": jnp.ones(2)}, "batch_stats": {}}
    state = make(variables)
    jax.jit(lambda s: jax.tree.map(jnp.copy, s), donate_argnums=0)(state)
    np.testing.assert_array_equal(variables["params"]["kernel"], 1.0)


def test_a_collection_that_would_be_lost_is_an_error():
    with pytest.raises(ValueError, match=r"\['cache', 'params'\].*'batch_stats'"):
        make({"params": {}, "cache": {}})
    with pytest.raises(ValueError, match="expected 'params'"):
        make({"batch_stats": {}})


def test_a_bad_leaf_is_found_by_its_path():
    state = make()
    assert first_bad_leaf(state) is None
    kernel = jnp.array([[1.0], [jnp.inf]])
    params = {"head": {"kernel": kernel}}
    assert first_bad_leaf(state.replace(params=params)) == "params/head/kernel"
    stats = {"bn": {"mean": jnp.array([0.0, jnp.nan])}}
    assert first_bad_leaf(state.replace(batch_stats=stats)) == "batch_stats/bn/mean"


def test_an_optimizer_may_hold_infinities_but_no_nan():
    best_so_far = {"best": jnp.array(jnp.inf), "count": jnp.array(3)}
    assert first_bad_leaf(make().replace(opt_state=best_so_far)) is None
    moment = {"mu": jnp.array(jnp.nan)}
    assert first_bad_leaf(make().replace(opt_state=moment)) == "opt_state/mu"


def test_a_states_prior_is_what_a_new_state_is_made_of():
    state = make()
    again = create_train_state(
        state.prior, optimizer=optax.adam(1e-3), key=jax.random.key(0)
    )
    assert jax.tree.structure(again) == jax.tree.structure(state)
    assert state.prior["params"] is state.params
    assert state.prior["batch_stats"] is state.batch_stats
