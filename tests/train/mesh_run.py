"""The checks of test_mesh.py that need eight devices; run as a process of its own."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hlo import collectives
from meta import tiny

from jiaa import losses
from jiaa.models.views import FeatureView
from jiaa.train.mesh import (
    pad_users,
    replicate,
    shard_user_sum,
    shard_users,
    user_mesh,
)
from jiaa.train.multitask import (
    Labelled,
    MultiTaskStep,
    Source,
    Term,
    source_optimizers,
)
from jiaa.train.state import create_train_state
from jiaa.train.steps import CrowdScores, train_step

jax.config.update("jax_numpy_rank_promotion", "raise")
OPTIMIZER = optax.adam(1e-1)
COMPILED = []  # an entry for every program that XLA compiles
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **__: COMPILED.append(event) if "backend_compile" in event else 0
)


def adapt(params, inputs, targets, key):
    """One user's inner loop: Adam steps with dropout, and the sum of its losses."""

    def step(carry, index):
        params, opt_state, total = carry

        def loss(params):
            hidden = jax.nn.relu(inputs @ params["hidden"])
            keep = jax.random.bernoulli(jax.random.fold_in(key, index), 0.5)
            hidden = jnp.where(keep, hidden, 0.5 * hidden)
            return jnp.mean((hidden @ params["out"] - targets) ** 2)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = OPTIMIZER.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state, total + value), None

    start = (params, OPTIMIZER.init(params), jnp.zeros(()))
    (params, _, total), _ = jax.lax.scan(step, start, jnp.arange(3))
    return params, total


def outer(params, inputs, targets, key, *, real):
    """The sum over users of how far each moved."""
    adapted, _ = jax.vmap(adapt, (None, 0, 0, None))(params, inputs, targets, key)

    def moved(start, end):
        mask = real.reshape(-1, *([1] * start.ndim))
        return jnp.sum(jnp.where(mask, start[None] - end, 0.0), axis=0)

    return jax.tree.map(moved, params, adapted)


def compiled(function, args):
    """(results, number of collectives in the program)."""
    program = jax.jit(function).lower(*args).compile()
    return program(*args), len(collectives(program.as_text()))


def assert_close(got, expected, *, tolerance):
    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

    jax.tree.map(close, got, expected)


def check_eight_devices():
    """Eight devices against one, for sixteen users and for thirteen of them."""
    key = jax.random.key(0)
    params = {
        "hidden": jax.random.normal(key, (6, 8)),
        "out": jax.random.normal(key, (8,)),
    }
    inputs, targets = (jax.random.normal(key, (16, 5, *n)) for n in ((6,), ()))
    mesh = user_mesh()
    assert dict(mesh.shape) == {"user": 8, "data": 1}
    every = jax.vmap(adapt, (None, 0, 0, None))
    alone, _ = compiled(every, (params, inputs, targets, key))
    sharded = shard_users(every, mesh, user_args=[1, 2])
    summed = shard_user_sum(outer, mesh, user_args=[1, 2])
    for users in (16, 13):
        args = (params, inputs[:users], targets[:users], key)
        expected = jax.tree.map(lambda x, users=users: x[:users], alone)
        got, talks = compiled(sharded, args)
        assert_close(got, expected, tolerance=1e-6)
        total, talks_of_sum = compiled(summed, args)
        moved = jax.tree.map(lambda p, q: np.sum(p[None] - q, 0), params, expected[0])
        assert_close(total, moved, tolerance=1e-5)
        assert talks_of_sum == 1
        # Cutting thirteen users out of sixteen moves some between devices, at the end.
        if users == 16:
            assert talks == 0


def check_gradient_through_the_devices():
    """An outer gradient may also go through a sharded function (MAML)."""
    key = jax.random.key(0)
    params = {"hidden": jnp.ones((6, 8)), "out": jax.random.normal(key, (8,))}
    inputs, targets = jax.random.normal(key, (16, 5, 6)), jnp.ones((16, 5))

    def one(params, inputs, targets):
        return jnp.mean((jax.nn.relu(inputs @ params["hidden"]) @ params["out"]) ** 2)

    every = jax.vmap(one, (None, 0, 0))
    sharded = shard_users(every, user_mesh(), user_args=[1, 2])
    got, expected = (
        jax.jit(jax.grad(lambda p, f=f: jnp.mean(f(p, inputs, targets))))(params)
        for f in (sharded, every)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected
    )


