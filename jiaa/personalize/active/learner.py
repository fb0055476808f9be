"""Algorithm 1 of PAM (ICCV 2017), for any strategy, in a protocol or with a live rater.

Both ways of running it are made of the same pure functions of one user: `choose` an
image, then `tell` what the user said of it. `round` is the two in turn.
"""

import dataclasses
import functools
import operator
from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jiaa.personalize import nu_svr
from jiaa.personalize.active.album import Album, State
from jiaa.personalize.active.strategies import STRATEGIES


@dataclasses.dataclass(frozen=True)
class ActiveLearner:
    """nu-SVR of a user's offsets, and a strategy that picks what to ask next.

    Attributes:
      strategy: a name of `STRATEGIES`.
      first: how many images are asked about at random before the strategy begins, at
        least 1 (Algorithm 1, line 2). Eq. 5 says nothing of a single rating.
      c: upper bound C of a coefficient, as in libsvm; above 0.
      nu: share of support vectors, in (0, 1].
      gap: the duality gap to stop at; above 0.

    Raises:
      ValueError: an unknown strategy (lists the known ones), or a setting out of range.
    """

    strategy: str = "active_pam"
    first: int = 10
    c: float = 1.0
    nu: float = 0.5
    gap: float = 1e-4

    def __post_init__(self):
        """Refuses what there is not, and what the solver cannot take."""
        if self.strategy not in STRATEGIES:
            raise ValueError(
                f"unknown strategy {self.strategy!r}; known: {sorted(STRATEGIES)}"
            )
        if self.first < 1:
            raise ValueError(f"first={self.first}; expected 1 random image or more")
        if not (self.c > 0 and 0 < self.nu <= 1 and self.gap > 0):
            raise ValueError(
                f"c={self.c}, nu={self.nu}, gap={self.gap}; expected c and gap above "
                "0, and nu in (0, 1]"
            )

    def begin(self, album: Album, *, key: Key[Array, ""]) -> State:
        """The state of a user who has rated nothing."""
        zeros = jnp.zeros_like(album.generic)
        return State(zeros, zeros > 0, zeros, zeros, key)

    def choose(self, album: Album, state: State) -> Int[Array, ""]:
        """The image to ask about: the unrated one of the highest score.

        Any unrated one until `first` are rated. With all rated, the answer is one of
        them.
        """
        key = jax.random.fold_in(state.key, jnp.sum(state.rated))
        fit = functools.partial(self._fit, album, state)
        scores = STRATEGIES[self.strategy](album, state, fit=fit, key=key)
        draws = STRATEGIES["random"](album, state, fit=fit, key=key)
        scores = jnp.where(jnp.sum(state.rated) < self.first, draws, scores)
        open_ = album.mask & ~state.rated
        return jnp.argmax(jnp.where(open_, scores, -jnp.inf))

    def tell(
        self,
        album: Album,
        state: State,
        *,
        image: Int[Array, ""],
        unit_score: Float[Array, ""],
    ) -> State:
        """The state after the user's rating of one image; a second one replaces it."""
        scores = state.scores.at[image].set(unit_score)
        rated = state.rated.at[image].set(True)
        return self.learn(album, dataclasses.replace(state, scores=scores, rated=rated))

    def learn(self, album: Album, state: State) -> State:
        """The state with the machine of its ratings, begun at the one it had."""
        found = self._fit(album, state, start=state.coefficients)
        offsets = album.kernel.kernel @ found.coefficients + found.offset
        return dataclasses.replace(
            state, coefficients=found.coefficients, offsets=offsets
        )

    def round(
        self, album: Album, state: State, *, scores: Float[Array, " image"]
    ) -> State:
        """One turn of Algorithm 1, where the user's answers `scores` are known."""
        image = self.choose(album, state)
        return self.tell(album, state, image=image, unit_score=scores[image])

    def predict(self, album: Album, state: State) -> Float[Array, " image"]:
        """Unit scores of all images."""
        return album.generic + state.offsets

    def _fit(self, album: Album, state: State, **options) -> nu_svr.SupportVectors:
        return nu_svr.fit_nu_svr(
            album.kernel,
            state.scores - album.generic,
            mask=state.rated,
            c=self.c,
            nu=self.nu,
            gap=self.gap,
            **options,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class LiveRater:
    """An album and a learner for a user who answers: stars in, images out.

    Attributes:
      learner: fits and chooses.
      album: of the user's images; padding is never asked about.
      low: the worst rating, in stars.
      high: the best rating, in stars; a unit score of 1.

    Raises:
      ValueError: `low` and `high` are no scale, or an image's features or generic score
        are not finite; says which.
    """

    learner: ActiveLearner
    album: Album
    low: float = 1.0
    high: float = 5.0

    def __post_init__(self):
        """Refuses what would turn into NaN after the first answer."""
        if not 0 <= self.low < self.high < float("inf"):
            raise ValueError(
                f"low={self.low}, high={self.high}; expected 0 <= low < high, in stars"
            )
        kernel, distances = self.album.kernel.kernel, self.album.distances
        finite = jnp.isfinite(self.album.generic + jnp.diagonal(distances))
        if jnp.all(finite):  # one image's features spoil the whole kernel's width
            finite = jnp.isfinite(jnp.diagonal(kernel))
        wrong = jnp.flatnonzero(~finite).tolist()
        if wrong:
            raise ValueError(
                f"images {wrong[:5]} of the album ({len(wrong)} in all) have features "
                "or a generic score that are not finite; leave these images out"
            )

    def begin(self, *, key: Key[Array, ""]) -> State:
        """Before any rating."""
        return self.learner.begin(self.album, key=key)

    def next_images(
        self, state: State, n: int, *, without: Collection[int] = ()
    ) -> Int[Array, " next"]:
        """The `n` images to ask about, best first; fewer if fewer are left.

        Each is chosen as if the ones before it had been rated as they are predicted.
        Images of `without` are not asked about.

        Raises:
          ValueError: `n` is below 1.
        """
        n = operator.index(n)
        if n < 1:
            raise ValueError(f"next_images of n={n}; expected 1 or more")
        left_out = np.zeros(self.album.mask.shape, bool)
        left_out[list(without)] = True
        album = dataclasses.replace(self.album, mask=self.album.mask & ~left_out)
        n = min(n, int(jnp.sum(album.mask & ~state.rated)))
        return _chosen(self.learner, album, state, n=n)

    def tell(self, state: State, image: int, stars: float | int) -> State:
        """The state after the user gave an image that many stars.

        Raises:
          TypeError: `image` is no whole number.
          IndexError: there is no such image in the album.
          ValueError: stars that are not between `low` and `high`.
        """
        image = operator.index(image)
        if not 0 <= image < len(self.album.mask) or not self.album.mask[image]:
            count = int(jnp.sum(self.album.mask))
            raise IndexError(f"image {image} of an album of {count}")
        if not self.low <= stars <= self.high:
            raise ValueError(f"stars={stars}; expected {self.low} to {self.high}")
        return _told(
            self.learner,
            self.album,
            state,
            jnp.int32(image),
            jnp.float32(stars / self.high),
        )

    def predict(self, state: State) -> Float[Array, " image"]:
        """Unit scores of all images."""
        return self.learner.predict(self.album, state)


@functools.partial(jax.jit, static_argnums=0)
def _told(learner, album, state, image, unit_score):
    return learner.tell(album, state, image=image, unit_score=unit_score)


@functools.partial(jax.jit, static_argnums=0, static_argnames="n")
def _chosen(learner, album, state, *, n):
    def pick(state, _):
        image = learner.choose(album, state)
        believed = learner.predict(album, state)[image]
        return dataclasses.replace(
            state,
            scores=state.scores.at[image].set(believed),
            rated=state.rated.at[image].set(True),
        ), image

    return jax.lax.scan(pick, state, length=n)[1]
