"""Algorithm 1 of PAM (ICCV 2017), for any strategy, in a protocol or with a live rater.

Both ways of running it are made of the same pure functions of one user: `choose` an
image, then `tell` what the user said of it. `round` is the two in turn.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jiaa.personalize import nu_svr
from jiaa.personalize.active.album import Album, State
from jiaa.personalize.active.strategies import STRATEGIES


@dataclasses.dataclass(frozen=True)
class ActiveLearner:
    """nu-SVR of a user's offsets, and a strategy that picks what to ask next.

    Attributes:
      strategy: a name of `STRATEGIES`.
      c: upper bound C of a coefficient, as in libsvm.
      nu: share of support vectors, in (0, 1].
      gap: the duality gap to stop at.

    Raises:
      ValueError: an unknown strategy; lists the known ones.
    """

    strategy: str = "active_pam"
    c: float = 1.0
    nu: float = 0.5
    gap: float = 1e-4

    def __post_init__(self):
        """Refuses a strategy that there is not."""
        if self.strategy not in STRATEGIES:
            raise ValueError(
                f"unknown strategy {self.strategy!r}; known: {sorted(STRATEGIES)}"
            )

    def begin(self, album: Album, *, key: Key[Array, ""]) -> State:
        """The state of a user who has rated nothing."""
        zeros = jnp.zeros_like(album.generic)
        return State(zeros, zeros > 0, zeros, zeros, key)

    def choose(self, album: Album, state: State) -> Int[Array, ""]:
        """The image to ask about: the unrated one of the highest score.

        Before any rating there is nothing to compare with: any image. With all rated,
        the answer is one of them.
        """
        key = jax.random.fold_in(state.key, jnp.sum(state.rated))
        fit = functools.partial(self._fit, album, state)
        scores = STRATEGIES[self.strategy](album, state, fit=fit, key=key)
        first = STRATEGIES["random"](album, state, fit=fit, key=key)
        scores = jnp.where(jnp.any(state.rated), scores, first)
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
      album: of the user's images, none of them padding.
      high: the best rating, in stars.
    """

    learner: ActiveLearner
    album: Album
    high: float = 5.0

    def begin(self, *, key: Key[Array, ""]) -> State:
        """Before any rating."""
        return self.learner.begin(self.album, key=key)

    def next_images(self, state: State, n: int) -> Int[Array, " next"]:
        """The `n` images to ask about, best first; fewer if fewer are left.

        Each is chosen as if the ones before it had been rated as they are predicted.

        Raises:
          ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"next_images of n={n}; expected 1 or more")
        left = int(jnp.sum(self.album.mask & ~state.rated))
        n = min(n, left)
        return _chosen(self.learner, self.album, state, n=n)

    def tell(self, state: State, image: int, stars: float | int) -> State:
        """The state after the user gave an image that many stars.

        Raises:
          IndexError: there is no such image in the album.
          ValueError: stars that are not finite or above `high`.
        """
        if not 0 <= image < len(self.album.mask) or not self.album.mask[image]:
            count = int(jnp.sum(self.album.mask))
            raise IndexError(f"image {image} of an album of {count}")
        if not 0 <= stars <= self.high:
            raise ValueError(f"stars={stars}; expected 0 to {self.high}")
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
