"""Procedural photographs whose ten attributes and content class are set and visible."""

import concurrent.futures
import dataclasses
import os

import numpy as np
from jaxtyping import Float, Int, UInt8
from tqdm import tqdm

from jiaa.data.synthetic import draw, world
from jiaa.data.synthetic.composition import Layout, compose, oddness
from jiaa.data.synthetic.draw import Batch, Shot, box, cover, disc, paint, shade
from jiaa.data.synthetic.scenes import SCENES

# Pixels that are painted at once: small enough to stay in a core's cache.
_BATCH_PIXELS = 24 * 64 * 64

# Correlations of the attributes' normal scores; the rest are independent.
_CORRELATIONS = {
    ("color_harmony", "vivid_color"): 0.2,
    ("interesting_content", "object"): 0.25,
    ("depth_of_field", "object"): 0.25,
    ("light", "vivid_color"): 0.2,
    ("rule_of_thirds", "symmetry"): -0.35,
    ("repetition", "symmetry"): 0.2,
    ("balancing_elements", "symmetry"): 0.2,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What is true of some images: attributes in [-1, 1], content as an index."""

    group: world.Group
    index: Int[np.ndarray, " image"]
    attributes: Float[np.ndarray, "image 10"]
    content: Int[np.ndarray, " image"]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.index)


def attribute_covariance() -> Float[np.ndarray, "10 10"]:
    """Covariance of the normal scores behind the attributes (unit variances)."""
    covariance = np.eye(len(world.ATTRIBUTES))
    for (a, b), value in _CORRELATIONS.items():
        i, j = world.ATTRIBUTES.index(a), world.ATTRIBUTES.index(b)
        covariance[i, j] = covariance[j, i] = value
    return covariance


def draw_facts(images: int, *, seed: int, group: world.Group) -> Facts:
    """Facts of images 0..images-1 of a group; a longer draw begins with a shorter."""
    factor = np.linalg.cholesky(attribute_covariance())
    attributes = np.empty((images, len(world.ATTRIBUTES)), np.float32)
    content = np.empty(images, np.int32)
    for i in range(images):
        rng = world.stream(seed, "facts", group, i)
        content[i] = rng.integers(len(world.CONTENTS))
        attributes[i] = np.tanh(0.9 * (factor @ rng.standard_normal(len(factor))))
    return Facts(group, np.arange(images), attributes, content)


def photograph(
    facts: Facts,
    *,
    seed: int,
    size: int,
    workers: int | None = None,
    progress: bool = False,
) -> UInt8[np.ndarray, "image size size 3"]:
    """Renders the images at `size` pixels a side, in threads (NumPy frees the lock).

    The same seed gives the same bits whatever `workers` (default: one per usable core)
    and whichever images are rendered together; another size shows the same scenes.
    """
    if size < 16:
        raise ValueError(f"size={size} pixels is too small to show a scene. Use >= 16.")
    order = np.argsort(facts.content, kind="stable")
    step = max(1, _BATCH_PIXELS // size**2)
    breaks = np.flatnonzero(np.diff(facts.content[order])) + 1
    batches = [
        run[start : start + step]
        for run in np.split(order, breaks)
        for start in range(0, len(run), step)
    ]
    images = np.empty((len(facts), size, size, 3), np.uint8)

    def fill(rows: Int[np.ndarray, " image"]) -> int:
        images[rows] = _render(facts, rows, seed=seed, size=size)
        return len(rows)

    with (
        concurrent.futures.ThreadPoolExecutor(workers or _usable_cores()) as pool,
        tqdm(
            total=len(facts), desc="photographs", unit="image", disable=not progress
        ) as bar,
    ):
        for done in pool.map(fill, batches):
            bar.update(done)
    return images


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _render(
    facts: Facts, rows: Int[np.ndarray, " image"], *, seed: int, size: int
) -> UInt8[np.ndarray, "image size size 3"]:
    """One batch of images, all of one content class."""
    shot = _take_shot(facts, rows, seed=seed, size=size)
    at = compose(shot)
    backdrop, subject = SCENES[world.CONTENTS[facts.content[rows[0]]]]
    image = backdrop(shot, at)
    _repeat(shot, at, image)
    _clutter(shot, at, image)
    depth = shot.level("depth_of_field")[:, 0, 0]
    image = draw.blur(image, 0.003 + 0.055 * np.clip(depth - 0.25, 0, 1) ** 1.5)
    _spotlight(shot, at, image)
    _counterweight(shot, at, image)
    subject(shot, at, image)
    _curiosities(shot, at, image)
    return draw.as_uint8(_develop(shot, at, image))


def _take_shot(
    facts: Facts, rows: Int[np.ndarray, " image"], *, seed: int, size: int
) -> Shot:
    """Draws each image's own numbers; textures' odd parts shrink with symmetry."""
    levels = (facts.attributes[rows] + 1) / 2
    sizes = draw.LATTICES
    widths = [draw.DRAWS, draw.COLOR_SLOTS * 2 + 1, 9 * 3, *(n * n for n in sizes)]
    uniforms = np.empty((len(rows), sum(widths) + sum(widths[3:])), np.float32)
    grain = np.empty((len(rows), size, size), np.float32)
    for k, row in enumerate(rows):
        rng = world.stream(seed, "pixels", facts.group, int(facts.index[row]))
        rng.random(out=uniforms[k], dtype=np.float32)
        rng.standard_normal(out=grain[k], dtype=np.float32)
    cuts = np.cumsum([*widths, *widths[3:]])[:-1]
    draws, hues, ridges, *lattices = np.split(uniforms, cuts, axis=1)
    odd = oddness(levels)[:, None, None]
    fields = [
        draw.symmetrise(lattice.reshape(-1, n, n), odd)
        for lattice, n in zip(lattices, sizes * 2, strict=True)
    ]
    lines = draw.symmetrise(ridges.reshape(-1, 3, 9), odd)
    return Shot(
        size=size,
        levels=levels,
        draws=draws,
        hue_draws=hues,
        clouds=draw.texture(fields[: len(sizes)], size, decay=0.5),
        fibres=draw.texture(fields[len(sizes) :], size, decay=0.75),
        ridges=np.stack([draw.profile(lines[:, k], size) for k in range(3)]),
        grain=grain,
    )


def _repeat(shot: Shot, at: Layout, image: Batch) -> None:
    """A regular row of alike things across the picture: posts, discs or diamonds."""
    strength = np.clip(1.7 * shot.level("repetition") - 0.55, 0, 1)
    count = np.floor(shot.draw(4, 5, 9))
    cell = (np.mod((shot.x - 0.5) * count + 0.5, 1) - 0.5) / count
    y = shot.y - np.minimum(at.horizon + 0.1, 0.8)
    half = 0.3 / count
    kind = shot.draw(5)
    post = np.maximum(abs(cell) - 0.5 * half, abs(y) - 2.2 * half)
    ball = np.sqrt(cell * cell + y * y) - 1.1 * half
    diamond = (abs(cell) + 0.6 * abs(y)) - 1.2 * half
    shape = np.where(kind < 0.34, post, np.where(kind < 0.67, ball, diamond))
    row = cover(shot, shape)
    paint(image, strength * row, shot.color(12, 0.1, 0.35, 0.85, vary=0.4))
    shade(image, strength * row, -0.4 * y / half * 0.5)


def _clutter(shot: Shot, at: Layout, image: Batch) -> None:
    """Distracting odds and ends, when the object is not emphasised."""
    amount = np.clip(1.3 - 1.9 * shot.level("object"), 0, 0.9)
    for k in range(4):
        x = 0.5 + (shot.draw(38 + k) - 0.5) * (0.35 + 0.6 * at.odd)
        y = at.horizon + shot.draw(42 + k, -0.1, 0.35)
        thing = box(
            shot, x, y, shot.draw(34 + k, 0.02, 0.06), shot.draw(30 + k, 0.02, 0.07)
        )
        paint(image, amount * thing, shot.color(8 + k, 0.6, 0.25, 0.5, vary=0.5))


def _spotlight(shot: Shot, at: Layout, image: Batch) -> None:
    """Darkens what is far from an emphasised object, and sets it off by a halo."""
    amount = np.clip(1.5 * shot.level("object") - 0.5, 0, 1)
    near = draw.glow(shot, at.cx, at.cy, 1.5 * at.scale)
    shade(image, 1 - near, -0.45 * amount)
    shade(image, near, 0.15 * amount)
    shadow = disc(shot, at.cx, at.cy + 1.05 * at.scale, at.scale, 0.15 * at.scale)
    shade(image, shadow, -0.35)


def _counterweight(shot: Shot, at: Layout, image: Batch) -> None:
    """A second thing on the other side of the middle that balances the subject."""
    weight = np.clip(1.6 * shot.level("balancing_elements") - 0.5, 0, 1)
    r = 0.02 + 0.62 * at.scale * weight
    x = np.where(abs(at.cx - 0.5) < 0.08, 0.5 + 0.34 * at.side, 1 - at.cx)
    y = at.cy + at.scale - r
    stone = disc(shot, x, y, r, 0.85 * r) * (weight > 0)
    paint(image, stone, shot.color(13, 0.07, 0.35, 0.6, vary=0.5))
    shade(image, stone, -0.5 * (shot.y - y) / r + 0.3 * shot.fibres)


def _curiosities(shot: Shot, at: Layout, image: Batch) -> None:
    """What makes content interesting: balloons in the air, one after another."""
    level = shot.level("interesting_content")
    for k in range(4):
        amount = np.clip(5 * level - 1.2 - 0.8 * k, 0, 1)
        x = 0.5 + (shot.draw(6 + k) - 0.5) * 0.9
        x = np.where(at.odd < 0.3, 0.14 + 0.24 * k, x).astype(np.float32)
        y, r = shot.draw(10 + k, 0.08, 0.36), shot.draw(14 + k, 0.025, 0.05)
        balloon = disc(shot, x, y, r, 1.2 * r)
        paint(
            image,
            amount * balloon,
            shot.color(11 + k, (0.0, 0.13, 0.6, 0.85)[k], 0.85, 0.95),
        )
        shade(image, amount * balloon, (x - shot.x) / r * 0.35 * at.side)
        paint(
            image,
            amount * box(shot, x, y + 1.7 * r, 0.006, 0.5 * r),
            0.2 * np.ones((1, 3, 1, 1), np.float32),
        )


def _develop(shot: Shot, at: Layout, image: Batch) -> Batch:
    """Exposure and contrast (light), saturation (vivid colour), vignette and grain."""
    light, vivid = shot.level("light"), shot.level("vivid_color")
    gray = 0.3 * image[:, 0] + 0.59 * image[:, 1] + 0.11 * image[:, 2]
    saturation = (0.15 + 1.55 * vivid)[:, None]
    image = gray[:, None] + saturation * (image - gray[:, None])
    contrast = 0.62 + 0.5 * light
    exposure = 0.74 + 0.48 * light
    lamp = 1 - 0.25 * light * at.odd * at.side * (shot.x - 0.5)
    corner = 1 - 0.45 * ((shot.x - 0.5) ** 2 + (shot.y - 0.5) ** 2)
    image = 0.36 + contrast[:, None] * (image - 0.36)
    image *= (exposure * lamp * corner)[:, None]
    image += ((0.006 + 0.016 * (1 - light)) * shot.grain)[:, None]
    return image
