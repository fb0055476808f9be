"""The subject of each content class, painted within about `scale` of its centre."""

import numpy as np

from jiaa.data.synthetic.composition import Layout
from jiaa.data.synthetic.draw import (
    Batch,
    Shot,
    below,
    box,
    capsule,
    cover,
    disc,
    glow,
    paint,
    radius,
    shade,
    triangle,
)


def tree(shot: Shot, at: Layout, image: Batch) -> None:
    """A fir or a leafy tree; lopsided when the picture is."""
    s = at.scale
    paint(
        image,
        box(shot, at.cx, at.cy + 0.5 * s, 0.1 * s, 0.5 * s),
        shot.color(8, 0.07, 0.5, 0.3),
    )
    leaf = shot.color(9, 0.29, 0.7, 0.5)
    fir = shot.draw(23) > 0.5
    for k, (dx, dy, r) in enumerate(
        ((-0.35, 0.0, 0.5), (0.35, -0.05, 0.5), (0, -0.5, 0.6))
    ):
        x, y = at.cx + dx * s * at.odd, at.cy + dy * s
        ball = disc(shot, x, y, r * s)
        cone = triangle(
            shot, at.cx, at.cy + (0.4 - 0.45 * k) * s, (0.75 - 0.15 * k) * s, 0.8 * s
        )
        crown = np.where(fir, cone, ball)
        paint(image, crown, leaf)
        shade(
            image,
            crown,
            0.35 * shot.fibres - 0.5 * at.side * (at.cx - shot.x) / s * 0.5,
        )


def boat(shot: Shot, at: Layout, image: Batch) -> None:
    """A sailing boat."""
    s = at.scale
    hull = disc(shot, at.cx, at.cy + 0.45 * s, 0.95 * s, 0.42 * s)
    hull *= below(shot, at.cy + 0.45 * s)
    paint(image, hull, shot.color(8, 0.02, 0.75, 0.62, vary=0.5))
    paint(
        image,
        box(shot, at.cx, at.cy - 0.25 * s, 0.035 * s, 0.75 * s),
        shot.color(9, 0.08, 0.4, 0.3),
    )
    for k, lean in enumerate((-1, 1)):
        width = (0.62, 0.45)[k] * s
        sail = triangle(shot, at.cx, at.cy + 0.3 * s, width, 1.3 * s)
        sail *= cover(shot, -lean * at.side * (shot.x - at.cx) + 0.05 * s)
        paint(
            image,
            sail,
            shot.color(10 + k, (0.12, 0.0)[k], (0.08, 0.6)[k], 0.95, vary=0.3),
        )
        shade(image, sail, 0.4 * (shot.x - at.cx) / s)


def tower(shot: Shot, at: Layout, image: Batch) -> None:
    """A tower with rows of windows."""
    s = at.scale
    body = box(shot, at.cx, at.cy, 0.42 * s, 1.15 * s)
    paint(image, body, shot.color(8, 0.56, 0.4, 0.6, vary=0.3))
    shade(image, body, 0.5 * at.side * (shot.x - at.cx) / s)
    u, v = (shot.x - at.cx) / s, (shot.y - at.cy) / s
    panes = body * (np.mod(u * 6, 1) > 0.35) * (np.mod(v * 6, 1) > 0.4)
    paint(image, 0.85 * panes, shot.color(9, 0.14, 0.45, 0.95, vary=0.2))
    paint(
        image,
        triangle(shot, at.cx, at.cy - 1.14 * s, 0.42 * s, 0.6 * s),
        shot.color(10, 0.01, 0.6, 0.5),
    )


def beast(shot: Shot, at: Layout, image: Batch) -> None:
    """A four-legged animal that looks to `side`."""
    s, way = at.scale, at.side
    coat = shot.color(8, 0.075, 0.55, 0.62, vary=0.06)
    dark = 0.45 * coat
    for dx in (-0.55, -0.3, 0.3, 0.55):
        paint(
            image,
            box(shot, at.cx + dx * s, at.cy + 0.65 * s, 0.085 * s, 0.38 * s),
            0.7 * coat,
        )
    hip = at.cx - 0.7 * s * way
    paint(
        image,
        capsule(shot, hip, at.cy, hip - 0.35 * s * way, at.cy - 0.5 * s, 0.06 * s),
        coat,
    )
    body = disc(shot, at.cx, at.cy + 0.15 * s, 0.82 * s, 0.42 * s)
    paint(image, body, coat)
    shade(image, body, -0.45 * (shot.y - at.cy) / s + 0.25 * shot.fibres)
    hx, hy = at.cx + 0.72 * s * way, at.cy - 0.4 * s
    for dx in (-0.22, 0.22):
        ear = triangle(shot, hx + dx * s, hy - 0.2 * s, 0.13 * s, 0.4 * s)
        paint(image, ear, dark)
    head = disc(shot, hx, hy, 0.4 * s, 0.36 * s)
    paint(image, head, coat)
    paint(
        image,
        disc(shot, hx + 0.2 * s * way, hy + 0.14 * s, 0.18 * s, 0.13 * s),
        0.5 + 0.5 * coat,
    )
    paint(image, disc(shot, hx + 0.05 * s * way, hy - 0.06 * s, 0.06 * s), 0.1 * coat)


