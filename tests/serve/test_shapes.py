"""Photographs of several shapes: squashed to the nearest, in batches of one shape."""

import numpy as np
import pytest
from experiments import glancing
from PIL import Image

import jiaa
from configs.blend.oasis_efficientnet_lite2_one_view import SHAPES
from jiaa.data.images import ImageError, decode_resized, nearest_shape
from jiaa.serve.photos import decode_batches, decode_photo

FEW = ((40, 40), (40, 48), (48, 40))
SIZES = ((60, 80), (80, 60), (50, 50), (90, 70), (30, 90))  # (height, width)
NEAREST = ((40, 48), (48, 40), (40, 40), (48, 40), (40, 48))


@pytest.fixture(scope="module")
def prior(finished_run):
    """The finished run, shown photographs of three shapes."""
    settings = (f"trunk.shapes={FEW}", "trunk.sizes=()", "view.size=0")
    with glancing():
        yield jiaa.load(finished_run, settings=settings)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Ten JPEGs of noise, of five sizes in turn."""
    folder, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    for number in range(2 * len(SIZES)):
        noise = rng.integers(0, 256, (*SIZES[number % len(SIZES)], 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.jpg", quality=95)
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((3000, 3000), (288, 288)),
        ((3000, 3750), (288, 360)),
        ((3024, 4032), (288, 384)),
        ((4000, 6000), (288, 432)),
        ((1080, 1920), (288, 512)),
        ((500, 5000), (288, 512)),
        ((288, 300), (288, 288)),
    ],
)
def test_a_photograph_goes_to_the_shape_that_distorts_it_least(size, shape):
    assert nearest_shape(size, SHAPES) == shape
    assert nearest_shape(size[::-1], SHAPES) == shape[::-1]


def test_without_shapes_all_are_squashed_to_the_size(mixed):
    assert {decode_photo(x, size=(40, 48)).shape for x in mixed} == {(40, 48, 3)}


@pytest.mark.parametrize("kind", [str, Image.open, lambda x: np.array(Image.open(x))])
def test_files_images_and_arrays_take_the_same_shape(mixed, kind):
    for path, shape in zip(mixed, NEAREST, strict=False):
        shown = decode_photo(kind(path), size=(40, 40), shapes=FEW)
        assert shown.shape == (*shape, 3)


def test_the_shape_is_of_the_photograph_as_it_is_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (80, 60)).save(tmp_path / "x.jpg", exif=exif)
    shown = decode_photo(tmp_path / "x.jpg", size=(40, 40), shapes=FEW)
    assert shown.shape == (48, 40, 3)


def test_batches_have_one_shape_each_and_all_photographs_come_back(mixed, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(mixed[0].read_bytes()[:70])
    listed = [*mixed[:4], broken, *mixed[4:]]
    options = {"size": (40, 40), "shapes": FEW, "batch_size": 3, "workers": 2}
    batches = list(decode_batches(listed, **options))
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows.tolist()) == [0, 1, 2, 3, *range(5, 11)]
    for batch in batches:
        assert 0 < len(batch.rows) <= 3
        for row, image in zip(batch.rows, batch.images, strict=True):
            expected = decode_resized(listed[row], size=(40, 40), shapes=FEW)
            np.testing.assert_array_equal(image, expected)
    (found,) = (batch.failures for batch in batches if batch.failures)
    assert list(found) == [4]
    assert "broken.jpg: not readable" in found[4]


def test_only_broken_photographs_are_failures_of_an_empty_batch(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (batch,) = decode_batches([tmp_path / "a.jpg"], size=(40, 48), shapes=FEW)
    assert batch.images.shape == (0, 40, 48, 3)
    assert list(batch.failures) == [0]


def test_results_keep_the_photographs_order_whatever_their_shapes(prior, mixed):
    content = prior.encode(mixed)
    alone = np.concatenate([prior.encode([path]) for path in mixed])
    np.testing.assert_allclose(content, alone, atol=1e-5)
    assert len({row.tobytes() for row in content}) == len(mixed)
    backwards = prior.predict(mixed[::-1])
    np.testing.assert_allclose(backwards[::-1], prior.predict(mixed), atol=1e-5)


def test_what_cannot_be_read_is_named_among_all_shapes(prior, mixed, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"1 of 11 photographs failed\n.*a\.jpg"):
        prior.encode([*mixed, tmp_path / "a.jpg"])


def test_a_second_call_decodes_nothing(prior, mixed, tmp_path, monkeypatch):
    cache = prior.open_cache(tmp_path)
    first = prior.encode(mixed, cache=cache)
    monkeypatch.setattr("jiaa.serve.photos.decode_resized", None)
    again = prior.encode(mixed[::-1], cache=prior.open_cache(tmp_path))
    np.testing.assert_array_equal(again[::-1], first)


def test_features_of_other_shapes_are_no_ones_cache(prior, finished_run, tmp_path):
    one = prior.open_cache(tmp_path)
    settings = ("trunk.shapes=((40,40),)", "trunk.sizes=()", "view.size=0")
    other = jiaa.load(finished_run, settings=settings)
    assert other.open_cache(tmp_path).path != one.path
    assert "squashed to 40 x 40 or 40 x 48 or 48 x 40; " in prior.encoder.view
