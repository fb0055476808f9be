"""Photographs as numbers, before any user is known."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from jiaa.data.feature_file import FeatureSpec
from jiaa.data.images import Shapes
from jiaa.data.table import DataError
from jiaa.serve.known import KnownFeatures

BATCH = 32  # photographs encoded at once
_PIXELS = (
    "this prior adapts its whole network, and reads the photographs themselves: "
    "features do nothing here. Leave them out, or load it with whole=False"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """Pixels -> what is known of a photograph before any user is.

    Attributes:
      size: (height, width) that photographs are squashed to.
      features: uint8 [image height width 3] -> a frozen trunk's features [image
        feature], which the `feature_map` of the model follows. None: the pixels
        themselves, where the whole network adapts; or nothing, where features are
        computed elsewhere.
      widths: how wide each block of features is; () for pixels.
      identity: changes with anything that changes the features; of an encoder
        elsewhere, its name, "" where nobody told.
      view: in words, which networks see a photograph, and how.
      shapes: (height, width) pairs; where there are any, photographs are squashed to
        the nearest of them instead of to `size`.
      known: a file that photographs' features are taken from; nothing is decoded then.
    """

    size: tuple[int, int]
    features: Callable[[Array], Array] | None
    widths: tuple[int, ...]
    identity: str
    view: str = ""
    known: KnownFeatures | None = None
    shapes: Shapes = ()

    @property
    def width(self) -> int:
        """How many features; 0 for pixels."""
        return sum(self.widths)

    @property
    def is_elsewhere(self) -> bool:
        """Whether features come from a file, and no network is here to compute them."""
        return self.features is None and self.width > 0

    def __call__(
        self, images: UInt8[np.ndarray, "image height width 3"]
    ) -> Shaped[np.ndarray, "image ..."]:
        """Up to `BATCH` images encoded; padded, so that few programs serve all."""
        if self.features is None or not len(images):
            return images
        # A CPU computes a few at a time whatever the batch (`models.trunk`).
        rows = BATCH if jax.default_backend() != "cpu" else -(-len(images) // 8) * 8
        padding = [(0, rows - len(images)), (0, 0), (0, 0), (0, 0)]
        padded = np.pad(images, padding, mode="edge")
        return np.asarray(self.features(jnp.asarray(padded)))[: len(images)]

    def check_here(self) -> None:
        """Checks that photographs can be encoded here.

        Raises:
          ValueError: features are computed elsewhere; says how to give them.
        """
        if self.is_elsewhere:
            raise ValueError(
                f"this prior reads features of {self._spec}, which are computed "
                "elsewhere: no network for photographs is here. Give their features: "
                "--features FILE, or features= in Python (jiaa.data.feature_file)"
            )

    @property
    def _spec(self) -> FeatureSpec:
        return FeatureSpec(self.widths, self.identity)

    def described(self) -> dict[str, Any]:
        """What `data.feature_file.write_features` records of features of this encoder.

        Raises:
          ValueError: it gives pixels.
        """
        if not self.width:
            raise ValueError(_PIXELS)
        return {"encoder": self.identity, "view": self.view, "widths": self.widths}

    def reading(self, known: KnownFeatures) -> "Encoder":
        """The encoder that takes photographs' features from a file.

        Raises:
          DataError: they have another width, or are another encoder's, or that of a
            prior with a network is not told to be theirs.
          ValueError: the prior reads pixels.
        """
        if not self.width:
            raise ValueError(_PIXELS)
        file = known.file
        self._spec.check(file.spec, file.source)
        if not self.is_elsewhere and not file.encoder:
            raise DataError(
                f"{file.source} does not tell which encoder gave its features; this "
                f"prior has one of its own, {self.identity!r}, and reads no others'. "
                "Leave the file out, or write it with that encoder (jiaa.data."
                "feature_file.write_features)"
            )
        return dataclasses.replace(self, known=known)

    def checked(
        self, features: Float[np.ndarray, "image feature"]
    ) -> Float[np.ndarray, "image feature"]:
        """Features that are given as they are, as float32.

        Raises:
          ValueError: another width than the prior's, or numbers that are not finite.
        """
        if not self.width:
            raise ValueError(_PIXELS)
        if features.shape[1] != self.width:
            raise ValueError(
                f"features of shape {features.shape}; the prior reads features of "
                f"{self._spec}. Give those of the encoder that it was trained on"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            single = np.asarray(features, np.float32)
        wrong = ~np.isfinite(single)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            raise ValueError(
                f"feature {column} of row {row} is {features[row, column]}; expected a "
                "finite number that float32 holds. Compute the row again"
            )
        return single


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
