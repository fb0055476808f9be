"""A frozen trunk's features: which rows, which views, which taps; and their cache."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models import trunk
from jiaa.models.generic import Aesthetic
from jiaa.models.heads import PooledHead
from jiaa.models.trunk import cached, tapped, trunk_features
from jiaa.models.views import ImageView
from jiaa.types import ImageStore

VIEW = ImageView((0.0,) * 3, (1.0,) * 3, None)


class Small(nn.Module):
    """One convolution, which sees left and right differently."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        maps = nn.relu(nn.Conv(5, (3, 2), name="conv")(x))
        pooled = jnp.mean(maps, axis=(1, 2))
        logits = nn.Dense(4, name="classifier")(maps[:, 0, 0])
        return {"logits": logits, "pooled": pooled, "stages": {"conv1": maps}}


MODEL = Aesthetic(Small(), PooledHead(()), "pooled")


@pytest.fixture(scope="module")
def variables():
    return MODEL.init(jax.random.key(0), jnp.zeros((1, 12, 10, 3)))


@pytest.fixture
def store(rng):
    return ImageStore(images=rng.integers(0, 256, (7, 12, 10, 3), np.uint8))


@pytest.fixture
def compute(store, variables):
    """`trunk_features` of the store, with only the options left to choose."""
    return functools.partial(
        trunk_features,
        store,
        model=MODEL,
        variables=variables,
        views=(VIEW,),
        progress=False,
    )


def stages_of(variables, images, view=VIEW):
    return Small().apply(
        {"params": variables["params"]["backbone"]},
        view.predicting(jnp.asarray(images)),
    )


def test_features_are_what_the_models_head_reads(compute, store, variables):
    features, widths = compute()
    shown = VIEW.predicting(jnp.asarray(store.images))
    expected = MODEL.apply(variables, shown, method="features")
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert widths == (5,)


def test_rows_keep_the_stores_numbers_and_those_not_needed_stay_zero(compute):
    whole, _ = compute()
    some, _ = compute(image_ids=np.array([5, 2, 2]))
    assert some.shape == whole.shape
    np.testing.assert_allclose(some[[2, 5]], whole[[2, 5]], atol=1e-6)
    np.testing.assert_array_equal(some[[0, 1, 3, 4, 6]], 0)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_batch_size_changes_nothing(compute, batch_size):
    features, _ = compute(batch_size=batch_size)
    np.testing.assert_allclose(features, compute()[0], atol=1e-5)


@pytest.mark.parametrize("few", [2, 3])
def test_a_cpu_takes_few_images_at_once_and_the_features_stay(
    compute, monkeypatch, few
):
    expected, widths = compute(batch_size=7)
    seen = []

    def spy(model, taps, variables, images):
        seen.append(len(images))
        return blocks(model, taps, variables, images)

    blocks = trunk._blocks
    monkeypatch.setattr(trunk, "_blocks", spy)
    monkeypatch.setattr(trunk, "CPU_PIXELS", few * 12 * 10)
    found, same_widths = compute(batch_size=7)
    assert set(seen) == {few}
    assert widths == same_widths
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_flip_averages_an_image_and_its_mirror_image(compute, store):
    flipped = ImageStore(images=store.images[:, :, ::-1].copy())
    other = functools.partial(trunk_features, flipped, **compute.keywords)
    expected = (compute()[0] + other()[0]) / 2
    np.testing.assert_allclose(compute(flip=True)[0], expected, atol=1e-5)
    assert not np.allclose(compute()[0], expected, atol=1e-3)


def test_features_are_the_mean_over_views(compute):
    small = dataclasses.replace(VIEW, size=(6, 8))
    expected = (compute()[0] + compute(views=(small,))[0]) / 2
    np.testing.assert_allclose(compute(views=(VIEW, small))[0], expected, atol=1e-5)


def test_five_crops_count_as_five_more_views(compute, store):
    crops = [
        store.images[:, a, b]
        for a in (slice(8), slice(-8, None))
        for b in (slice(8), slice(-8, None))
    ]
    crops.append(store.images[:, 2:10, 1:9])
    parts = [
        trunk_features(ImageStore(images=crop.copy()), **compute.keywords)[0]
        for crop in crops
    ]
    expected = (compute()[0] + sum(parts)) / 6
    np.testing.assert_allclose(compute(five_crops=8)[0], expected, atol=1e-5)


