"""Brushes for a batch of pictures: soft-edged shapes, textures, colours, lens blur.

Positions and lengths are fractions of the picture's side, x to the right, y downwards.
A batch is `Float["image 3 size size"]` in [0, 1] and is painted in place, for speed;
masks and per-image numbers are `Float["image size size"]` and `Float["image 1 1"]`.
Everything is float32 and elementwise per image, so that the bits of a picture do not
depend on its batch.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Shaped

from jiaa.data.synthetic import world

DRAWS = 48
COLOR_SLOTS = 16
LATTICES = (5, 9, 17, 33)

Batch = Float[np.ndarray, "image 3 size size"]
Mask = Float[np.ndarray, "#image #size #size"]
Color = Float[np.ndarray, "image 3 1 1"]
Number = Float[np.ndarray, "image 1 1"] | float | int


@dataclasses.dataclass(frozen=True, eq=False)
class Shot:
    """All that the brushes know of a batch: attributes, draws and textures."""

    size: int
    levels: Float[np.ndarray, "image 10"]
    draws: Float[np.ndarray, "image draw"]
    hue_draws: Float[np.ndarray, "image slot"]
    clouds: Float[np.ndarray, "image size size"]
    fibres: Float[np.ndarray, "image size size"]
    ridges: Float[np.ndarray, "ridge image 1 size"]
    grain: Float[np.ndarray, "image size size"]

    @property
    def x(self) -> Float[np.ndarray, "1 1 size"]:
        """Pixel centres, rightwards in (0, 1)."""
        return _centres(self.size)[None, None, :]

    @property
    def y(self) -> Float[np.ndarray, "1 size 1"]:
        """Pixel centres, downwards in (0, 1)."""
        return _centres(self.size)[None, :, None]

    def level(self, attribute: str) -> Float[np.ndarray, "image 1 1"]:
        """An attribute, mapped from [-1, 1] to [0, 1]."""
        return self.levels[:, world.ATTRIBUTES.index(attribute), None, None]

    def draw(
        self, slot: int, low: float | int = 0.0, high: float | int = 1.0
    ) -> Float[np.ndarray, "image 1 1"]:
        """The image's own uniform number of this slot, in [low, high)."""
        u = self.draws[:, slot, None, None]
        return np.float32(low) + np.float32(high - low) * u

    def color(
        self,
        slot: int,
        hue: float,
        saturation: float,
        value: float,
        *,
        vary: float = 0.04,
    ) -> Color:
        """An RGB colour; harmony pulls its hue to the picture's axis, discord away.

        The axis lies near blue and its complement orange, as in graded film. `vary` is
        how far the natural hue strays.
        """
        harmony = self.level("color_harmony")[:, 0, 0]
        own, astray = self.hue_draws[:, slot], self.hue_draws[:, -1 - slot]
        natural = hue + vary * (2 * own - 1)
        axis = 0.46 + 0.24 * self.hue_draws[:, COLOR_SLOTS]
        gap = np.mod(natural - axis + 0.25, 0.5) - 0.25
        discord = np.clip(1 - 1.6 * harmony, 0, 1) * (astray - 0.5) * 0.7
        accord = np.clip(1.6 * harmony - 0.6, 0, 1) * gap * 0.85
        turned = np.mod(natural + discord - accord, 1.0)
        varied = np.clip(value * (0.88 + 0.24 * astray), 0, 1)
        return hsv_to_rgb(turned, np.float32(saturation), varied)


def hsv_to_rgb(hue, saturation, value) -> Color:
    """Hue in turns; any broadcastable shapes of one axis."""
    sector = np.mod(
        np.asarray(hue)[:, None] * 6 + np.array([5.0, 3.0, 1.0], np.float32), 6.0
    )
    tent = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    value = np.asarray(value)[:, None]
    return (value - value * saturation * tent).astype(np.float32)[:, :, None, None]


@functools.cache
def _centres(size: int) -> Float[np.ndarray, " size"]:
    return ((np.arange(size) + 0.5) / size).astype(np.float32)


@functools.cache
def _interpolation(size: int, knots: int) -> Float[np.ndarray, "size knot"]:
    """Smoothstep interpolation from `knots` points on [0, 1] to pixel centres."""
    position = _centres(size).astype(np.float64) * (knots - 1)
    left = np.minimum(position.astype(int), knots - 2)
    t = position - left
    t = t * t * (3 - 2 * t)
    matrix = np.zeros((size, knots), np.float32)
    matrix[np.arange(size), left] = 1 - t
    matrix[np.arange(size), left + 1] = t
    return matrix


