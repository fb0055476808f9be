"""Which photograph to ask a person about next.

Transductive experimental design (Yu, Bi and Tresp, ICML 2006): a person's taste beyond
the crowd's is a Gaussian process whose kernel is the inner product of the features that
the model learns from. The photograph is asked whose rating removes most of the
variance that is left, summed over all photographs. What was answered plays no part:
only where.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Key

# Variance of a rating's noise, in units of the taste's mean variance. On training
# raters of OASIS, a quarter and thrice of it made no difference.
NOISE = 1.0


@runtime_checkable
class Asker(Protocol):
    """What chooses the questions of a session; `Design` is one.

    States are values: `tell` returns a new one.
    """

    def begin(self, *, key: Key[Array, ""]) -> Any:
        """The state before any rating."""
        ...

    def next_images(
        self, state: Any, n: int, *, without: Collection[int] = ()
    ) -> Int[Any, " next"]:
        """Up to `n` rows to ask, best first; none that was told, nor of `without`."""
        ...

    def tell(self, state: Any, image: int, stars: float) -> Any:
        """The state after the person gave `image` these stars."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """What the ratings so far tell.

    Attributes:
      taken: what they took of the variance, as columns: the covariance that is left is
        kernel - taken taken^T.
      rated: rows, in the order of the ratings.
    """

    taken: Float[np.ndarray, "image rating"]
    rated: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a photograph is asked.

    Attributes:
      share: of all that is uncertain about the person's taste, what its rating removes.
      like: the photographs that it tells most about, most telling first.
    """

    share: float
    like: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """Experimental design on a set of photographs.

    Attributes:
      kernel: prior covariance of the taste; its mean variance is 1.
    """

    kernel: Float[np.ndarray, "image image"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "image feature"]) -> "Design":
        """The design on photographs with these features."""
        centred = np.asarray(features, np.float32)
        centred = centred - centred.mean(axis=0, keepdims=True)
        kernel = centred @ centred.T
        return cls(kernel / max(float(np.trace(kernel)) / len(kernel), 1e-12))

    def begin(self, *, key: Any = None) -> Known:
        """Nothing asked yet; nothing is drawn."""
        del key
        return Known(np.zeros((len(self.kernel), 0), np.float32))

    def covariance(self, state: Known) -> Float[np.ndarray, "image image"]:
        """Of the taste, given the ratings so far."""
        return self.kernel - state.taken @ state.taken.T

    def next_images(
        self, state: Known, n: int, *, without: Collection[int] = ()
    ) -> Int[np.ndarray, " next"]:
        """Up to `n` rows, the most telling first; each as if those before were told.

        Rows of `without` are not asked; what is not known of them counts all the same.
        """
        out = set(without)
        chosen: list[int] = []
        for _ in range(min(n, len(self.kernel) - len(out | set(state.rated)))):
            gains = self._gains(state)
            gains[list(out)] = -np.inf
            chosen.append(int(gains.argmax()))
            state = self.tell(state, chosen[-1], None)
        return np.asarray(chosen, np.int64)

    def tell(self, state: Known, image: int, stars: float | int | None) -> Known:
        """The state after the person gave `image` these stars, or any.

        A Gaussian process' variance follows from where it was asked: `stars` has no
        part.
        """
        del stars
        column = self.kernel[:, image] - state.taken @ state.taken[image]
        column = column / np.sqrt(max(column[image], 0.0) + NOISE)
        taken = np.concatenate([state.taken, column[:, None]], axis=1)
        return Known(taken, (*state.rated, image))

    def reason(self, state: Known, image: int, *, shown: int = 3) -> Reason:
        """Why `image` would be asked now."""
        covariance = self.covariance(state)
        column = covariance[:, image]
        removed = float((column**2).sum() / (max(column[image], 0.0) + NOISE))
        order = np.argsort(-column, kind="stable")
        like = [int(row) for row in order if row != image][:shown]
        left = float(np.trace(covariance))
        return Reason(removed / left if left > 0 else 0.0, tuple(like))

    def _gains(self, state: Known) -> Float[np.ndarray, " image"]:
        """Variance removed by asking each photograph; -inf where it was asked."""
        covariance = self.covariance(state)
        removed = np.einsum("ij,ij->j", covariance, covariance)
        gains = removed / (np.maximum(np.diag(covariance), 0.0) + NOISE)
        gains[list(state.rated)] = -np.inf
        return gains
