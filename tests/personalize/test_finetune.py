"""Fine-tuning keeps the contract in every BatchNorm mode and with every part."""

import jax
import pytest
from contracts import check_personalizer
from meta import tiny

from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.personalize import Finetune

ADAM = InnerOptimizer("adam", ((".*", 1e-2),))


@pytest.fixture
def world(next_key):
    store = tiny.store_of(next_key())
    task = tiny.tasks_of(next_key(), store)[0]
    return tiny.prior_of(tiny.Normed(), next_key()), tiny.episode_of(task, 9), store


@pytest.mark.parametrize(
    "options",
    [
        {"batch_norm": "frozen"},
        {"batch_norm": "reset", "adapts": "head"},
        {"batch_norm": "carry", "adapts": "batch_norm"},
        {"batch_norm": "reset", "loss": "rank"},
    ],
    ids=str,
)
def test_finetune_keeps_the_contract(world, options):
    method = Finetune(InnerLoop(tiny.Normed(), optimizer=ADAM, **options), steps=3)
    check_personalizer(method, *world, jax.random.key(0))


def test_more_steps_fit_the_support_better(world):
    prior, episode, store = world

    def error(steps):
        method = Finetune(InnerLoop(tiny.Normed(), optimizer=ADAM), steps=steps)
        adapted = jax.jit(method.adapt)(prior, episode, store, key=jax.random.key(0))
        predicted = method.predict(prior, adapted, episode.support, store)
        return float(((predicted - episode.support.scores) ** 2).mean())

    assert error(30) < error(5) < error(0)
