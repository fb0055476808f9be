"""Experimental design: ask what settles most of what is open about a user's taste.

Transductive experimental design (Yu, Bi and Tresp, ICML 2006): a user's taste beyond
the crowd's is a Gaussian process whose kernel is the inner product of the features that
the model learns from. The image is asked whose rating removes most of the variance that
is left, summed over all images. What was answered plays no part: only where.
"""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Variance of a rating's noise, in units of the taste's mean variance. On training
# raters of OASIS, a third and thrice of it made no difference.
NOISE = 1.0


def taste_kernel(
    likeness: Float[Array, "image image"], *, mask: Bool[Array, " image"]
) -> Float[Array, "image image"]:
    """The taste's covariance before any rating: centred, of mean variance 1.

    Args:
      likeness: inner products of the images' features, or another kernel.
      mask: the images that are there; rows and columns of the others become 0.
    """
    share = mask / jnp.maximum(jnp.sum(mask), 1)
    level = likeness @ share
    centred = likeness - level[:, None] - level[None] + share @ level
    centred = jnp.where(mask[:, None] & mask[None], centred, 0.0)
    variance = jnp.vdot(share, jnp.diag(centred))
    return centred / jnp.maximum(variance, 1e-12)


def told(
    covariance: Float[Array, "image image"], image: int | Int[Array, ""]
) -> Float[Array, "image image"]:
    """The covariance that is left once one image is rated, whatever the rating."""
    column = covariance[:, image]
    noisy = jnp.maximum(column[image], 0.0) + NOISE
    return covariance - column[:, None] * (column / noisy)[None]


def gains(covariance: Float[Array, "image image"]) -> Float[Array, " image"]:
    """The variance that each image's rating would remove, summed over all images."""
    noisy = jnp.maximum(jnp.diag(covariance), 0.0) + NOISE
    return jnp.sum(covariance**2, axis=0) / noisy


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """What the ratings so far tell.

    Attributes:
      covariance: of the taste, given the ratings.
      rated: rows, in the order of the ratings.
    """

    covariance: Float[Array, "image image"]
    rated: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why an image is asked.

    Attributes:
      share: of all that is uncertain about the user's taste, what its rating removes.
      like: the images that it tells most about, most telling first.
    """

    share: float
    like: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """Experimental design for a user who answers; called as a `LiveRater` is.

    A rating takes one update of rank one, an album of 2,000 images about 20 ms.

    Attributes:
      kernel: the taste's covariance before any rating (`taste_kernel`).
    """

    kernel: Float[Array, "image image"]

    @classmethod
    def of(cls, features: Float[np.ndarray | Array, "image feature"]) -> "Design":
        """The design on images with these features."""
        return cls(_kernel_of(jnp.asarray(features, jnp.float32)))

    def begin(self, *, key: Any = None) -> Known:
        """Nothing asked yet; nothing is drawn."""
        del key
        return Known(self.kernel)

    def next_images(
        self, state: Known, n: int, *, without: Collection[int] = ()
    ) -> Int[np.ndarray, " next"]:
        """Up to `n` rows, the most telling first; each as if those before were told.

        Rows of `without` are not asked; what is not known of them counts all the same.

        Raises:
          ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"next_images of n={n}; expected 1 or more")
        out, covariance = {*without, *state.rated}, state.covariance
        chosen: list[int] = []
        for _ in range(min(n, len(self.kernel) - len(out))):
            worth = np.array(_gains(covariance))
            worth[[*out, *chosen]] = -np.inf
            chosen.append(int(worth.argmax()))
            if len(chosen) < n:
                covariance = _told(covariance, chosen[-1])
        return np.asarray(chosen, np.int64)

    def tell(self, state: Known, image: int, stars: float | int | None) -> Known:
        """The state after the user rated `image`; a second rating changes nothing.

        A Gaussian process' variance follows from where it was asked: `stars` has no
        part.
        """
        del stars
        if image in state.rated:
            return state
        return Known(_told(state.covariance, image), (*state.rated, image))

    def reason(self, state: Known, image: int, *, shown: int = 3) -> Reason:
        """Why `image` would be asked now."""
        column, left = jax.device_get(_column(state.covariance, image))
        noisy = max(float(column[image]), 0.0) + NOISE
        removed = float((column.astype(np.float64) ** 2).sum()) / noisy
        share = removed / float(left) if left > 0 else 0.0
        order: Sequence[int] = np.argsort(-column, kind="stable").tolist()
        like = [row for row in order if row != image][:shown]
        return Reason(share, tuple(like))


_told, _gains = jax.jit(told), jax.jit(gains)


@jax.jit
def _kernel_of(features):
    # Centred first: of the products of large means little would be left in float32.
    features = features - jnp.mean(features, axis=0, keepdims=True)
    return taste_kernel(features @ features.T, mask=jnp.ones(len(features), bool))


@jax.jit
def _column(covariance, image):
    return covariance[:, image], jnp.trace(covariance)
