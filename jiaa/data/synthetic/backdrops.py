"""What stands behind the subject, one function a content class; paints all over."""

import numpy as np

from jiaa.data.synthetic.composition import Layout
from jiaa.data.synthetic.draw import (
    Batch,
    Mask,
    Number,
    Shot,
    below,
    box,
    cover,
    disc,
    glow,
    paint,
    shade,
)


def _blank(shot: Shot, color: np.ndarray) -> Batch:
    shape = (len(shot.levels), 3, shot.size, shot.size)
    return np.ascontiguousarray(np.broadcast_to(color, shape), dtype=np.float32)


def _gradient(shot: Shot, top: np.ndarray, bottom: np.ndarray, end: Number) -> Batch:
    """From `top` at y = 0 to `bottom` at y = end."""
    t = np.clip(shot.y / end, 0, 1)[:, None]
    return _blank(shot, top + t * (bottom - top))


def _sky(shot: Shot, at: Layout, *, haze: float = 0.25) -> Batch:
    """Blue above, pale or warm at the horizon; clouds; a sun when light is good."""
    warm = shot.draw(20)[:, None]
    low = shot.color(1, 0.09, 0.5, 0.95) * warm + shot.color(2, 0.56, haze, 0.93) * (
        1 - warm
    )
    image = _gradient(shot, shot.color(0, 0.59, 0.72, 0.78), low, at.horizon)
    thickness = shot.draw(21, -0.3, 0.55)
    clouds = np.clip(1.7 * (shot.clouds + thickness), 0, 1) * 0.8
    paint(image, clouds, shot.color(3, 0.6, 0.06, 0.97, vary=0.1))
    x, y = _sun(shot, at)
    sun = glow(shot, x, y, 0.05 + 0.1 * at.light) * np.clip(1.6 * at.light - 0.5, 0, 1)
    paint(image, sun, np.array([1.0, 0.96, 0.82], np.float32)[None, :, None, None])
    return image


def _sun(shot: Shot, at: Layout):
    """Opposite the subject, but on the axis when the picture is symmetric."""
    return 0.5 - 0.28 * at.side * at.odd, at.horizon * shot.draw(22, 0.2, 0.75)


def _ground(shot: Shot, image: Batch, line, color, *, streak: float = 0.3) -> Mask:
    """Land or water from `line` down, nearer is darker, with a texture."""
    mask = below(shot, line)
    paint(image, mask, color)
    shade(image, mask, streak * shot.fibres - 0.35 * (shot.y - line))
    return mask


def _ridge(shot: Shot, at: Layout, index: int, height: float, offset: float):
    return at.horizon + offset + height * shot.ridges[index]


def landscape(shot: Shot, at: Layout) -> Batch:
    """Snowy mountains, wooded hills, a meadow."""
    image = _sky(shot, at)
    peaks = _ridge(shot, at, 0, 0.22, -0.1)
    mask = below(shot, peaks)
    paint(image, mask, shot.color(4, 0.62, 0.3, 0.55))
    snow = mask * np.clip(1 - (shot.y - peaks) * 14 + 2 * shot.clouds, 0, 1)
    paint(image, snow, shot.color(5, 0.6, 0.05, 0.93))
    _ground(shot, image, _ridge(shot, at, 1, 0.1, -0.01), shot.color(6, 0.36, 0.5, 0.4))
    _ground(
        shot, image, _ridge(shot, at, 2, 0.07, 0.09), shot.color(7, 0.27, 0.62, 0.58)
    )
    return image


def seaside(shot: Shot, at: Layout) -> Batch:
    """Waves, a glint of sun, surf and sand."""
    image = _sky(shot, at)
    sea = _ground(shot, image, at.horizon, shot.color(4, 0.54, 0.65, 0.55), streak=0.12)
    depth = np.maximum(shot.y - at.horizon, 0) + 0.03
    waves = np.sin(2.4 / depth + 9 * shot.clouds + 40 * shot.draw(24))
    shade(image, sea, 0.16 * waves)
    x, _ = _sun(shot, at)
    glint = (
        sea
        * np.exp(-(((shot.x - x) / (0.05 + 0.3 * depth)) ** 2))
        * (0.5 + 0.5 * waves)
    )
    paint(image, 0.8 * at.light * glint, shot.color(5, 0.13, 0.25, 1.0))
    shore = np.minimum(at.horizon + 0.3, 0.9) + 0.06 * shot.ridges[1]
    foam = below(shot, shore - 0.025)
    paint(image, 0.7 * foam, shot.color(6, 0.55, 0.05, 0.97))
    _ground(shot, image, shore, shot.color(7, 0.11, 0.42, 0.82), streak=0.2)
    return image