def person(shot: Shot, at: Layout, image: Batch) -> None:
    """Head and shoulders, with hair and coat."""
    s = at.scale * 1.1
    skin = (
        shot.color(8, 0.065, 0.45, 0.85, vary=0.015) * shot.draw(36, 0.5, 1.0)[:, None]
    )
    hair = shot.color(9, 0.08, 0.55, 0.3, vary=0.06)
    head = at.cy - 0.45 * s
    paint(
        image,
        disc(shot, at.cx, head + 0.25 * s, 0.55 * s, shot.draw(37, 0.5, 0.95) * s),
        hair,
    )
    coat = disc(shot, at.cx, at.cy + 1.35 * s, 0.95 * s, 0.95 * s)
    coat = np.maximum(
        coat, below(shot, at.cy + 1.35 * s) * (abs(shot.x - at.cx) < 0.95 * s)
    )
    paint(image, coat, shot.color(10, 0.6, 0.6, 0.5, vary=0.5))
    shade(image, coat, 0.3 * at.side * (shot.x - at.cx) / s + 0.2 * shot.fibres)
    paint(image, box(shot, at.cx, at.cy + 0.25 * s, 0.18 * s, 0.3 * s), 0.8 * skin)
    face = disc(shot, at.cx, head, 0.43 * s, 0.56 * s)
    paint(image, face, skin)
    shade(image, face, 0.5 * at.side * (at.cx - shot.x) / s)
    fringe = face * cover(
        shot, shot.y - head + 0.3 * s + 0.15 * (shot.x - at.cx) * at.side
    )
    paint(image, fringe, hair)
    for dx in (-0.17, 0.17):
        paint(
            image,
            disc(shot, at.cx + dx * s, head - 0.04 * s, 0.065 * s, 0.05 * s),
            0.12 * hair,
        )
    paint(
        image,
        disc(shot, at.cx, head + 0.28 * s, 0.15 * s, 0.045 * s),
        shot.color(11, 0.98, 0.6, 0.6),
    )


def blossom(shot: Shot, at: Layout, image: Batch) -> None:
    """One flower on its stem, five to nine petals."""
    s = at.scale
    stem = box(shot, at.cx, at.cy + 1.2 * s, 0.06 * s, 1.2 * s)
    paint(image, stem, shot.color(8, 0.3, 0.6, 0.4))
    leaf = disc(shot, at.cx + 0.45 * s * at.side, at.cy + 1.35 * s, 0.4 * s, 0.16 * s)
    paint(image, leaf, shot.color(9, 0.28, 0.65, 0.5))
    petals = np.floor(shot.draw(36, 5, 10))
    angle = np.arctan2(shot.y - at.cy, shot.x - at.cx) - np.float32(np.pi / 2)
    r = radius(shot, at.cx, at.cy, s, s)
    wave = abs(np.cos(0.5 * petals * angle))
    corolla = cover(shot, (r - 0.45 - 0.6 * wave) * s)
    paint(image, corolla, shot.color(10, 0.93, 0.65, 0.9, vary=0.2))
    shade(image, corolla, 0.45 * (r - 0.8) + 0.3 * (wave - 0.5))
    heart = disc(shot, at.cx, at.cy, 0.3 * s)
    paint(image, heart, shot.color(11, 0.13, 0.8, 0.85))
    shade(image, heart, 0.5 * shot.fibres - 0.4 * r)


