"""The checks of test_mesh.py that need eight devices; run as a process of its own."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hlo import collectives, collectives_in_loops
from meta import tiny

from jiaa.evaluate.personalization import _measure
from jiaa.meta import bilevel
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.metrics import rmse
from jiaa.personalize import Finetune
from jiaa.train.mesh import replicate, user_mesh

jax.config.update("jax_numpy_rank_promotion", "raise")
SGD = InnerOptimizer("sgd", ((".*", 0.1),))
LOOP = InnerLoop(tiny.Normed(), optimizer=SGD, batch_norm="carry", dropout=True)
MESHES = {
    "users": user_mesh(),
    "users x data": user_mesh(data=2),
    "three of them": user_mesh(jax.devices()[:3]),
    "somebody's": jax.make_mesh((2, 4), ("host", "chip")),
}
KEY = jax.random.key(3)


def world():
    keys = jax.random.split(jax.random.key(0), 3)
    store = tiny.store_of(keys[0])
    return (
        tiny.prior_of(tiny.Normed(), keys[2]),
        tiny.tasks_of(keys[1], store, 8),
        store,
    )


def step_of(outer, **options):
    sampling = bilevel.Sampling(support=8, query=4)
    return bilevel.MetaStep(outer, optax.adam(1e-2), sampling, **options)


def close(one, other, atol=2e-6):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), one, other
    )


def after(step, users, *, iterations=2):
    """(prior and metrics after that many iterations, the program's text)."""
    prior, tasks, store = world()
    state = step.init_state(prior, key=KEY)
    tasks, store = replicate((tasks, store), step.mesh)
    run = jax.jit(step).lower(state, users, tasks, store).compile()
    for _ in range(iterations):
        # A compiled program refuses a state that lies elsewhere than the first one.
        state, metrics = run(state, users, tasks, store)
    return (state.prior, metrics), run.as_text()


def check_meta_steps():
    """Any mesh, any number of users: one device's numbers and one all-reduce."""
    second_order = dataclasses.replace(LOOP, second_order=True)
    outers = {
        "blg": bilevel.BLG(LOOP, 2),
        "maml": bilevel.MAML(Finetune(second_order, 2)),
    }
    cases = [
        ("blg", "users", 8, {"strategy": "auto"}),
        ("blg", "users x data", 8, {"strategy": "map"}),
        ("blg", "three of them", 8, {"strategy": "map", "chunk": 2}),
        ("maml", "somebody's", 5, {"strategy": "unroll"}),
    ]
    alone = {}
    for name, mesh, count, options in cases:
        users = jnp.arange(count)
        if (name, count) not in alone:
            alone[name, count], text = after(step_of(outers[name]), users)
            assert collectives(text) == []
        meta = step_of(outers[name], mesh=MESHES[mesh], **options)
        got, text = after(meta, users)
        close(got, alone[name, count])
        assert collectives(text) == ["all-reduce"], (name, mesh, collectives(text))
        assert collectives_in_loops(text) == []


def check_auto_counts_the_users_of_one_device():
    """Eight users on three devices: three each, of whom one is padding."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("jiaa.meta.task_axis")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    options = {"strategy": "auto", "mesh": MESHES["three of them"]}
    step = step_of(bilevel.BLG(LOOP, 2), **options)
    prior, tasks, store = world()
    state = step.init_state(prior, key=KEY)
    jax.jit(step).trace(state, jnp.arange(8), *replicate((tasks, store), step.mesh))
    assert len(said) == 1, said
    assert "vmap, 3 of 3 users at once" in said[0]


def check_the_search_itself():
    """A sum over the devices within a loop is found."""

    def talking(x):
        def step(total, _):
            return jax.lax.psum(total + x, "user") / 8, None

        return jax.lax.scan(step, x, length=3)[0]

    spec = jax.sharding.PartitionSpec("user")
    options = {"mesh": user_mesh(), "in_specs": spec, "out_specs": spec}
    run = jax.shard_map(talking, check_vma=False, **options)
    text = jax.jit(run).lower(jnp.arange(8.0)).compile().as_text()
    assert collectives_in_loops(text) == ["all-reduce"]


def check_evaluation():
    """Users who learn beside each other never talk."""
    prior, tasks, store = world()
    shared = {
        "personalizer": Finetune(dataclasses.replace(LOOP, batch_norm="reset"), 3),
        "shots": 5,
        "metrics": (("rmse", rmse),),
        "strategy": "vmap",
        "inner_chunk": 1,
        "keep_scores": True,
    }
    arguments = (prior, jnp.arange(2), KEY, tasks, store, jnp.arange(len(store)))
    alone = _measure(*arguments, mesh=None, **shared)
    for mesh in ("users x data", "somebody's"):
        options = {"mesh": MESHES[mesh], **shared}
        run = _measure.lower(*arguments, **options).compile()
        close(run(*arguments), alone, atol=1e-5)
        assert collectives(run.as_text()) == []


if __name__ == "__main__":
    check_the_search_itself()
    check_auto_counts_the_users_of_one_device()
    check_meta_steps()
    check_evaluation()
    print("all well")