def city(shot: Shot, at: Layout) -> Batch:
    """Two rows of houses with lit windows, a street."""
    image = _sky(shot, at, haze=0.12)
    for layer, (bricks, value) in enumerate(((11, 0.62), (7, 0.45))):
        cell = np.floor(shot.x * bricks) / bricks * (shot.size - 1)
        line = np.take(shot.ridges[layer], cell[0, 0].astype(int), axis=-1)
        roofs = at.horizon - 0.14 + 0.1 * layer + 0.2 * line
        mask = below(shot, roofs)
        paint(image, mask, shot.color(4 + layer, 0.08 + 0.5 * layer, 0.22, value))
        lit = (np.mod(shot.x * bricks * 3, 1) > 0.4) & (np.mod(shot.y * 26, 1) > 0.45)
        window = mask * lit * (shot.y < at.horizon + 0.12) * 0.5
        paint(image, window, shot.color(6, 0.13, 0.35, 0.85))
    street = _ground(
        shot, image, at.horizon + 0.16, shot.color(7, 0.62, 0.1, 0.38), streak=0.12
    )
    lane = np.exp(-(((shot.x - 0.5) / (0.03 + 0.1 * (shot.y - at.horizon))) ** 2))
    paint(
        image,
        0.6 * street * lane * (np.mod(9 * shot.y, 1) > 0.5),
        shot.color(15, 0.14, 0.3, 0.9),
    )
    return image


def animal(shot: Shot, at: Layout) -> Batch:
    """A grassy field before hills."""
    image = _sky(shot, at, haze=0.1)
    _ground(
        shot,
        image,
        _ridge(shot, at, 0, 0.12, -0.04),
        shot.color(4, 0.34, 0.45, 0.42),
        streak=0.6,
    )
    grass = _ground(
        shot,
        image,
        _ridge(shot, at, 1, 0.05, 0.06),
        shot.color(5, 0.23, 0.6, 0.6),
        streak=0.45,
    )
    shade(
        image,
        grass,
        0.3 * np.sin(170 * shot.x + 12 * shot.clouds) * np.sin(40 * shot.y),
    )
    return image


def portrait(shot: Shot, at: Layout) -> Batch:
    """A studio wall with lights out of focus."""
    wall = shot.color(0, 0.55, 0.4, 0.55, vary=0.5)
    image = _gradient(shot, 1.2 * wall, 0.55 * wall, 1.0)
    paint(
        image,
        glow(shot, 0.5 - 0.3 * at.side * at.odd, 0.3, 0.3) * 0.5,
        shot.color(1, 0.1, 0.3, 0.9),
    )
    shade(image, np.ones_like(shot.y), 0.45 * shot.clouds + 0.12 * shot.fibres)
    for k in range(4):
        x = 0.5 + (shot.draw(24 + k) - 0.5) * (0.25 + 0.75 * at.odd)
        spot = disc(
            shot, x, shot.draw(28 + k, 0.05, 0.6), shot.draw(32 + k, 0.03, 0.09)
        )
        paint(image, 0.45 * spot, shot.color(2 + k, 0.1, 0.45, 0.95, vary=0.3))
    return image


def flower(shot: Shot, at: Layout) -> Batch:
    """Foliage with other buds in it."""
    image = _gradient(
        shot,
        shot.color(0, 0.3, 0.55, 0.55),
        shot.color(1, 0.36, 0.7, 0.22),
        1.0,
    )
    leaves = np.clip(2.5 * shot.clouds, 0, 1)
    paint(image, leaves, shot.color(2, 0.25, 0.6, 0.6))
    shade(image, np.ones_like(shot.y), 0.4 * shot.fibres)
    for k in range(3):
        x = 0.5 + (shot.draw(24 + k) - 0.5) * (0.2 + 0.8 * at.odd)
        bud = disc(shot, x, shot.draw(28 + k, 0.1, 0.9), shot.draw(32 + k, 0.03, 0.06))
        paint(image, 0.7 * bud, shot.color(3 + k, 0.92, 0.55, 0.85, vary=0.15))
    return image


