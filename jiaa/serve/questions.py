"""Which photograph to ask a person about next.

Transductive experimental design (Yu, Bi and Tresp, ICML 2006): a person's taste beyond
the crowd's is a Gaussian process whose kernel is the inner product of the features that
the model learns from. The photograph is asked whose rating removes most of the
variance that is left, summed over all photographs. What was answered plays no part:
only where.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

# Variance of a rating's noise, in units of the taste's mean variance. On training
# raters of OASIS, a quarter and thrice of it made no difference.
NOISE = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class Questions:
    """What was asked of a set of photographs; a value, as `tell` returns a new one.

    Attributes:
      kernel: prior covariance of the taste; its mean variance is 1.
      known: what the ratings so far took away, as columns: covariance now is kernel -
        known known^T.
      rated: rows, in the order of the ratings.
      skipped: rows that are not to be asked.
    """

    kernel: Float[np.ndarray, "image image"]
    known: Float[np.ndarray, "image rating"]
    rated: tuple[int, ...] = ()
    skipped: frozenset[int] = frozenset()

    def covariance(self) -> Float[np.ndarray, "image image"]:
        """Of the taste, given the ratings so far."""
        return self.kernel - self.known @ self.known.T


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a photograph is asked.

    Attributes:
      share: of all that is uncertain about the person's taste, what its rating removes.
      like: the photographs that it tells most about, most telling first.
    """

    share: float
    like: tuple[int, ...]


def start(features: Float[np.ndarray, "image feature"]) -> Questions:
    """Nothing asked yet, of photographs with these features."""
    centred = np.asarray(features, np.float32)
    centred = centred - centred.mean(axis=0, keepdims=True)
    kernel = centred @ centred.T
    kernel /= max(float(np.trace(kernel)) / len(kernel), 1e-12)
    return Questions(kernel, np.zeros((len(kernel), 0), np.float32))


def next_images(state: Questions, n: int) -> list[int]:
    """Up to `n` rows to ask, the most telling first; each as if those before were."""
    chosen: list[int] = []
    for _ in range(n):
        gains = _gains(state)
        row = int(gains.argmax())
        if not np.isfinite(gains[row]):
            break
        chosen.append(row)
        state = tell(state, row, None)
    return chosen


def tell(state: Questions, image: int, stars: float | int | None) -> Questions:
    """The state after the person gave `image` these stars, or any.

    A Gaussian process' variance follows from where it was asked: `stars` has no part.
    """
    del stars
    column = state.kernel[:, image] - state.known @ state.known[image]
    column = column / np.sqrt(max(column[image], 0.0) + NOISE)
    known = np.concatenate([state.known, column[:, None]], axis=1)
    return dataclasses.replace(state, known=known, rated=(*state.rated, image))


def skip(state: Questions, image: int) -> Questions:
    """The state in which `image` is not asked."""
    return dataclasses.replace(state, skipped=state.skipped | {image})


def reason(state: Questions, image: int, *, shown: int = 3) -> Reason:
    """Why `image` would be asked now."""
    covariance = state.covariance()
    column = covariance[:, image]
    removed = float((column**2).sum() / (max(column[image], 0.0) + NOISE))
    order = np.argsort(-column, kind="stable")
    like = [int(row) for row in order if row != image][:shown]
    left = float(np.trace(covariance))
    # Of the variance, what the rating takes from each photograph, noise included.
    return Reason(removed / left if left > 0 else 0.0, tuple(like))


def _gains(state: Questions) -> Float[np.ndarray, " image"]:
    """Variance removed by asking each photograph; -inf where it must not be asked."""
    covariance = state.covariance()
    removed = np.einsum("ij,ij->j", covariance, covariance)
    gains = removed / (np.maximum(np.diag(covariance), 0.0) + NOISE)
    out: Int[np.ndarray, " out"] = np.asarray([*state.rated, *state.skipped], np.int64)
    gains[out] = -np.inf
    return gains
