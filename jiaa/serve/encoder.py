"""Photographs as numbers, before any user is known."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt8

BATCH = 32  # photographs encoded at once


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """Pixels -> what is known of a photograph before any user is.

    Attributes:
      size: (height, width) that photographs are squashed to.
      features: uint8 [image height width 3] -> a frozen trunk's features [image
        feature], which the `feature_map` of the model follows. None: the pixels
        themselves, where the whole network adapts.
      width: how many features; 0 for pixels.
      identity: changes with anything that changes the features.
    """

    size: tuple[int, int]
    features: Callable[[Array], Array] | None
    width: int
    identity: str

    def __call__(
        self, images: UInt8[np.ndarray, "image height width 3"]
    ) -> Shaped[np.ndarray, "image ..."]:
        """Up to `BATCH` images encoded; padded, so that one program serves all."""
        if self.features is None or not len(images):
            return images
        padding = [(0, BATCH - len(images)), (0, 0), (0, 0), (0, 0)]
        padded = np.pad(images, padding, mode="edge")
        return np.asarray(self.features(jnp.asarray(padded)))[: len(images)]


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """Some photographs of a list, encoded.

    Attributes:
      rows: which of the list.
      content: their features or pixels, in the order of `rows`.
      failures: row -> why another could not be read.
    """

    rows: Shaped[np.ndarray, " image"]
    content: Shaped[np.ndarray, "image ..."]
    failures: dict[int, str] = dataclasses.field(default_factory=dict)
