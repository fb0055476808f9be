"""What an inner loop keeps in memory: as the compiler counts it, and as foreseen."""

import dataclasses
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest
from meta import tiny

from jiaa.meta import bilevel, memory
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.meta.sequential import SequentialStep
from jiaa.models.backbones import resnet
from jiaa.models.convolution import Conv
from jiaa.models.generic import create_model
from jiaa.models.normalization import BatchNorm
from jiaa.models.pretrained import SPECS
from jiaa.models.views import ImageView
from jiaa.personalize import Finetune
from jiaa.types import ImageStore

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


def direction_of(outer, world):
    """(gradient of one user, its arguments)."""
    prior, tasks, store = world
    episode = tiny.episode_of(tasks[0], IMAGES)

    def gradient(prior, episode, store, key):
        return outer(prior, episode, store, key=key).gradient

    return gradient, (prior, episode, store, jax.random.key(0))


def direction_bytes(outer, world):
    gradient, arguments = direction_of(outer, world)
    return bytes_of(gradient, *arguments)


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


@pytest.mark.parametrize("mode", ["parallel", "auto", "sequential"])
def test_a_donated_state_is_used_up_and_nothing_is_compiled_twice(world, mode):
    prior, tasks, store = world
    sampling = bilevel.Sampling(support=8, query=4)
    if mode == "sequential":
        options = {"users_per_epoch": 8, "steps": 2, "refresh": 2}
        meta = SequentialStep(loop_of(), sampling=sampling, **options)
    else:
        strategy = "auto" if mode == "auto" else "vmap"
        outer = bilevel.BLG(loop_of(), 2)
        meta = bilevel.MetaStep(outer, optax.adam(1e-3), sampling, strategy=strategy)
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