def plate(shot: Shot, at: Layout, image: Batch) -> None:
    """A cake with berries on a plate."""
    s = at.scale * 1.2
    r = radius(shot, at.cx, at.cy, s, 0.85 * s)
    rim = cover(shot, (r - 1) * s)
    paint(image, rim, shot.color(8, 0.58, 0.05, 0.96))
    shade(image, rim * (r > 0.72), -0.12)
    cake = cover(shot, (r + 0.12 * shot.fibres - 0.6) * s)
    paint(image, cake, shot.color(9, 0.09, 0.65, 0.72, vary=0.08))
    shade(image, cake, 0.5 * shot.fibres - 0.3 * r)
    for k in range(5):
        turn = 2 * np.pi * (k / 5 + 0.1) + 0.8 * at.odd * shot.draw(24 + k)
        x, y = at.cx + 0.33 * s * np.cos(turn), at.cy + 0.28 * s * np.sin(turn)
        berry = disc(shot, x, y, 0.15 * s)
        paint(image, berry, shot.color(10 + k % 3, (0.98, 0.3, 0.12)[k % 3], 0.8, 0.75))
        shade(image, disc(shot, x - 0.04 * s, y - 0.05 * s, 0.05 * s), 0.7)


def lantern(shot: Shot, at: Layout, image: Batch) -> None:
    """A street lamp and its light."""
    s = at.scale
    paint(
        image, 0.85 * glow(shot, at.cx, at.cy, 0.9 * s), shot.color(8, 0.1, 0.7, 0.95)
    )
    post = box(shot, at.cx, at.cy + 1.4 * s, 0.07 * s, 1.1 * s)
    paint(image, post, shot.color(9, 0.65, 0.3, 0.1))
    lamp = disc(shot, at.cx, at.cy, 0.55 * s, 0.65 * s)
    paint(image, lamp, shot.color(10, 0.13, 0.35, 1.0))
    for dx in (-0.28, 0.0, 0.28):
        paint(
            image,
            lamp * (abs(shot.x - at.cx - dx * s) < 0.035 * s),
            shot.color(11, 0.05, 0.7, 0.3),
        )
    paint(
        image,
        triangle(shot, at.cx, at.cy - 0.45 * s, 0.65 * s, 0.45 * s),
        shot.color(9, 0.65, 0.3, 0.1),
    )


def player(shot: Shot, at: Layout, image: Batch) -> None:
    """A running player with a ball."""
    s, way = at.scale, at.side
    kit, skin = (
        shot.color(8, 0.0, 0.85, 0.85, vary=0.5),
        shot.color(9, 0.065, 0.45, 0.75),
    )
    stride = shot.draw(36, 0.25, 0.6) * s
    hip, neck = at.cy + 0.2 * s, at.cy - 0.55 * s
    for sign in (-1, 1):
        foot = at.cx + sign * stride
        paint(
            image,
            capsule(shot, at.cx, hip, foot, at.cy + 1.05 * s, 0.11 * s),
            0.9 * skin,
        )
        hand = at.cx + sign * way * 0.62 * s
        paint(
            image,
            capsule(shot, at.cx, neck + 0.1 * s, hand, neck - 0.3 * s * sign, 0.08 * s),
            skin,
        )
    body = capsule(shot, at.cx, hip, at.cx + 0.08 * s * way, neck + 0.15 * s, 0.24 * s)
    paint(image, body, kit)
    shade(image, body, 0.5 * way * (at.cx - shot.x) / s)
    paint(image, disc(shot, at.cx + 0.12 * s * way, neck - 0.28 * s, 0.2 * s), skin)
    ball = disc(shot, at.cx + 0.95 * s * way, at.cy + 0.9 * s, 0.2 * s)
    paint(image, ball, shot.color(10, 0.1, 0.2, 1.0, vary=0.3))


def vase(shot: Shot, at: Layout, image: Batch) -> None:
    """A glazed vase among three fruits."""
    s = at.scale
    glaze = shot.color(8, 0.55, 0.6, 0.6, vary=0.5)
    body = disc(shot, at.cx, at.cy + 0.3 * s, 0.52 * s, 0.65 * s)
    body = np.maximum(body, box(shot, at.cx, at.cy - 0.5 * s, 0.17 * s, 0.5 * s))
    body = np.maximum(body, box(shot, at.cx, at.cy - 0.98 * s, 0.3 * s, 0.07 * s))
    paint(image, body, glaze)
    shade(image, body, 0.8 * at.side * (at.cx - shot.x) / s)
    shine = glow(shot, at.cx - 0.2 * s * at.side, at.cy + 0.1 * s, 0.12 * s)
    paint(image, 0.7 * shine * body, np.ones((1, 3, 1, 1), np.float32))
    for k, (dx, hue) in enumerate(((0.75, 0.02), (-0.7, 0.12), (1.15, 0.25))):
        x = at.cx + dx * s * at.side
        fruit = disc(shot, x, at.cy + 0.7 * s, 0.27 * s)
        paint(image, fruit, shot.color(9 + k, hue, 0.8, 0.8))
        shade(
            image,
            fruit,
            0.9 * at.side * (x - shot.x) / s - 0.5 * (shot.y - at.cy - 0.7 * s) / s,
        )
