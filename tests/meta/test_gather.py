"""Gathered ahead, episodes show the images that they draw on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from meta import tiny

from jiaa.data import loader
from jiaa.meta import bilevel, gather
from jiaa.types import ImageStore

SAMPLING = bilevel.Sampling(support=4, query=2)
KEY = jax.random.key(5)
OPTIONS = {"users_per_step": 2, "steps_per_batch": 2, "seed": 1, "key": KEY}


@pytest.fixture
def world(next_key, rng):
    """40 images of one pixel, whose red value is their number; 5 users of 20."""
    images = rng.integers(0, 256, (40, 1, 1, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(40)
    tasks = tiny.tasks_of(next_key(), tiny.store_of(next_key()), users=5)
    return ImageStore(images=images), jax.tree.map(np.asarray, tasks)


def mean_red(prior, episode, store, *, key):
    """An outer update that tells which images it saw, in which order."""
    reds = store.take(episode.support.image_ids)[:, 0, 0, 0].astype(jnp.float32)
    draw = jax.random.uniform(key)
    value = jnp.sum(reds * (1 + jnp.arange(reds.shape[0]))) + draw
    return bilevel.Direction({"w": value * jnp.ones(1)}, {"loss": value})


def feed_of(world, **changes):
    store, tasks = world
    return gather.gathered_batches(
        tasks, store, sampling=SAMPLING, **{**OPTIONS, **changes}
    )


def test_steps_on_gathered_images_are_those_on_the_whole_store(world):
    store, tasks = world
    step = bilevel.MetaStep(mean_red, optax.sgd(0.1), sampling=SAMPLING)
    several = jax.jit(bilevel.several(step))
    whole = gathered = step.init_state(
        {"params": {"w": jnp.zeros(1)}, "batch_stats": {}}, key=KEY
    )
    feed = feed_of(world)
    rows = loader.index_batches(5, batch_size=4, seed=1)
    for _ in range(3):
        batch = next(feed)
        np.testing.assert_array_equal(batch["users"], next(rows))
        users = jnp.asarray(batch["users"]).reshape(2, 2)
        whole, seen = several(whole, users, tasks, store)
        gathered, seen_gathered = several(gathered, users, tasks, batch["store"])
        np.testing.assert_array_equal(seen["loss"], seen_gathered["loss"])
    np.testing.assert_array_equal(whole.params["w"], gathered.params["w"])


def test_batches_are_of_one_shape_and_hold_no_more_than_the_episodes(world):
    batches = [next(feed) for feed in [feed_of(world)] for _ in range(4)]
    shapes = {str(jax.tree.map(np.shape, batch)) for batch in batches}
    assert len(shapes) == 1
    for batch in batches:
        ids, images = batch["store"].image_ids, batch["store"].images
        assert len(ids) == 4 * 6  # users x ratings of an episode: fewer than 40 images
        real = ids < 40
        np.testing.assert_array_equal(images[real, 0, 0, 0], ids[real])
        np.testing.assert_array_equal(images[~real], 0)


def test_a_position_gives_the_episodes_of_its_iterations(world):
    feed = feed_of(world)
    for _ in range(3):
        expected = next(feed)
    resumed = feed_of(world, threads=0)
    resumed.set_state({"next_index": 2})
    jax.tree.map(np.testing.assert_array_equal, next(resumed), expected)


def test_several_processes_are_refused(world, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"by 2 processes; expected one process"):
        feed_of(world)