def peak(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return memory.peak_bytes(jax.jit(function).trace(*arguments).jaxpr)


def test_foreseen_are_the_arrays_alive_together_worked_by_hand():
    kilo = (250,)  # 1000 bytes
    assert peak(jnp.sin, kilo) == 1000
    assert peak(lambda x: jnp.sin(jnp.cos(x)), kilo) == 1000  # written in place
    assert peak(lambda x: jnp.sin(x) * jnp.cos(x), kilo) == 2000
    assert peak(lambda x: (jnp.sin(x), jnp.cos(x)), kilo) == 2000
    # A product's 100 x 100 floats while both factors are alive, then one number.
    column = (100, 1)
    assert peak(lambda x: jnp.sum(jnp.sin(x) @ jnp.cos(x).T), column) in (
        40_000 + 800,
        40_000 + 1200,  # the turned factor apart
    )


def test_foreseen_is_a_loop_s_body_once_beside_its_results():
    def looped(x):
        def body(total, _):
            return total + jnp.sum(jnp.outer(x, x)), x

        return jax.lax.scan(body, 0.0, length=30)

    body, results = 4 * 250**2, 30 * 1000
    assert body + results <= peak(looped, (250,)) < 1.1 * (body + results)


class Small(nn.Module):
    """Two convolutions with BatchNorm, as backbones have them."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        x = x.reshape(-1, 16, 16, 3)
        for strides in ((1, 1), (2, 2)):
            x = Conv(16, (3, 3), strides=strides, padding=(1, 1))(x)
            x = BatchNorm()(x, mask=mask, batch_statistics=batch_statistics)
            x = nn.relu(x)
        return nn.Dense(1)(x.mean((1, 2)))[:, 0]


@pytest.fixture(scope="module")
def photographs(world):
    """`world`'s users on images of 16 x 16 pixels, as rows of floats."""
    _, tasks, _ = world
    store = dataclasses.replace(world[2], features=jnp.ones((400, 16 * 16 * 3)))
    variables = Small().init(jax.random.key(0), store.features[:2])
    return dict(variables), tasks, store


def set_aside(traced):
    """Bytes of temporaries and results, by the compiler."""
    analysis = traced.lower().compile().memory_analysis()
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def finetuned(loop, steps):
    return bilevel.MAML(Finetune(loop, steps))


@pytest.mark.parametrize("case", ["blg", "second order", "remat", "convolutions"])
def test_what_is_foreseen_is_within_twice_of_what_the_compiler_sets_aside(
    case, world, photographs
):
    """For real networks: the factors in the docstring of `memory`."""
    outer = {
        "blg": bilevel.BLG(loop_of(), 5),
        "second order": finetuned(loop_of(second_order=True), 4),
        "remat": finetuned(loop_of(second_order=True, remat=True), 4),
        "convolutions": bilevel.BLG(
            dataclasses.replace(loop_of(batch_norm="carry"), model=Small()), 2
        ),
    }[case]
    gradient, arguments = direction_of(
        outer, photographs if case == "convolutions" else world
    )
    traced = jax.jit(gradient).trace(*arguments)
    assert 0.5 < memory.peak_bytes(traced.jaxpr) / set_aside(traced) < 2


def test_for_a_resnet_too(monkeypatch):
    monkeypatch.setattr(resnet, "BLOCKS", (1, 1))
    model = create_model(
        backbone="resnet18",
        head="pooled",
        backbone_options={"num_classes": 1, "width": 8},
    )
    view = dataclasses.replace(
        ImageView.of(SPECS["resnet18"], size=32, augment=False), size=None
    )
    variables = jax.eval_shape(
        lambda key: model.init(key, jnp.zeros((2, 32, 32, 3))), jax.random.key(0)
    )
    store = ImageStore(images=jnp.zeros((IMAGES, 32, 32, 3), jnp.uint8))
    tasks = tiny.tasks_of(
        jax.random.key(1), tiny.store_of(jax.random.key(2), IMAGES), 1, 40
    )
    loop = dataclasses.replace(loop_of(batch_norm="reset"), model=model, view=view)

    def gradient(prior, task, store, key):
        episode = tiny.episode_of(task, 30)
        return bilevel.BLG(loop, 2)(prior, episode, store, key=key).gradient

    traced = jax.jit(gradient).trace(
        dict(variables), tasks[0], store, jax.random.key(0)
    )
    assert 0.5 < memory.peak_bytes(traced.jaxpr) / set_aside(traced) < 2.5


def test_half_of_what_is_free_on_the_device_may_be_used(monkeypatch):
    def with_stats(**stats):
        device = types.SimpleNamespace(memory_stats=lambda: stats)
        monkeypatch.setattr(jax, "local_devices", lambda: [device])
        return memory.usable_bytes()

    assert with_stats(bytes_limit=1000, bytes_in_use=200) == 400
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    # Every process has to choose the same: whatever is in use, and for hosts alike.
    memories = [(80 * 10**9, 10**9), (80 * 10**9, 3), (79.9e9, 5)]
    found = {with_stats(bytes_limit=int(a), bytes_in_use=b) for a, b in memories}
    assert len(found) == 1
    assert 34e9 < found.pop() < 40e9


def test_a_cpu_s_devices_share_what_the_host_has_free(monkeypatch):
    total, free = memory.host_bytes()
    assert 0 < free <= total
    monkeypatch.setattr(memory, "host_bytes", lambda: (1000, 800))
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert memory.usable_bytes() == 100


def test_a_meta_iteration_never_goes_back_to_the_host(world):
    """Nothing is read or sent but what the caller passes, and no callback waits."""
    prior, tasks, store = world
    meta = bilevel.MetaStep(
        bilevel.BLG(loop_of(), 2),
        optax.adam(1e-3),
        bilevel.Sampling(support=8, query=4),
        strategy="auto",
    )
    state = meta.init_state(prior, key=jax.random.key(1))
    users = jnp.arange(4).reshape(2, 2)
    traced = jax.jit(bilevel.several(meta)).trace(state, users, tasks, store)
    assert not traced.jaxpr.effects
    compiled = traced.lower().compile()
    text = compiled.as_text()
    for word in ("callback", "infeed", "outfeed", "send(", "recv("):
        assert word not in text
    with jax.transfer_guard("disallow"):
        state, _ = compiled(state, users, tasks, store)
    assert int(state.step) == 2
