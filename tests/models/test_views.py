"""What learning sees, and what predicting sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.pretrained import RESNET18_SPEC
from jiaa.models.views import FeatureView, ImageView

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.integers(0, 256, (5, 20, 24, 3), np.uint8))


def test_predicting_sees_the_whole_image_resized_and_normalised(images):
    view = ImageView(MEAN, STD, 16)
    shown = view.predicting(images)
    assert shown.shape == (5, 16, 16, 3)
    whole = jax.image.resize(images.astype(jnp.float32), (5, 16, 16, 3), "linear")
    expected = (np.asarray(whole) / 255 - np.asarray(MEAN)) / np.asarray(STD)
    np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_learning_sees_crops_of_the_image_flipped_at_random(images, next_key):
    view = ImageView(MEAN, STD, 16)
    crops = np.asarray(view.learning(images, key=next_key()))
    assert crops.shape == (5, 16, 16, 3)
    whole = np.asarray(ImageView(MEAN, STD, None).predicting(images))
    for crop, image in zip(crops, whole, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (16, 16, 3))
        windows = windows.reshape(-1, 16, 16, 3)
        seen = np.concatenate([windows, windows[:, :, ::-1]])
        assert np.min(np.abs(seen - crop).max((1, 2, 3))) < 1e-5
    assert not np.allclose(crops, view.learning(images, key=next_key()))


def test_size_none_keeps_the_stores_size_and_crops_nothing(images, next_key):
    view = ImageView(MEAN, STD, None)
    shown = view.predicting(images)
    assert shown.shape == images.shape
    np.testing.assert_array_equal(view.learning(images, key=next_key()), shown)


@pytest.mark.parametrize(
    "view", [ImageView(MEAN, STD, 16, augment=False), ImageView(MEAN, STD, (12, 18))]
)
def test_without_augmentation_or_a_square_learning_sees_what_predicting_sees(
    view, images, next_key
):
    learning = view.learning(images, key=next_key())
    np.testing.assert_array_equal(learning, view.predicting(images))
    assert learning.shape[1:3] in ((16, 16), (12, 18))


def test_a_backbones_view_is_its_own_preprocessing_unless_another_size_is_asked(images):
    view = ImageView.of(RESNET18_SPEC)
    spec = RESNET18_SPEC
    assert (view.mean, view.std, view.size) == (spec.mean, spec.std, 224)
    assert ImageView.of(spec, size=16, augment=False).predicting(images).shape[1] == 16


def test_a_crop_larger_than_the_image_is_an_error(images, next_key):
    with pytest.raises(ValueError, match="22 px does not fit"):
        ImageView(MEAN, STD, 22).learning(images, key=next_key())


def test_features_pass_through_unchanged(rng, next_key):
    features = jnp.asarray(rng.normal(size=(4, 7)), jnp.float32)
    view = FeatureView()
    assert view.learning(features, key=next_key()) is features
    assert view.predicting(features) is features
    assert not view.augment
