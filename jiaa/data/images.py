"""Pictures in and out: decoding on the host, crops and normalisation on the device.

The released programs squash every photograph to 256 x 256 and train on flipped 224 x
224 crops of that (`training_view`), while query images are squashed to 224 x 224 whole
(`evaluation_view`).
"""

import contextlib
import functools
import io
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Num, UInt8
from PIL import Image, ImageOps

try:  # a package of its own, because of its licence and size
    import pillow_heif  # pyright: ignore[reportMissingImports]
except ImportError:
    HAS_HEIF = False
else:
    HAS_HEIF = True
    pillow_heif.register_heif_opener()

HEIF = (".heic", ".heif")
# A photograph's formats, whatever a file is called. Pillow knows others, some of which
# it hands to programs (EPS to Ghostscript).
FORMATS = "JPEG JPEG2000 MPO PNG WEBP AVIF HEIF GIF TIFF BMP PPM".split()
AnyPath = str | os.PathLike[str]
Size = int | tuple[int, int]  # a square's side, or (height, width)
Shapes = tuple[tuple[int, int], ...]  # (height, width) of each


class ImageError(ValueError):
    """A picture that cannot be read; the message names file, finding and remedy."""


def decode(
    photograph: AnyPath | bytes, *, at_least: int | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """A photograph as a person sees it: upright, opaque 8-bit RGB.

    It is a file's path, or the file's content as bytes.

    EXIF rotation is applied; transparency is laid on white; of an animation the first
    frame counts; 16-bit grey is scaled. `at_least` allows a large JPEG to be reduced by
    2, 4 or 8 while decoding, as long as both sides keep that many pixels.

    Raises:
      ImageError: the file is missing, empty, truncated, no image, or so large that
        unpacking it may exhaust the memory.
    """
    return np.array(_opened(photograph, at_least))


def sides(size: Size) -> tuple[int, int]:
    """(height, width) of a size, which is one number for a square."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def nearest_shape(size: tuple[int, int], shapes: Shapes) -> tuple[int, int]:
    """Of `shapes`, that whose sides relate most as those of an image of this size.

    Sizes are (height, width); squashing to it distorts least.
    """
    wanted = math.log(size[1] / size[0])
    return min(shapes, key=lambda shape: abs(math.log(shape[1] / shape[0]) - wanted))


def resize_host(
    image: UInt8[np.ndarray, "height width 3"], size: Size, *, shapes: Shapes = ()
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """The whole image squashed to `size`; bilinear with antialiasing.

    To the nearest of `shapes` instead, where there are any (`nearest_shape`).
    """
    return _squashed(Image.fromarray(image), size, shapes)


def decode_resized(
    photograph: AnyPath | bytes, *, size: Size, shapes: Shapes = ()
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """`decode` and `resize_host` in one, faster on large JPEGs.

    JPEG decoding stops at twice the size, so that the last reduction still averages
    pixels: on a noisy 12-megapixel photograph this halves the time and moves values by
    0.3 of 255 on average, 3 at most.
    """
    longest = max(max(sides(one)) for one in (size, *shapes))
    return _squashed(_opened(photograph, at_least=2 * longest), size, shapes)


def rgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """An image that Pillow has opened, as `decode` gives those of files."""
    return np.array(_to_rgb(_upright(image.copy())))


def _opened(photograph: AnyPath | bytes, at_least: int | None) -> Image.Image:
    encoded = isinstance(photograph, bytes)
    path = Path("(encoded image)") if encoded else Path(photograph)
    try:
        if not encoded:
            _require_file(path)
        source = io.BytesIO(photograph) if encoded else path
        with Image.open(source, formats=_formats()) as image:
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            return _to_rgb(_upright(image))
    except Exception as error:  # Pillow's parsers raise anything on a broken file
        raise ImageError(_describe(path, error)) from error


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _require_file(path: Path) -> None:
    """Refuses what a read would wait for, or never end on: pipes, devices, sockets."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("a device, pipe or socket, no file")


def _squashed(image: Image.Image, size: Size, shapes: Shapes = ()) -> np.ndarray:
    if shapes:
        size = nearest_shape((image.height, image.width), shapes)
    height, width = sides(size)
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def _upright(image: Image.Image) -> Image.Image:
    """`image` turned as its EXIF orientation says; broken EXIF counts as none."""
    image.load()
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("32-bit floating-point pixels, whose white is unknown")
    if image.mode.startswith("I"):
        return _from_deep_grey(image)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8: `convert` alone would clip everything above 255."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"grey values {grey.min()}..{grey.max()}, beyond 16 bits")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(grey == transparent, 65535, grey)
    return Image.fromarray(np.round(grey / 257).astype(np.uint8)).convert("RGB")


def _describe(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such image file; correct the name or add the file"
    if path.is_dir():
        return f"{path}: a folder, where an image file is expected"
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size == 0:
            return f"{path}: an empty file (0 bytes); copy the photograph again"
    bombs = Image.DecompressionBombError, Image.DecompressionBombWarning
    if isinstance(error, bombs):
        return f"{path}: {error}; resize the image if you trust where it comes from"
    if path.suffix.lower() in HEIF and not HAS_HEIF:
        return (
            f"{path}: a HEIC photograph, which needs the package pillow-heif: "
            "pip install 'jiaa[heic]', or export it as JPEG"
        )
    found = str(error) or type(error).__name__
    return (
        f"{path}: not readable as an image ({found}); expected a complete JPEG, PNG, "
        "WebP, GIF, TIFF or BMP. Copy or export the photograph again, or remove it"
    )


def training_view(
    images: UInt8[Array | np.ndarray, "image height width 3"],
    *,
    size: int,
    key: Key[Array, ""],
) -> UInt8[Array, "image {size} {size} 3"]:
    """A random size x size crop of each image, mirrored half of the time.

    Image `i` draws from `fold_in(key, i)`: images appended for padding change nothing.
    """
    _require_room(images.shape[1:3], size)
    rows = jnp.arange(images.shape[0])
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)
    crops = jax.vmap(lambda image, key: _crop_and_flip(image, size=size, key=key))
    return crops(jnp.asarray(images), keys)


def center_view(
    images: UInt8[Array | np.ndarray, "image height width 3"], *, size: int
) -> UInt8[Array, "image {size} {size} 3"]:
    """The central size x size crop of each image."""
    _require_room(images.shape[1:3], size)
    top, left = ((side - size) // 2 for side in images.shape[1:3])
    return jnp.asarray(images)[:, top : top + size, left : left + size]


def five_views(
    images: Num[Array | np.ndarray, "image height width 3"], *, size: int
) -> UInt8[Array, "image 5 {size} {size} 3"]:
    """The four corner crops and the central one, over which PAM averages scores."""
    _require_room(images.shape[1:3], size)
    images = jnp.asarray(images)
    corners = [
        images[:, rows, columns]
        for rows in (slice(size), slice(-size, None))
        for columns in (slice(size), slice(-size, None))
    ]
    return jnp.stack([*corners, center_view(images, size=size)], axis=1)


def evaluation_view(
    images: Num[Array | np.ndarray, "image height width 3"], *, size: Size
) -> Float[Array, "image new_height new_width 3"]:
    """Each whole image resized to `size`, values 0..255, not rounded."""
    pixels = jnp.asarray(images).astype(jnp.float32)
    shape = (*sides(size), 3)
    if pixels.shape[1:] == shape:
        return pixels
    resize = functools.partial(jax.image.resize, shape=shape, method="linear")
    return jax.vmap(resize)(pixels)


def normalise(
    images: Num[Array | np.ndarray, "*batch height width 3"],
    *,
    mean: Sequence[float],
    std: Sequence[float],
) -> Float[Array, "*batch height width 3"]:
    """(pixels / 255 - mean) / std in float32; `images` hold 0..255, uint8 or float."""
    per_channel = (1,) * (images.ndim - 1) + (3,)
    mean_pixel = jnp.asarray(mean, jnp.float32).reshape(per_channel)
    std_pixel = jnp.asarray(std, jnp.float32).reshape(per_channel)
    return (jnp.asarray(images).astype(jnp.float32) / 255 - mean_pixel) / std_pixel


def _crop_and_flip(image: Array, *, size: int, key: Key[Array, ""]) -> Array:
    # One draw for all three: `randint` would compile four times as long.
    down, across, flip = jax.random.uniform(key, (3,))
    top = (down * (image.shape[0] - size + 1)).astype(jnp.int32)
    left = (across * (image.shape[1] - size + 1)).astype(jnp.int32)
    crop = jax.lax.dynamic_slice(image, (top, left, 0), (size, size, 3))
    return jnp.where(flip < 0.5, crop[:, ::-1], crop)


def _require_room(shape: Sequence[int], size: int) -> None:
    if min(shape) < size:
        raise ValueError(
            f"a crop of {size} px does not fit into images of {shape[0]} x {shape[1]} "
            "px; load the images at a larger size or lower the crop"
        )
