"""The contract accepts a sound method and catches each way of being unsound."""

import dataclasses

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.types import Episode, Examples, ImageStore


@dataclasses.dataclass(frozen=True)
class Shift:
    """Adds the user's mean residual to the prior's linear score; `flaw` breaks it."""

    flaw: str = ""

    def learnable(self, prior):
        return prior + 1 if self.flaw == "changes the prior" else prior

    def init(self, prior):
        return jnp.zeros(())

    def adapt(self, prior, episode, store, *, key):
        support = episode.support
        residual = support.scores - store.take(support.image_ids) @ prior
        if self.flaw == "mask times NaN":
            total = jnp.sum(support.mask.astype(float) * residual)
        else:
            total = jnp.sum(jnp.where(support.mask, residual, 0.0))
        count = jnp.sum(support.mask)
        if self.flaw == "counts padding":
            count = support.mask.size
        if self.flaw != "divides by zero":
            count = jnp.maximum(count, 1)
        shift = total / count
        if self.flaw == "reads the query":
            shift = shift + 0.01 * jnp.mean(episode.query.scores)
        if self.flaw == "keeps the user axis":
            shift = shift[None]
        return shift

    def predict(self, prior, adapted, query, store):
        scores = store.take(query.image_ids) @ prior + adapted
        if self.flaw == "query statistics":
            scores = scores - jnp.mean(scores)
        return scores


@dataclasses.dataclass(frozen=True)
class Unhashable(Shift):
    rates: list = dataclasses.field(default_factory=list)


@pytest.fixture
def case(rng):
    store = ImageStore(features=jnp.asarray(rng.normal(size=(12, 4)), jnp.float32))

    def examples(ids):
        return Examples(
            image_ids=jnp.asarray(ids),
            scores=jnp.asarray(rng.uniform(size=len(ids)), jnp.float32),
            mask=jnp.ones(len(ids), bool),
        )

    episode = Episode(jnp.asarray(7), examples(range(5)), examples(range(5, 12)))
    prior = jnp.asarray(rng.normal(size=4), jnp.float32)
    return prior, episode, store, jax.random.key(0)


def test_a_sound_method_passes(case):
    prior, _, store, _ = case
    generic = np.asarray(store.features)[5:] @ np.asarray(prior)
    contracts.check_personalizer(
        Shift(), *case, generic=generic, empty_is_generic=True, order_free=True
    )


@pytest.mark.parametrize(
    "flaw",
    [
        "mask times NaN",
        "counts padding",
        "divides by zero",
        "reads the query",
        "keeps the user axis",
        "query statistics",
        "changes the prior",
    ],
)
def test_each_flaw_is_caught(case, flaw):
    with pytest.raises(AssertionError):
        contracts.check_personalizer(Shift(flaw), *case)


def test_a_method_that_jit_cannot_cache_is_caught(case):
    with pytest.raises(TypeError, match="unhashable"):
        contracts.check_personalizer(Unhashable(), *case)