def check_two_by_four():
    """Some of the devices on two axes, and somebody else's mesh with explicit axes."""
    mesh = user_mesh(jax.devices()[:4], data=2)
    assert dict(mesh.shape) == {"user": 2, "data": 2}
    double = shard_users(lambda x: 2 * x, mesh, user_args=[0])
    np.testing.assert_array_equal(double(jnp.arange(3)), [0, 2, 4])
    padded, real = pad_users(jnp.arange(3), multiple=mesh.size)
    np.testing.assert_array_equal(padded, [0, 1, 2, 2])
    np.testing.assert_array_equal(real, [True, True, True, False])
    explicit = jax.make_mesh((2, 4), ("host", "chip"))
    double = shard_users(lambda x: 2 * x, explicit, user_args=[0])
    np.testing.assert_array_equal(double(jnp.arange(11)), 2 * np.arange(11))


def check_generic_steps():
    """A batch over the devices: BatchNorm, dropout and loss are those of all images."""
    store = tiny.store_of(jax.random.key(0))
    prior = tiny.prior_of(tiny.Normed(), jax.random.key(1))
    crowd = CrowdScores(jnp.arange(40), jnp.linspace(0.2, 1, 40), 1.0 + jnp.arange(40))

    def after(mesh, *, images=16):
        state = create_train_state(prior, optimizer=OPTIMIZER, key=jax.random.key(2))
        placed = replicate({"crowd": crowd, "store": store}, mesh)
        step = functools.partial(
            train_step,
            apply=tiny.Normed().apply,
            prepare=FeatureView().learning,
            loss=losses.squared_error,
            optimizer=OPTIMIZER,
            mesh=mesh,
            **placed,
        )
        state = replicate(state, mesh)
        for batch in (np.arange(images) + start for start in range(3)):
            state, metrics = step(state, batch)
            programs.append(len(COMPILED))
        return state.prior, metrics

    programs = []
    alone = after(None)
    for mesh in (user_mesh(data=2), jax.make_mesh((4, 2), ("host", "chip"))):
        programs = []
        assert_close(after(mesh), alone, tolerance=2e-6)
        assert programs[0] == programs[1] == programs[2]
    with pytest.raises(ValueError, match=r"12 images .* 8 devices.*2 x 8 = 16"):
        after(user_mesh(), images=12)


def check_joint_steps():
    """Every task's batch over the devices: BatchNorm and ranks are of whole batches."""
    store = tiny.store_of(jax.random.key(0))
    prior = tiny.prior_of(tiny.Normed(), jax.random.key(1))

    def apply(variables, inputs, *, tasks, **options):
        scores, changed = tiny.Normed().apply(variables, inputs, **options)
        return {name: scores[:, None] for name in tasks}, changed

    def ranked(predicted, target):
        return losses.margin_rank(predicted[:, 0], target[:, 0], margin=0.5)

    terms = [Term("score", "target", loss) for loss in (losses.euclidean, ranked)]
    sources = Source("aesthetics", tuple(terms)), Source("second", (terms[0],))
    optimizers = source_optimizers(sources, {".*": 0.1}, make=optax.sgd)
    labels = {"target": jnp.linspace(0.2, 1, 40)[:, None]}
    data = {
        source.name: Labelled(jnp.roll(jnp.arange(40), number), labels, store)
        for number, source in enumerate(sources)
    }

    def after(mesh):
        prepare = FeatureView().learning
        step = MultiTaskStep(apply, prepare, sources, optimizers, mesh=mesh)
        run, placed = jax.jit(step, donate_argnums=0), replicate(data, mesh)
        state = replicate(step.init_state(prior, key=jax.random.key(2)), mesh)
        programs = []
        for rows in (np.arange(16) + start for start in range(3)):
            state, metrics = run(state, dict.fromkeys(data, rows), placed)
            programs.append(len(COMPILED))
        assert programs[0] == programs[1] == programs[2]
        return state.prior, metrics

    assert_close(after(user_mesh()), after(None), tolerance=2e-6)


if __name__ == "__main__":
    check_generic_steps()
    check_joint_steps()
    check_eight_devices()
    check_gradient_through_the_devices()
    check_two_by_four()
    print("all well")
