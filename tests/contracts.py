"""What every member of a family must do, whatever its method."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.types import Episode, Examples, ImageStore, Personalizer

PADDING = 3


def _with_scores(examples: Examples, scores: Any) -> Examples:
    return dataclasses.replace(examples, scores=jnp.asarray(scores, jnp.float32))


def _padded(examples: Examples, *, rows: int, image_id: int) -> Examples:
    """`examples` and `rows` more that are masked: any image, NaN for a score."""

    def extend(array, filling):
        array = jnp.asarray(array)
        rest = jnp.full((rows, *array.shape[1:]), filling, array.dtype)
        return jnp.concatenate([array, rest])

    return Examples(
        image_ids=extend(examples.image_ids, image_id),
        scores=extend(examples.scores, jnp.nan),
        mask=extend(examples.mask, False),
        side=jax.tree.map(lambda x: extend(x, 0), examples.side),
    )


def _reordered(examples: Examples) -> Examples:
    return jax.tree.map(lambda x: jnp.asarray(x)[::-1], examples)


def _users(episode: Episode) -> Episode:
    """Three users made from one: their own scores, reversed ones, and mirrored ones."""
    support = episode.support
    reverse = _with_scores(support, jnp.asarray(support.scores)[::-1])
    mirror = _with_scores(support, 1.0 - jnp.asarray(support.scores))
    users = [
        dataclasses.replace(
            episode, user_id=jnp.asarray(episode.user_id) + number, support=examples
        )
        for number, examples in enumerate((support, reverse, mirror))
    ]
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(v) for v in x]), *users)


def _structure(tree: Any) -> Any:
    """Structure, shapes and dtypes, comparable by ==."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(x), jnp.result_type(x)) for x in leaves]


def _run(personalizer, prior, episode, store, *, key):
    adapted = personalizer.adapt(prior, episode, store, key=key)
    return personalizer.predict(prior, adapted, episode.query, store)


_run_jit = jax.jit(_run, static_argnums=0)


@functools.partial(jax.jit, static_argnums=0)
def _run_users(personalizer, prior, users, store, *, key):
    run = functools.partial(_run, personalizer, key=key)
    return jax.vmap(run, in_axes=(None, 0, None))(prior, users, store)


def check_static(personalizer: Personalizer) -> None:
    """A frozen dataclass, equal to and hashed as its copy, so that jit caches by it."""
    assert dataclasses.is_dataclass(personalizer)
    assert not isinstance(personalizer, type)
    copy = dataclasses.replace(personalizer)
    assert copy == personalizer
    assert hash(copy) == hash(personalizer)
    field = dataclasses.fields(personalizer)[0].name if copy.__dict__ else "anything"
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(copy, field, None)


def check_personalizer(
    personalizer: Personalizer,
    prior: Any,
    episode: Episode,
    store: ImageStore,
    key: Any,
    *,
    generic: Any = None,
    empty_is_generic: bool = False,
    order_free: bool = False,
    atol: float = 1e-5,
) -> None:
    """All that `evaluate.personalization` and the rating page rely on.

    Args:
      personalizer: the method under test.
      prior: what all users share.
      episode: one user's (no leading user axis), with at least two support ratings.
      store: holds the episode's images.
      key: a PRNG key.
      generic: the scores that predicting after `init` must give, where the test knows
        them from elsewhere.
      empty_is_generic: whether a user without ratings must keep the generic scores;
        they must be finite in any case.
      order_free: whether the method promises not to depend on the support's order.
      atol: tolerance in unit scores between two ways of computing the same thing.
    """
    check_static(personalizer)
    check = _Check(personalizer, prior, store, key, atol)
    check.learnable(episode)
    check.outcome(episode, generic=generic)
    check.ways_of_running(episode)
    check.blindness(episode)
    check.padding(episode)
    check.empty(episode, must_be_generic=empty_is_generic)
    check.order(episode, support_too=order_free)


