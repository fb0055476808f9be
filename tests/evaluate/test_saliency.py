"""A map shows one image's own gradient, by hand where the model is linear."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meta import tiny

from jiaa.evaluate.saliency import gradient_maps, pixel_scores
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.models.views import ImageView
from jiaa.personalize import Finetune
from jiaa.types import Episode, Examples, ImageStore

FINE = Finetune(
    InnerLoop(tiny.Normed(), optimizer=InnerOptimizer("sgd", ((".*", 0.1),))), steps=3
)


@pytest.fixture
def weights(rng):
    return rng.normal(size=(6, 8, 3)).astype(np.float32)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)


def test_a_linear_model_s_map_is_its_weights(weights, images):
    maps = gradient_maps(lambda x: jnp.einsum("nhwc,hwc->n", x, weights), images)
    largest = np.abs(weights).max(-1)
    expected = np.broadcast_to(largest / largest.max(), maps.shape)
    np.testing.assert_allclose(maps, expected, rtol=1e-5)


def test_maps_lie_between_zero_and_their_own_peak_of_one(weights, images):
    maps = gradient_maps(lambda x: jnp.sin(x * weights[None]).sum((1, 2, 3)), images)
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max((1, 2)), 1)


def test_a_score_that_sees_no_pixel_gives_zeros(images):
    assert not gradient_maps(lambda x: jnp.full(x.shape[0], 0.5), images).any()


def test_other_images_have_no_part_in_a_map(weights, images):
    def normed_by_the_batch(x):
        centred = x - x.mean((0, 1, 2))[None, None, None]
        return jnp.tanh(centred * weights[None] / 255).sum((1, 2, 3))

    every = gradient_maps(normed_by_the_batch, images)
    alone = gradient_maps(normed_by_the_batch, images[2:3])
    np.testing.assert_allclose(every[2:3], alone, atol=1e-6)


def test_a_map_agrees_with_differences_of_the_score(weights, images):
    def score(x):
        return jnp.tanh((x * weights[None]).sum((1, 2, 3)) / 3000)

    (pixels,) = images[:1].astype(np.float64)
    gap = np.zeros(pixels.shape)
    for place in np.ndindex(pixels.shape):
        moved = np.stack([pixels, pixels])
        moved[0][place] += 1
        moved[1][place] -= 1
        # In float64: float32 has no digits left for the difference.
        up, down = np.tanh((moved * weights).sum((1, 2, 3)) / 3000)
        gap[place] = abs(up - down)
    expected = gap.max(-1) / gap.max()
    np.testing.assert_allclose(gradient_maps(score, images[:1])[0], expected, rtol=1e-3)


def test_blurring_spreads_a_peak_evenly(images):
    def one_pixel(x):
        return x[:, 3, 4, 1]

    sharp, soft = (gradient_maps(one_pixel, images, blur=b)[0] for b in (0.0, 1.0))
    assert np.flatnonzero(sharp).tolist() == [3 * 8 + 4]
    assert soft[3, 4] == 1
    np.testing.assert_allclose(soft[2, 4], np.exp(-0.5), rtol=1e-3)
    np.testing.assert_allclose(soft[3, 5], soft[2, 4], rtol=1e-6)


def test_scores_of_pixels_are_the_personalizer_s_of_the_features(next_key, images):
    """A frozen trunk: features of the pixels, then the head that adapted."""
    trunk = np.random.default_rng(1).normal(size=(6 * 8 * 3, tiny.FEATURES)) / 3000

    def content(pixels):
        return pixels.reshape(len(pixels), -1).astype(jnp.float32) @ trunk.astype("f4")

    store = ImageStore(features=content(jnp.asarray(images)))
    prior = tiny.prior_of(tiny.Normed(), next_key())
    episode = _episode(jnp.linspace(0.2, 1, 4))
    adapted = FINE.adapt(prior, episode, store, key=next_key())
    score = pixel_scores(FINE, prior, adapted, store=store, content=content)
    expected = FINE.predict(prior, adapted, episode.query, store)
    np.testing.assert_allclose(score(jnp.float32(images)), expected, atol=1e-6)
    generic = pixel_scores(FINE, prior, FINE.init(prior), store=store, content=content)
    assert not np.allclose(generic(jnp.float32(images)), expected, atol=1e-3)
    assert gradient_maps(score, images).max() == 1


class Whole(nn.Module):
    """A linear score of normalised pixels."""

    @nn.compact
    def __call__(self, images, *, mask=None, batch_statistics=False, dropout=False):
        del mask, batch_statistics, dropout
        return nn.Dense(1)(images.reshape(len(images), -1))[:, 0]


def test_a_whole_network_takes_the_pixels_themselves(next_key, images):
    view = ImageView((0.5,) * 3, (0.25,) * 3, None, augment=False)
    whole = Finetune(InnerLoop(Whole(), view=view), steps=2)
    store = ImageStore(images=jnp.asarray(images))
    variables = Whole().init(next_key(), view.predicting(store.images))
    prior = {**variables, "batch_stats": {}}
    episode = _episode(jnp.linspace(0.2, 1, 4))
    adapted = whole.adapt(prior, episode, store, key=next_key())
    score = pixel_scores(whole, prior, adapted, store=store, content=lambda x: x)
    expected = whole.predict(prior, adapted, episode.query, store)
    np.testing.assert_allclose(score(jnp.float32(images)), expected, atol=1e-5)
    (kernel,) = (x for x in jax.tree.leaves(adapted["params"]) if x.ndim == 2)
    steepest = np.abs(np.asarray(kernel).reshape(6, 8, 3)).max(-1)
    np.testing.assert_allclose(
        gradient_maps(score, images)[0], steepest / steepest.max(), rtol=1e-4
    )


def _episode(scores):
    every = Examples(jnp.arange(len(scores)), scores, jnp.ones(len(scores), bool))
    return Episode(jnp.asarray(1), every, every)


def test_models_of_several_users_share_one_program(next_key, images):
    traced = []

    def content(pixels):
        traced.append(pixels.shape)
        return pixels.reshape(len(pixels), -1)[:, : tiny.FEATURES] / 255

    store = ImageStore(features=jnp.zeros((1, tiny.FEATURES)))
    prior = tiny.prior_of(tiny.Normed(), next_key())
    for _ in range(3):
        adapted = FINE.init(tiny.prior_of(tiny.Normed(), next_key()))
        gradient_maps(
            pixel_scores(FINE, prior, adapted, store=store, content=content), images
        )
    assert len(traced) == 1
