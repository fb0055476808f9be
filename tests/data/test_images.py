"""Decoding as a person would see it; crops, flips and normalisation on the device."""

import io
import os
import struct
import subprocess
import warnings
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jiaa.data import images
from jiaa.data.images import ImageError, decode


@pytest.fixture
def photograph(rng):
    """A smooth RGB picture, 40 high and 60 wide: compresses well as JPEG."""
    rows, columns = np.mgrid[0:40, 0:60]
    channels = (rows * 6, columns * 4, 255 - rows * 3 - columns * 2)
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def save(image, path, **options):
    image.save(path, **options)
    return path


def test_png_decodes_exactly(tmp_path, photograph):
    path = save(Image.fromarray(photograph), tmp_path / "a.png")
    decoded = decode(path)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, photograph)


def test_grey_becomes_three_equal_channels(tmp_path, photograph):
    path = save(Image.fromarray(photograph).convert("L"), tmp_path / "a.png")
    decoded = decode(path)
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])
    np.testing.assert_array_equal(decoded[..., 0], np.array(Image.open(path)))


def test_black_and_white_palette_image_keeps_its_colours(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putdata([0, 1])
    path = save(image, tmp_path / "a.png")
    np.testing.assert_array_equal(decode(path)[0], [[10, 20, 30], [200, 100, 0]])


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path, kind):
    grey = np.array([[0, 257, 257 * 100, 65535]], np.uint16)
    path = save(Image.fromarray(grey), tmp_path / f"a.{kind}")
    np.testing.assert_array_equal(decode(path)[0, :, 1], [0, 1, 100, 255])


def test_transparent_sixteen_bit_grey_becomes_white(tmp_path):
    path = tmp_path / "a.png"
    grey = np.array([[1000, 2570]], np.uint16)
    Image.fromarray(grey).save(path)
    # Pillow does not write the chunk for 16 bits: insert tRNS = 1000 after the header.
    data = path.read_bytes()
    body = b"tRNS" + struct.pack(">H", 1000)
    chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data[:33] + chunk + data[33:])
    np.testing.assert_array_equal(decode(path)[0, :, 0], [255, 10])


def test_cmyk_jpeg_shows_the_same_colours(tmp_path, photograph):
    rgb = Image.fromarray(photograph)
    path = save(rgb.convert("CMYK"), tmp_path / "a.jpg", quality=98, subsampling=0)
    difference = decode(path).astype(int) - photograph
    assert np.abs(difference).mean() < 3


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)])
    path = save(image, tmp_path / "a.png")
    np.testing.assert_array_equal(
        decode(path)[0], [[255, 0, 0], [255, 255, 255], [127, 127, 127]]
    )


@pytest.mark.parametrize("mode", ["LA", "P", "RGB", "L"])
def test_transparency_of_other_modes_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((0, 0), (80, 80, 80, 0))
    if mode == "LA":
        path = save(image.convert("LA"), tmp_path / "a.png")
    elif mode == "P":
        palette = Image.new("P", (2, 1))
        palette.putpalette([80, 80, 80, 0, 0, 0])
        palette.putdata([0, 1])
        path = save(palette, tmp_path / "a.gif", transparency=0)
    else:
        colour = (80, 80, 80) if mode == "RGB" else 80
        path = save(image.convert(mode), tmp_path / "a.png", transparency=colour)
    np.testing.assert_array_equal(decode(path)[0], [[255] * 3, [0] * 3])


def test_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        path = tmp_path / name
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode(path)[0, 0], [255, 0, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, photograph, orientation):
    upright = Image.fromarray(photograph)
    turn_back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn_back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode(path), photograph)


def test_broken_exif_counts_as_none(tmp_path, photograph):
    exif = b"Exif\0\0MM\0*\0\0\0\xff garbage"
    path = save(Image.fromarray(photograph), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode(path), photograph)


def truncated(tmp_path, name, fraction):
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    path = save(Image.fromarray(noise), tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.tiff"])
@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.6])
def test_truncated_file_is_refused_by_name(tmp_path, name, fraction):
    path = truncated(tmp_path, name, fraction)
    with pytest.raises(ImageError, match=name) as caught:
        decode(path)
    assert "again" in str(caught.value), "names the remedy"


def test_missing_empty_and_other_files_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"no\.jpg: no such image file"):
        decode(tmp_path / "no.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: an empty file"):
        decode(tmp_path / "empty.jpg")
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    with pytest.raises(ImageError, match=r"page\.jpg: not readable as an image"):
        decode(tmp_path / "page.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match=r"folder\.jpg: a folder"):
        decode(tmp_path / "folder.jpg")


def test_decompression_bomb_is_refused(tmp_path):
    # A PNG that claims 60000 x 60000 pixels in a hundred bytes.
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    with io.BytesIO() as data:
        data.write(b"\x89PNG\r\n\x1a\n")
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"0"))):
            data.write(struct.pack(">I", len(body)) + name + body)
            data.write(struct.pack(">I", zlib.crc32(name + body)))
        path.write_bytes(data.getvalue())
    with pytest.raises(ImageError, match=r"bomb\.png.*resize the image"):
        decode(path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"a\.jpg: .*pipe or socket, no file"):
        decode(tmp_path / "a.jpg")


