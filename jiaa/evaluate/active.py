"""Curves of active learning: PAM (ICCV 2017), Figures 5b, 6 and 7.

Each user's album is rated image by image, the first ones at random, in several trials;
after each rating the model is measured on the images that are not rated. All users,
trials and rounds are one compiled call a strategy.
"""

import dataclasses
import functools
import time
import warnings
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jiaa import metrics
from jiaa.data.tasks import episode_key
from jiaa.personalize.active import ActiveLearner, Album
from jiaa.types import UserTasks


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What was measured, nothing averaged; NaN where no SROCC exists.

    Attributes:
      ratings: how many images were rated, at each point of the curves.
      values: strategy -> SROCC of the personal scores.
      generic: strategy -> SROCC of the generic scores of the same images.
      seconds: strategy -> wall time, compilation included.
    """

    ratings: Int[np.ndarray, " round"]
    values: dict[str, Float[np.ndarray, "user trial round"]]
    generic: dict[str, Float[np.ndarray, "user trial round"]]
    seconds: dict[str, float]

    def mean(self, strategy: str, *, gain: bool = False) -> np.ndarray:
        """Mean over users of their mean over trials, at each number of ratings."""
        return _mean(_mean(self._of(strategy, gain), 1), 0)

    def band(self, strategy: str, *, gain: bool = False) -> np.ndarray:
        """Standard deviation over trials of the mean over users."""
        return _over(np.nanstd, _mean(self._of(strategy, gain), 0), 0)

    def ratings_to_reach(self, strategy: str, level: float) -> int | None:
        """The least number of ratings whose mean reaches `level`; None if none does."""
        reached = np.flatnonzero(self.mean(strategy) >= level)
        return int(self.ratings[reached[0]]) if len(reached) else None

    def difference(self, strategy: str, other: str) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over trials of the users' mean difference."""
        each = _mean(self.values[strategy] - self.values[other], 0)
        return _mean(each, 0), _over(np.nanstd, each, 0)

    def _of(self, strategy, gain):
        values = self.values[strategy]
        return values - self.generic[strategy] if gain else values


def _mean(values: Float[np.ndarray, "*axes"], axis: int) -> np.ndarray:
    return _over(np.nanmean, values, axis)


def _over(statistic, values: Float[np.ndarray, "*axes"], axis: int) -> np.ndarray:
    """A statistic of what exists; NaN where nothing does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return statistic(values, axis=axis)


def active_curves(
    learners: Mapping[str, ActiveLearner],
    albums: Album,
    tasks: UserTasks,
    *,
    first: int = 10,
    last: int = 100,
    trials: int = 10,
    held_out: int = 0,
    together: int = 8,
    key: Key[Array, ""],
) -> Curves:
    """Measures each strategy on all users x trials.

    The first images are the same for all strategies.

    Args:
      learners: the strategies' names in the result, and what learns with them.
      albums: of all users, along the ratings of `tasks`: image i of user u's album is
        the one of their rating i.
      tasks: the users and their answers.
      first: how many images are drawn at random before the strategy begins, in place
        of the learners' own.
      last: how many are rated at the end.
      trials: with other first images each.
      held_out: how many images of each album, drawn in each trial, are never asked
        about and are what the model is measured on; 0 measures on all that are not
        rated yet, as an album's owner would.
      together: users at once.
      key: first images follow from it, the trial and the user id.

    Raises:
      ValueError: more ratings are asked for than users have images.
    """
    least = int(np.asarray(tasks.mask).sum(axis=1).min())
    if not 1 <= first < last or last + max(held_out, 2) > least:
        raise ValueError(
            f"first={first}, last={last}, held_out={held_out}; expected 1 <= first < "
            f"last, and two images left to measure on of {least}, the smallest album's"
        )
    values, generic, seconds = {}, {}, {}
    for name, learner in learners.items():
        started = time.perf_counter()
        measured = _measure(
            (albums, tasks.user_id, tasks.image_ids, tasks.scores),
            key,
            learner=dataclasses.replace(learner, first=first),
            counts=(first, last, trials, held_out, together),
        )
        for target, (value, defined) in zip((values, generic), measured, strict=True):
            target[name] = np.where(np.asarray(defined), np.asarray(value), np.nan)
        seconds[name] = time.perf_counter() - started
    return Curves(np.arange(first, last + 1), values, generic, seconds)


@functools.partial(jax.jit, static_argnames=("learner", "counts"))
def _measure(users, key, *, learner, counts):
    first, last, trials, held_out, together = counts

    def one_user(user):
        album, user_id, image_ids, scores = user
        fixed = _above(album.generic), _above(jnp.where(album.mask, scores, 0.0))

        def trial(number):
            drawn = episode_key(key, repeat=number, user_id=user_id)
            order = _order(image_ids, album.mask, key=jax.random.fold_in(drawn, 0))
            count = jnp.sum(album.mask)
            kept = album.mask & (order >= count - held_out)
            asked = dataclasses.replace(album, mask=album.mask & ~kept)
            state = learner.begin(asked, key=jax.random.fold_in(drawn, 1))
            rated = order < first
            state = dataclasses.replace(
                state, rated=rated, scores=jnp.where(rated, scores, 0.0)
            )
            state = learner.learn(asked, state)

            def measure(state):
                on = kept if held_out else asked.mask & ~state.rated
                personal = learner.predict(asked, state)
                return _scores(personal, fixed, on)

            def advance(state, _):
                return learner.round(asked, state, scores=scores), measure(state)

            state, curve = jax.lax.scan(advance, state, length=last - first)
            return jax.tree.map(
                lambda row, point: jnp.concatenate([row, point[None]]),
                curve,
                measure(state),
            )

        return jax.vmap(trial)(jnp.arange(trials))

    return jax.lax.map(one_user, users, batch_size=together)


def _order(
    image_ids: Int[Array, " image"], mask: Bool[Array, " image"], *, key
) -> Int[Array, " image"]:
    """Each image's place in a random order of the real ones; padding comes last."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, image_ids)
    draws = jnp.where(mask, jax.vmap(jax.random.uniform)(keys), jnp.inf)
    return jnp.argsort(jnp.argsort(draws))


def _above(values: Float[Array, " image"]) -> Float[Array, "image image"]:
    """1 where the row's value is greater than the column's, 1/2 where they tie.

    Its product with a mask gives average ranks, less 1/2: many masks cost less than
    many sorts do.
    """
    rows, columns = values[:, None], values[None]
    return jnp.where(rows > columns, 1.0, jnp.where(rows == columns, 0.5, 0.0))


def _scores(personal, fixed, on):
    """SROCC of personal and of generic scores, on the images `on`.

    `fixed` is `_above` of the generic scores and of the user's own.
    """
    real = on.astype(personal.dtype)
    generic, own, ranks = (above @ real for above in (*fixed, _above(personal)))
    return tuple(metrics.pearson(each, own, on) for each in (ranks, generic))
