"""One call measures all users x repeats, and any part of it alone gives the same."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from meta import tiny

from jiaa.data import tasks as data_tasks
from jiaa.evaluate import personalization
from jiaa.evaluate.personalization import _measure
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.personalize import Finetune
from jiaa.types import ImageStore, UserTasks

SHOTS = (3, 10)
KEY = jax.random.key(11)
METHOD = Finetune(
    InnerLoop(
        tiny.Normed(),
        optimizer=InnerOptimizer("sgd", ((".*", 0.1),)),
        batch_norm="reset",
        batch_size=8,
    ),
    steps=4,
)


def make_world():
    """Prior, a store and five users with 12 to 20 ratings, padded; stars as scores."""
    keys = jax.random.split(jax.random.key(0), 3)
    store = tiny.store_of(keys[0])
    tasks = tiny.tasks_of(keys[1], store, users=5)
    mask = jnp.arange(20)[None] < jnp.array([20, 12, 15, 20, 13])[:, None]
    scores = jnp.where(mask, jnp.round(tasks.scores * 5) / 5, 0.0)
    tasks = dataclasses.replace(
        tasks,
        image_ids=jnp.where(mask, tasks.image_ids, 0),
        scores=scores.at[2].set(jnp.where(mask[2], 0.6, 0)),
        mask=mask,
    )
    return tiny.prior_of(tiny.Normed(), keys[2]), tasks, store


@pytest.fixture(scope="module")
def world():
    return make_world()


def measure(world, **changes):
    prior, tasks, store = world
    options = {
        "shots": SHOTS,
        "repeats": 4,
        "keep_scores": True,
        "progress": False,
        "key": KEY,
        **changes,
    }
    tasks = options.pop("tasks", tasks)
    store = options.pop("store", store)
    return personalization(METHOD, prior, tasks, store, **options)


@pytest.fixture(scope="module")
def whole(world):
    return measure(world)


def assert_same(one, other):
    for shots in one.scores:
        np.testing.assert_allclose(one.scores[shots], other.scores[shots], atol=1e-5)
    for name, values in one.values.items():
        np.testing.assert_allclose(values, other.values[name], atol=1e-5)


def test_every_number_equals_a_loop_over_users_with_scipy(world, whole):
    prior, tasks, store = world

    @jax.jit
    def adapt(episode, key):
        return METHOD.adapt(prior, episode, store, key=key)

    @jax.jit
    def predict(state, query):
        return METHOD.predict(prior, state, query, store)

    for s, shots in enumerate(SHOTS):
        for user in (0, 1):
            for repeat in range(2):
                key = data_tasks.episode_key(
                    KEY, repeat=repeat, user_id=tasks.user_id[user]
                )
                episode = data_tasks.sample_episode(
                    tasks[user], shots=shots, key=jax.random.fold_in(key, 0)
                )
                adapted = adapt(episode, jax.random.fold_in(key, 1))
                real = np.asarray(episode.query.mask)
                for name, state in (
                    ("srocc", adapted),
                    ("generic_srocc", METHOD.init(prior)),
                ):
                    scores = predict(state, episode.query)
                    expected = scipy.stats.spearmanr(
                        np.asarray(scores)[real], np.asarray(episode.query.scores)[real]
                    ).statistic
                    got = whole.values[name][s, user, repeat]
                    assert got == pytest.approx(expected, abs=1e-5)


def test_a_user_alone_gives_the_same_numbers(world, whole):
    _, tasks, _ = world
    alone = measure(world, tasks=tasks[3:4])
    np.testing.assert_allclose(alone.scores[10][0], whole.scores[10][3], atol=1e-5)
    np.testing.assert_allclose(
        alone.values["srocc"][:, 0], whole.values["srocc"][:, 3], atol=1e-5
    )


def test_a_repeat_alone_gives_the_same_numbers(world, whole):
    alone = measure(world, repeats=[2])
    assert alone.repeat.tolist() == [2]
    np.testing.assert_allclose(alone.scores[3][:, 0], whole.scores[3][:, 2], atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk": 2},
        {"chunk": 1},
        {"strategy": "map"},
        {"memory_limit": 60_000},
        {"strategy": "auto"},
        {"strategy": "auto", "chunk": 3, "memory_limit": 60_000},
    ],
    ids=str,
)
def test_chunks_and_strategies_change_nothing(world, whole, changes):
    assert_same(whole, measure(world, **changes))


def test_a_store_on_the_host_changes_nothing(world, whole):
    _, _, store = world
    host = ImageStore(features=np.asarray(store.features))
    assert_same(whole, measure(world, store=host, chunk=2))


def test_a_longer_rating_axis_changes_no_metric(world, whole):
    _, tasks, _ = world
    longer = UserTasks(
        tasks.user_id,
        *(
            jnp.pad(leaf, ((0, 0), (0, 6)))
            for leaf in (tasks.image_ids, tasks.scores, tasks.mask)
        ),
    )
    padded = measure(world, tasks=longer)
    for name, values in whole.values.items():
        np.testing.assert_allclose(values, padded.values[name], atol=1e-5)


def test_a_constant_user_has_no_srocc_and_still_has_an_rmse(whole):
    assert np.all(np.isnan(whole.values["srocc"][:, 2]))
    assert np.all(np.isfinite(whole.values["rmse"][:, 2]))
    assert np.all(np.isfinite(whole.values["srocc"][0][[0, 1, 3, 4]]))


def test_a_second_call_compiles_nothing(world, whole):
    before = _measure._cache_size()
    measure(world)
    assert _measure._cache_size() == before


def test_too_few_ratings_name_user_number_and_remedy(world):
    _, tasks, _ = world
    with pytest.raises(ValueError, match=r"user ann rated 12 images; shots=12 needs"):
        measure(world, shots=(12,), names={int(tasks.user_id[1]): "ann"})


DEVICES = """
import sys
sys.path[:0] = sys.argv[2:]
import jax, numpy as np
from evaluate import test_personalization as here
from jiaa.train.mesh import user_mesh
assert len(jax.devices()) == 8
results = here.measure(here.make_world(), mesh=user_mesh())
np.savez(sys.argv[1], **results.values, scores=results.scores[10])
"""


def test_eight_fake_devices_give_the_numbers_of_one(world, whole, tmp_path):
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "devices.py"
    script.write_text(DEVICES)
    out = tmp_path / "eight.npz"
    eight = "--xla_force_host_platform_device_count=8"
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {eight}",
        "JAX_PLATFORMS": "cpu",
    }
    subprocess.run(
        [sys.executable, script, out, root, root / "tests"],
        env=environment,
        check=True,
        timeout=300,
    )
    with np.load(out) as eight:
        np.testing.assert_allclose(eight["scores"], whole.scores[10], atol=1e-5)
        for name, values in whole.values.items():
            np.testing.assert_allclose(eight[name], values, atol=1e-5)