@dataclasses.dataclass(frozen=True)
class _Check:
    """The parts of the contract, for one method and prior."""

    personalizer: Personalizer
    prior: Any
    store: ImageStore
    key: Any
    atol: float

    def scores(self, episode: Episode) -> np.ndarray:
        """Query scores after adapting, through jit."""
        return np.asarray(
            _run_jit(self.personalizer, self.prior, episode, self.store, key=self.key)
        )

    def eager(self, episode: Episode) -> np.ndarray:
        """Query scores after adapting, operation by operation."""
        return np.asarray(
            _run(self.personalizer, self.prior, episode, self.store, key=self.key)
        )

    def generic(self, query: Examples) -> np.ndarray:
        """Query scores before adapting."""
        start = self.personalizer.init(self.prior)
        return np.asarray(
            self.personalizer.predict(self.prior, start, query, self.store)
        )

    def same(self, got: Any, expected: Any, what: str) -> None:
        """Fail with `what` unless the unit scores agree to `atol`."""
        np.testing.assert_allclose(got, expected, rtol=0, atol=self.atol, err_msg=what)

    def learnable(self, episode: Episode) -> None:
        """Meta-parameters are added once, and leave the generic scores as they were."""
        once = self.personalizer.learnable(self.prior)
        twice = self.personalizer.learnable(once)
        assert _structure(twice) == _structure(once), "learnable twice adds more"
        method, start = self.personalizer, self.personalizer.init(once)
        got = method.predict(once, start, episode.query, self.store)
        self.same(got, self.generic(episode.query), "learnable changed the scores")

    def outcome(self, episode: Episode, *, generic: Any) -> None:
        """Finite scores of the query's shape; a state of the shape that init gives."""
        query = episode.query.image_ids.shape
        start = self.personalizer.init(self.prior)
        adapted = self.personalizer.adapt(self.prior, episode, self.store, key=self.key)
        assert _structure(adapted) == _structure(start), (
            "adapt changed the state's form"
        )
        for scores in (self.scores(episode), self.generic(episode.query)):
            assert scores.shape == query
            assert np.isfinite(scores).all()
        if generic is not None:
            self.same(self.generic(episode.query), generic, "generic scores")

    def ways_of_running(self, episode: Episode) -> None:
        """Twice, eagerly, and batched over users: always the same answer."""
        once = self.scores(episode)
        np.testing.assert_array_equal(self.scores(episode), once, "same key")
        self.same(self.eager(episode), once, "jit against eager")
        users = _users(episode)
        together = _run_users(
            self.personalizer, self.prior, users, self.store, key=self.key
        )
        one_by_one = (jax.tree.map(lambda x, i=i: x[i], users) for i in range(3))
        alone = [self.scores(user) for user in one_by_one]
        self.same(together, np.stack(alone), "vmap over users against one by one")

    def blindness(self, episode: Episode) -> None:
        """Query scores are for the metrics alone: poisoned, they change nothing."""
        poison = jnp.full(episode.query.scores.shape, jnp.nan)
        query = _with_scores(episode.query, poison)
        blind = self.scores(dataclasses.replace(episode, query=query))
        np.testing.assert_array_equal(blind, self.scores(episode), "read query scores")

    def padding(self, episode: Episode) -> None:
        """Masked rows change nothing, whatever image they name."""
        expected = self.scores(episode)
        for image_id in (0, len(self.store) - 1):
            support = _padded(episode.support, rows=PADDING, image_id=image_id)
            padded = dataclasses.replace(episode, support=support)
            what = "masked support rows changed the scores"
            self.same(self.scores(padded), expected, what)
            query = _padded(episode.query, rows=PADDING, image_id=image_id)
            got = self.scores(dataclasses.replace(episode, query=query))
            self.same(got[:-PADDING], expected, "masked query rows changed the scores")
        # Compiled, mask * NaN may be 0: XLA turns it into a select. Eager, it is NaN.
        self.same(self.eager(padded), expected, what)

    def empty(self, episode: Episode, *, must_be_generic: bool) -> None:
        """A user who has rated nothing gets finite scores."""
        nothing = jnp.zeros(episode.support.mask.shape, bool)
        support = dataclasses.replace(episode.support, mask=nothing)
        got = self.scores(dataclasses.replace(episode, support=support))
        assert np.isfinite(got).all(), "no ratings: the scores are not finite"
        if must_be_generic:
            self.same(got, self.generic(episode.query), "no ratings: not generic")

    def order(self, episode: Episode, *, support_too: bool) -> None:
        """An image's score does not depend on the query images beside it."""
        expected = self.scores(episode)
        backwards = dataclasses.replace(episode, query=_reordered(episode.query))
        self.same(self.scores(backwards)[::-1], expected, "query order")
        first = jax.tree.map(lambda x: x[:1], episode.query)
        alone = self.scores(dataclasses.replace(episode, query=first))
        self.same(alone, expected[:1], "a query image alone")
        if support_too:
            backwards = dataclasses.replace(
                episode, support=_reordered(episode.support)
            )
            self.same(self.scores(backwards), expected, "support order")