def test_taps_take_outputs_and_pooled_stages_in_the_order_of_their_names(
    compute, store, variables
):
    taps = (("conv1.max", "logits"), ("pooled", "conv1.std", "conv1.mean"))
    features, widths = compute(taps=taps)
    found = stages_of(variables, store.images)
    maps = np.asarray(found["stages"]["conv1"])
    expected = [maps.max((1, 2)), found["logits"], found["pooled"], maps.std((1, 2))]
    expected = np.concatenate([*expected, maps.mean((1, 2))], axis=1)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert widths == (9, 15)


@pytest.mark.parametrize("tap", ["conv2.mean", "conv1.median", "conv1"])
def test_an_unknown_tap_is_answered_with_the_known_ones(compute, tap):
    with pytest.raises(ValueError, match=rf"tap '{tap}'.*conv1.*max.*'conv1\.mean'"):
        compute(taps=((tap,),))


def test_no_images_at_all_are_an_error(compute):
    with pytest.raises(ValueError, match="no images"):
        compute(image_ids=np.array([], int))


def test_the_head_need_not_be_among_the_variables(compute, variables):
    alone = {"params": {"backbone": variables["params"]["backbone"]}}
    np.testing.assert_array_equal(compute(variables=alone)[0], compute()[0])


def counted(compute):
    """The partial with the same settings, and the list of its calls."""
    calls = []

    @functools.wraps(compute.func)
    def recording(*args, **options):
        calls.append(options)
        return compute.func(*args, **options)

    return functools.partial(recording, *compute.args, **compute.keywords), calls


def test_a_second_call_reads_the_file_and_computes_nothing(compute, tmp_path):
    counting, calls = counted(compute)
    first = cached(counting, tmp_path / "cache")
    other_batches = functools.partial(counting, batch_size=2)
    second = cached(other_batches, tmp_path / "cache")
    assert len(calls) == 1
    np.testing.assert_array_equal(second[0], first[0])
    assert second[1] == first[1] == (5,)


@pytest.mark.parametrize("length", [0, 3, 400, -30])
def test_a_damaged_file_is_computed_again_and_replaced(compute, tmp_path, length):
    expected = cached(compute, tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:length])
    found = cached(compute, tmp_path)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert len(file.read_bytes()) == len(whole)


def test_all_that_the_features_depend_on_names_another_file(
    compute, store, variables, tmp_path
):
    cached(compute, tmp_path)
    moved = jax.tree.map(lambda x: x + 1e-3, variables)
    pixels = store.images.copy()
    pixels[3, 1, 2, 0] ^= 1
    changes = [
        functools.partial(compute, variables=moved),
        functools.partial(compute, flip=True),
        functools.partial(compute, taps=(("logits",),)),
        functools.partial(compute, views=(dataclasses.replace(VIEW, size=8),)),
        functools.partial(compute, image_ids=np.array([1, 2])),
        functools.partial(trunk_features, ImageStore(pixels), **compute.keywords),
    ]
    for change in changes:
        cached(change, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1 + len(changes)


def test_the_same_images_under_another_type_name_the_same_file(compute, tmp_path):
    for ids in (np.array([1, 2]), np.array([2, 1, 1], np.int32)):
        cached(functools.partial(compute, image_ids=ids), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_spread_of_a_channel_that_never_varies_has_a_gradient_of_zero(rng):
    maps = jnp.asarray(rng.normal(size=(2, 3, 4, 5)).astype(np.float32))
    maps = maps.at[..., 2].set(0.5)  # whose mean has no rounding

    def spread(maps):
        return tapped({"stages": {"fire": maps}}, (("fire.std",),))[0]

    np.testing.assert_allclose(spread(maps), np.std(maps, axis=(1, 2)), atol=1e-6)
    gradient = jax.grad(lambda maps: jnp.sum(spread(maps)))(maps)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[..., 2], 0)
    assert (gradient[..., 0] != 0).all()
