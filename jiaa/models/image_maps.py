"""Images' maps for collaborative networks: from a CNN that learns, or cached."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jiaa.models.pooling import adaptive_average_pool
from jiaa.models.views import ImageView
from jiaa.types import value

Shape = tuple[int, int, int]


class MapTrunk(nn.Module):
    """A backbone's stage, averaged over a square grid of bins, flat.

    Attributes:
      backbone: without BatchNorm, whose statistics these steps do not keep.
      stage: a name of its "stages", such as VGG-16's "block5".
      grid: how many bins a side.
      view: how stored images enter it.
    """

    backbone: nn.Module
    stage: str
    grid: int
    view: ImageView

    @nn.compact
    def __call__(
        self, images: UInt8[Array, "image height width 3"]
    ) -> Float[Array, "image feature"]:
        """Maps [grid, grid, channel] of uint8 images, flat.

        Raises:
          ValueError: an unknown stage; lists the stages there are.
        """
        stages = self.backbone(self.view.predicting(images))["stages"]
        if self.stage not in stages:
            raise ValueError(
                f"unknown stage {self.stage!r}; known: {', '.join(sorted(stages))}"
            )
        maps = stages[self.stage].astype(jnp.float32)
        maps = adaptive_average_pool(maps, (self.grid, self.grid))
        return maps.reshape(maps.shape[0], -1)


@value
class MapScale:
    """Brings each channel of cached maps to mean 0 and variance 1."""

    mean: Float[np.ndarray, " channel"]
    scale: Float[np.ndarray, " channel"]

    def __call__(
        self, maps: Float[np.ndarray, "image feature"]
    ) -> Float[np.ndarray, "image feature"]:
        """Flat maps, standardised; channels run fastest."""
        channels = self.mean.shape[0]
        shaped = maps.reshape(len(maps), -1, channels)
        return ((shaped - self.mean) * self.scale).reshape(maps.shape)


def fit_map_scale(
    maps: Float[np.ndarray, "image feature"], *, channels: int
) -> MapScale:
    """The scale of some images' flat maps; a channel that never varies becomes 0."""
    shaped = maps.reshape(-1, channels)
    mean, spread = shaped.mean(0, dtype=np.float64), shaped.std(0, dtype=np.float64)
    alive = spread > 1e-6 * (np.abs(mean) + 1)
    scale = np.where(alive, 1 / np.maximum(spread, 1e-12), 0.0)
    return MapScale(mean.astype(np.float32), scale.astype(np.float32))


def mean_maps(
    maps: Float[np.ndarray, "image feature"], *, channels: int
) -> Float[np.ndarray, "image channel"]:
    """The mean over positions: all that a network without attention takes of a map."""
    return maps.reshape(len(maps), -1, channels).mean(1)
