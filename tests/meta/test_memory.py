"""What an inner loop keeps in memory, as the compiler counts it."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest
from meta import tiny

from jiaa.meta import bilevel
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.personalize import Finetune

IMAGES, WIDTH = 200, 32
ACTIVATIONS = 4 * IMAGES * WIDTH  # bytes of one layer's


class Wide(nn.Module):
    """Few parameters beside the activations, as convolutions have."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        for _ in range(2):
            x = nn.relu(nn.Dense(WIDTH)(x))
        return nn.Dense(1)(x)[:, 0]


@pytest.fixture(scope="module")
def world():
    keys = jax.random.split(jax.random.key(0), 3)
    store = tiny.store_of(keys[0], images=400)
    tasks = tiny.tasks_of(keys[1], store, users=8, ratings=IMAGES + 100)
    return tiny.prior_of(Wide(), keys[2]), tasks, store


def loop_of(**options):
    return InnerLoop(
        Wide(), optimizer=InnerOptimizer("sgd", ((".*", 0.01),)), **options
    )


def bytes_of(function, *args):
    """Memory of the compiled program beyond its arguments and results."""
    compiled = jax.jit(function).lower(*args).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def direction_bytes(outer, world):
    prior, tasks, store = world
    episode = tiny.episode_of(tasks[0], IMAGES)

    def gradient(prior, episode, store, key):
        return outer(prior, episode, store, key=key).gradient

    return bytes_of(gradient, prior, episode, store, jax.random.key(0))


@pytest.mark.parametrize(
    "make",
    [bilevel.BLG, lambda loop, steps: bilevel.MAML(Finetune(loop, steps))],
    ids=["blg", "maml"],
)
def test_first_order_memory_does_not_grow_with_the_inner_steps(make, world):
    few, many = (direction_bytes(make(loop_of(), steps), world) for steps in (2, 32))
    assert many < few + 0.1 * ACTIVATIONS


def test_second_order_keeps_activations_of_every_step_unless_rematerialised(world):
    def growth(**options):
        loop = loop_of(second_order=True, **options)
        few, many = (
            direction_bytes(bilevel.MAML(Finetune(loop, steps)), world)
            for steps in (2, 10)
        )
        return (many - few) / 8

    kept, remat = growth(), growth(remat=True)
    assert kept > 2 * ACTIVATIONS
    assert remat < 0.5 * ACTIVATIONS


def test_a_mapped_meta_iteration_does_not_grow_with_the_users(world):
    prior, tasks, store = world
    tasks = jax.tree.map(lambda x: x[:, :40] if x.ndim > 1 else x, tasks)
    step = bilevel.MetaStep(
        bilevel.BLG(loop_of(batch_norm="carry"), 2),
        optax.sgd(0.1),
        bilevel.Sampling(support=20, query=10),
        strategy="map",
    )
    state = step.init_state(prior, key=jax.random.key(1))
    few, many = (
        bytes_of(step, state, jnp.arange(users) % 8, tasks, store) for users in (2, 64)
    )
    network = sum(x.nbytes for x in jax.tree.leaves(prior["params"]))
    # Users' ratings are gathered, which is little; nobody's network is kept.
    assert many - few < 62 * network / 4


def test_a_donated_state_is_used_up_and_nothing_is_compiled_twice(world):
    prior, tasks, store = world
    meta = bilevel.MetaStep(
        bilevel.BLG(loop_of(), 2),
        optax.adam(1e-3),
        bilevel.Sampling(support=8, query=4),
    )
    first = state = meta.init_state(prior, key=jax.random.key(1))
    run = jax.jit(bilevel.several(meta), donate_argnums=0)
    for start in range(3):
        users = jnp.arange(4).reshape(2, 2) + start
        state, _ = run(state, users, tasks, store)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.params))
    assert run._cache_size() == 1
    assert int(state.step) == 6
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(prior))


def test_dtype_of_the_network_is_what_is_computed_in_and_params_stay_float32(world):
    """A direction in bfloat16 is nearly the exact one, and is itself float32."""

    class Half(Wide):
        @nn.compact
        def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
            for _ in range(2):
                x = nn.relu(nn.Dense(WIDTH, dtype=jnp.bfloat16)(x))
            return nn.Dense(1, dtype=jnp.bfloat16)(x)[:, 0].astype(jnp.float32)

    prior, tasks, store = world
    loop = loop_of()
    half = dataclasses.replace(loop, model=Half())
    episode = tiny.episode_of(tasks[0], IMAGES)
    exact, rough = (
        bilevel.BLG(x, 3)(prior, episode, store, key=jax.random.key(0))
        for x in (loop, half)
    )
    assert {x.dtype for x in jax.tree.leaves(rough)} == {jnp.dtype("float32")}
    gap = optax.tree.norm(optax.tree.sub(exact.gradient, rough.gradient))
    assert 0 < float(gap) < 0.05 * float(optax.tree.norm(exact.gradient))