def _matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a @ b`, a few rows of `a` at a time.

    OpenBLAS starts its own threads above 2^18 multiply-adds. Under the renderer's
    threads they made a picture of 128 pixels 30 times slower.
    """
    rows = max(1, 2**18 // (b.shape[-1] * b.shape[-2]))
    if rows >= a.shape[-2]:
        return a @ b
    blocks = [
        a[..., start : start + rows, :] @ b for start in range(0, a.shape[-2], rows)
    ]
    return np.concatenate(blocks, axis=-2)


def symmetrise(
    lattice: Float[np.ndarray, "... knot"], odd: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "... knot"]:
    """Keeps the part that mirrors left to right and scales the rest by `odd`."""
    mirror = lattice[..., ::-1]
    return 0.5 * (lattice + mirror) + 0.5 * odd * (lattice - mirror)


def texture(
    lattices: list[Float[np.ndarray, "image _ _"]], size: int, *, decay: float
) -> Float[np.ndarray, "image size size"]:
    """Fractal noise about zero, within about [-1, 1]; `decay` is an octave's share."""
    total = np.zeros((len(lattices[0]), size, size), np.float32)
    for octave, lattice in enumerate(lattices):
        matrix = _interpolation(size, lattice.shape[-1])
        weight = np.float32(2.2 * decay**octave)
        columns = _matmul(lattice - np.float32(0.5), matrix.T)
        total += weight * _matmul(matrix, columns)
    return total


def profile(
    lattice: Float[np.ndarray, "image knot"], size: int
) -> Float[np.ndarray, "image 1 size"]:
    """A smooth line over x, within [-1, 1]."""
    return (2 * lattice - 1)[:, None, :] @ _interpolation(size, lattice.shape[-1]).T


def paint(image: Batch, mask: Mask, color: Float[np.ndarray, "#image 3 ..."]) -> None:
    """Lays a colour (or a picture) over the batch where the mask is 1, in place."""
    layer = color - image
    layer *= mask[:, None]
    image += layer


def shade(image: Batch, mask: Mask, amount: Float[np.ndarray, "..."] | float) -> None:
    """Brightens (amount > 0) or darkens the batch where the mask is 1, in place."""
    image *= (1 + mask * amount)[:, None]


def cover(shot: Shot, distance: Float[np.ndarray, "..."]) -> Mask:
    """1 where a signed distance is negative, with an edge one pixel wide."""
    distance = distance * np.float32(-shot.size)
    distance += np.float32(0.5)
    return np.clip(distance, 0, 1, out=distance)


def disc(
    shot: Shot, cx: Number, cy: Number, rx: Number, ry: Number | None = None
) -> Mask:
    """A disc, or an ellipse when `ry` differs from `rx`."""
    ry = rx if ry is None else ry
    return cover(shot, (radius(shot, cx, cy, rx, ry) - 1) * np.minimum(rx, ry))


def radius(shot: Shot, cx: Number, cy: Number, rx: Number, ry: Number) -> Mask:
    """Distance from a centre, 1 on the ellipse with these half axes."""
    return np.sqrt(((shot.x - cx) / rx) ** 2 + ((shot.y - cy) / ry) ** 2)


def box(
    shot: Shot, cx: Number, cy: Number, half_width: Number, half_height: Number
) -> Mask:
    """An upright rectangle."""
    return cover(
        shot,
        np.maximum(abs(shot.x - cx) - half_width, abs(shot.y - cy) - half_height),
    )


def triangle(
    shot: Shot, cx: Number, base: Number, half_width: Number, height: Number
) -> Mask:
    """Stands on y = base; a negative height hangs from it."""
    sign = np.sign(height)
    up = (base - shot.y) * sign
    slant = abs(shot.x - cx) - half_width * (1 - up / abs(height))
    return cover(shot, np.maximum(slant, -up))


def capsule(
    shot: Shot, x0: Number, y0: Number, x1: Number, y1: Number, thickness: Number
) -> Mask:
    """A thick line with round ends."""
    dx, dy = x1 - x0, y1 - y0
    px, py = shot.x - x0, shot.y - y0
    t = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    gap = np.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2)
    return cover(shot, gap - thickness)


def below(shot: Shot, line: Float[np.ndarray, "image 1 #size"] | float) -> Mask:
    """Everything under y = line(x)."""
    return cover(shot, line - shot.y)


def glow(shot: Shot, cx: Number, cy: Number, reach: Number) -> Mask:
    """A light that falls off smoothly; half strength at `reach`."""
    squared = ((shot.x - cx) ** 2 + (shot.y - cy) ** 2) / (reach * reach)
    return 1 / (1 + squared * squared)


def blur(
    image: Batch, sigma: Float[np.ndarray, " image"]
) -> Float[np.ndarray, "image 3 size size"]:
    """Gaussian lens blur, one width (fraction of the side) an image."""
    centres = _centres(image.shape[-1])
    scaled = (centres[:, None] - centres[None, :])[None] / sigma[:, None, None]
    # Without the floor the far tails are denormal, and 50 times slower to multiply.
    kernel = np.exp(np.maximum(-0.5 * scaled * scaled, -20))
    kernel /= kernel.sum(-1, keepdims=True)
    across = np.ascontiguousarray(np.swapaxes(kernel, -1, -2))
    return _matmul(kernel[:, None], _matmul(image, across[:, None]))


def as_uint8(image: Batch) -> Shaped[np.ndarray, "image size size 3"]:
    """Rounded to bytes, channels last."""
    scaled = np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 3, 1))
