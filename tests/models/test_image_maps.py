"""Maps of images: standardised channel by channel, and from a CNN's stage."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.image_maps import MapTrunk, fit_map_scale, mean_maps
from jiaa.models.views import ImageView

VIEW = ImageView((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), None, False)


class Doubling(nn.Module):
    def __call__(self, images):
        return {"stages": {"two": 2 * images}}


def test_channels_have_mean_0_and_variance_1_over_images_and_positions(rng):
    maps = rng.normal(3, 5, (8, 6, 4)).astype(np.float32)
    maps[..., 2] = 7  # never varies
    scale = fit_map_scale(maps.reshape(8, -1), channels=4)
    found = scale(maps.reshape(8, -1)).reshape(-1, 4)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(0), [1, 1, 0, 1], atol=1e-5)
    means = mean_maps(maps.reshape(8, -1), channels=4)
    np.testing.assert_allclose(means, maps.mean(1), atol=1e-5)


def test_a_trunks_maps_are_its_stage_over_a_grid():
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    found = MapTrunk(Doubling(), "two", 2, VIEW).apply({}, jnp.asarray(images))
    bins = images.reshape(2, 2, 2, 2, 2, 3).mean((2, 4)) * 2 / 255
    np.testing.assert_allclose(found, bins.reshape(2, -1), atol=1e-6)
    with pytest.raises(ValueError, match="unknown stage 'one'; known: two"):
        jax.eval_shape(MapTrunk(Doubling(), "one", 2, VIEW).apply, {}, images)