def test_formats_that_other_programs_read_are_refused(tmp_path, monkeypatch):
    """Pillow would hand an EPS to Ghostscript, even one that is called .jpg."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: started.append(1))
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(ImageError, match="cannot identify"):
        decode(path)
    assert not started


def test_floating_point_pixels_are_refused(tmp_path):
    path = save(Image.fromarray(np.ones((2, 2), np.float32)), tmp_path / "a.tiff")
    with pytest.raises(ImageError, match="floating-point"):
        decode(path)


def test_decoding_leaves_no_file_open(tmp_path, photograph):
    path = save(Image.fromarray(photograph), tmp_path / "a.gif")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        decode(path)


def test_fast_square_decoding_hardly_differs(tmp_path, rng):
    small = rng.integers(0, 255, (30, 40, 3), np.uint8)
    large = Image.fromarray(small).resize((1600, 1200), Image.Resampling.BICUBIC)
    path = save(large, tmp_path / "a.jpg", quality=95)
    assert decode(path, at_least=128).shape[:2] == (150, 200), "decoded at 1/8"
    fast = images.decode_resized(path, size=64).astype(int)
    exact = images.resize_host(decode(path), 64).astype(int)
    assert np.abs(fast - exact).mean() < 0.7


def test_evaluation_view_agrees_with_pillow(rng):
    batch = rng.integers(0, 255, (2, 50, 70, 3), np.uint8)
    ours = images.evaluation_view(batch, size=24)
    theirs = np.stack([images.resize_host(image, 24) for image in batch])
    # Pillow rounds its result and its weights to 8 bits.
    assert np.abs(np.asarray(ours) - theirs).max() <= 1.01


def test_evaluation_view_of_the_right_size_changes_nothing(rng):
    batch = rng.integers(0, 255, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(images.evaluation_view(batch, size=8), batch)


def test_evaluation_view_keeps_a_constant_image():
    batch = np.full((1, 31, 17, 3), 200, np.uint8)
    np.testing.assert_allclose(images.evaluation_view(batch, size=9), 200.0, rtol=1e-6)


def coordinates(number, side):
    """Images whose pixels say where they are: (row, column, image)."""
    rows, columns = np.mgrid[0:side, 0:side]
    return np.stack(
        [np.stack([rows, columns, np.full_like(rows, i)], -1) for i in range(number)]
    ).astype(np.uint8)


training_view = jax.jit(images.training_view, static_argnames="size")


def test_training_view_is_a_crop_or_its_mirror(next_key):
    batch = coordinates(64, 20)
    crops = np.asarray(training_view(batch, size=12, key=next_key()))
    assert crops.shape == (64, 12, 12, 3)
    steps = crops[:, :, 1:, 1].astype(int) - crops[:, :, :-1, 1].astype(int)
    mirrored = (steps == -1).all(axis=(1, 2))
    assert (mirrored | (steps == 1).all(axis=(1, 2))).all()
    assert 10 < mirrored.sum() < 54, "about half are mirrored"
    np.testing.assert_array_equal(crops[:, 0, 0, 2], np.arange(64))
    assert (np.diff(crops[..., 0].astype(int), axis=1) == 1).all(), "never upside down"
    tops = crops[:, 0, 0, 0]
    assert set(tops.tolist()) == set(range(9)), "all nine positions occur"


def test_training_view_depends_on_the_key_alone(next_key):
    batch, key = coordinates(8, 20), next_key()
    once = training_view(batch, size=12, key=key)
    np.testing.assert_array_equal(once, training_view(batch, size=12, key=key))
    other = training_view(batch, size=12, key=next_key())
    assert not np.array_equal(once, other)


def test_appended_images_change_no_crop(next_key):
    batch, key = coordinates(8, 20), next_key()
    few = training_view(batch[:5], size=12, key=key)
    many = training_view(batch, size=12, key=key)
    np.testing.assert_array_equal(few, many[:5])


def test_views_are_batched_by_vmap(next_key):
    users = np.stack([coordinates(8, 20), coordinates(8, 20)])
    keys = jnp.stack([next_key(), next_key()])
    crops = jax.vmap(lambda x, key: training_view(x, size=12, key=key))(users, keys)
    alone = training_view(users[1], size=12, key=keys[1])
    np.testing.assert_array_equal(crops[1], alone)
    whole = jax.vmap(lambda x: images.evaluation_view(x, size=5))(users)
    assert whole.shape == (2, 8, 5, 5, 3)


def test_center_view_by_hand():
    batch = coordinates(2, 7)
    np.testing.assert_array_equal(images.center_view(batch, size=3), batch[:, 2:5, 2:5])


def test_five_views_are_corners_and_center():
    batch = coordinates(1, 7)
    views = images.five_views(batch, size=3)[0]
    tops_and_lefts = np.asarray(views[:, 0, 0, :2]).tolist()
    assert tops_and_lefts == [[0, 0], [0, 4], [4, 0], [4, 4], [2, 2]]


def test_crop_larger_than_the_image_is_refused(next_key):
    with pytest.raises(ValueError, match="crop of 9 px does not fit into images of 7"):
        images.training_view(coordinates(1, 7), size=9, key=next_key())


def test_normalise_by_hand():
    pixels = np.array([[[[0, 51, 255]]]], np.uint8)
    expected = [[[[(0 - 0.5) / 0.25, (0.2 - 0.4) / 0.5, (1 - 0.2) / 2]]]]
    options = {"mean": (0.5, 0.4, 0.2), "std": (0.25, 0.5, 2.0)}
    normalised = images.normalise(pixels, **options)
    assert normalised.dtype == jnp.float32
    np.testing.assert_allclose(normalised, expected, rtol=1e-6)
    from_float = images.normalise(pixels.astype(np.float32), **options)
    np.testing.assert_array_equal(normalised, from_float)
    one = images.normalise(pixels[0], **options)
    np.testing.assert_array_equal(normalised[0], one)