def food(shot: Shot, at: Layout) -> Batch:
    """A wooden table seen from above, with a napkin."""
    image = _blank(shot, shot.color(0, 0.08, 0.5, 0.5, vary=0.05))
    planks = np.sin(6 * np.pi * shot.x + np.float32(0.5 * np.pi)) ** 2 < 0.03
    everywhere = np.ones_like(shot.y)
    shade(
        image,
        everywhere,
        0.35 * np.sin(55 * shot.y + 14 * shot.clouds) * 0.5 + 0.2 * shot.fibres,
    )
    shade(image, planks.astype(np.float32), -0.5)
    napkin = box(shot, 0.5 - 0.3 * at.side * at.odd, 0.85, 0.2, 0.25)
    paint(image, napkin, shot.color(1, 0.0, 0.35, 0.85, vary=0.5))
    checks = (np.mod(12 * shot.x, 1) > 0.5) ^ (np.mod(12 * shot.y, 1) > 0.5)
    shade(image, napkin * checks, -0.35)
    return image


def night(shot: Shot, at: Layout) -> Batch:
    """Stars, black hills and the lamps of a town."""
    image = _gradient(
        shot, shot.color(0, 0.66, 0.75, 0.1), shot.color(1, 0.7, 0.6, 0.34), at.horizon
    )
    stars = np.clip(6 * shot.grain - 14, 0, 1)
    paint(image, stars, shot.color(2, 0.6, 0.1, 1.0))
    paint(image, np.clip(shot.clouds, 0, 1) * 0.25, shot.color(3, 0.72, 0.4, 0.5))
    hills = below(shot, _ridge(shot, at, 1, 0.1, 0.0))
    paint(image, hills, shot.color(4, 0.65, 0.5, 0.06))
    for k in range(6):
        x = 0.5 + (shot.draw(24 + k) - 0.5) * (0.3 + 0.7 * at.odd)
        lamp = glow(shot, x, at.horizon + shot.draw(30 + k, 0.02, 0.3), 0.022)
        paint(image, lamp, shot.color(5 + k % 3, 0.11, 0.65, 1.0, vary=0.12))
    return image


def sport(shot: Shot, at: Layout) -> Batch:
    """A crowd in its stand above a mown field."""
    image = _blank(shot, shot.color(0, 0.6, 0.25, 0.35, vary=0.1))
    crowd = np.sin(90 * shot.x + 5 * shot.clouds) * np.sin(
        80 * shot.y + 9 * shot.fibres
    )
    for k in range(3):
        seats = np.clip(3 * np.sin(30 * shot.clouds + 2.1 * k) * crowd, 0, 1)
        paint(
            image, seats, shot.color(1 + k, (0.0, 0.58, 0.13)[k], 0.55, 0.8, vary=0.1)
        )
    paint(image, below(shot, at.horizon - 0.07), shot.color(4, 0.6, 0.6, 0.7, vary=0.5))
    field = _ground(
        shot, image, at.horizon, shot.color(5, 0.34, 0.65, 0.58), streak=0.15
    )
    depth = shot.y - at.horizon + 0.06
    shade(image, field, 0.1 * np.sign(np.sin(1.6 / depth)))
    slope = abs(shot.x - 0.5 - 0.2 * at.side * at.odd * (shot.y - at.horizon) * 4)
    line = cover(shot, slope - 0.012 - 0.02 * depth)
    paint(image, 0.9 * line * field, shot.color(6, 0.3, 0.03, 0.98))
    return image


def still_life(shot: Shot, at: Layout) -> Batch:
    """A wall with a beam of light, a wooden table."""
    image = _gradient(
        shot,
        shot.color(0, 0.1, 0.3, 0.6, vary=0.5),
        shot.color(1, 0.08, 0.4, 0.35),
        at.horizon,
    )
    shade(image, np.ones_like(shot.y), 0.3 * shot.clouds + 0.1 * shot.fibres)
    beam = np.clip(
        1 - 3.5 * abs(shot.x - 0.5 + at.odd * at.side * (0.35 - 0.5 * shot.y)), 0, 1
    )
    shade(image, beam, 0.7 * at.light)
    table = _ground(
        shot, image, at.horizon, shot.color(2, 0.06, 0.55, 0.42), streak=0.15
    )
    shade(image, table, 0.15 * np.sin(60 * shot.y + 10 * shot.clouds))
    return image
