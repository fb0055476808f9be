"""A user's spread of scores, and how far a few ratings are trusted to tell it.

Some people use the whole scale and some a corner of it. No paper among ours adapts to
that; the shrunk variance is the usual one between a sample's and the population's.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jiaa import losses
from jiaa.types import Examples

# Of the usual variance; rounding leaves a user of one score about 1e-13 of it.
NO_SPREAD = 1e-8


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far users' spreads are trusted: unit scores' usual `spread`, its weight.

    A user's variance is taken as (1 - weight) * sample variance + weight * spread^2.

    Attributes:
      spread: the raters' usual standard deviation of unit scores; above 0.
      weight: of the usual variance, in [0, 1]; 0 trusts the user's ratings alone.

    Raises:
      ValueError: a number outside its range.
    """

    spread: float
    weight: float = 0.2

    def __post_init__(self):
        """Refuses what would divide by 0 or take the root of less."""
        if self.spread <= 0 or not 0 <= self.weight <= 1:
            raise ValueError(
                f"Calibration has spread={self.spread}, weight={self.weight}; expected "
                "a spread above 0 in unit scores and a weight in [0, 1]"
            )

    def scale(self, examples: Examples) -> Float[Array, ""]:
        """The user's spread over the usual one; above 0.

        It is 1 where nothing tells: with weight 0, for a user of one rating or of one
        score for all.
        """
        scores = jnp.where(examples.mask, examples.scores, 0.0)
        mean = losses.masked_mean(scores, jnp.asarray(examples.mask))
        gap = jnp.where(examples.mask, scores - mean, 0.0)
        variance = losses.masked_mean(gap**2, jnp.asarray(examples.mask))
        share = (1 - self.weight) * variance / self.spread**2 + self.weight
        return jnp.sqrt(jnp.where(share > NO_SPREAD, share, 1.0))
