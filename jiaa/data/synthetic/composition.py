"""Where things stand in a picture: rule of thirds, symmetry, emphasis of the object."""

import dataclasses

import numpy as np
from jaxtyping import Float

from jiaa.data.synthetic import world
from jiaa.data.synthetic.draw import Shot


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Positions and lengths are fractions of the side.

    The subject stands at (`cx`, `cy`) within `scale`; `side`, -1 or 1, is the side it
    is not on. `odd` is 1 for a lopsided picture, 0 for a mirror-symmetric one.
    """

    horizon: Float[np.ndarray, "image 1 1"]
    cx: Float[np.ndarray, "image 1 1"]
    cy: Float[np.ndarray, "image 1 1"]
    scale: Float[np.ndarray, "image 1 1"]
    side: Float[np.ndarray, "image 1 1"]
    odd: Float[np.ndarray, "image 1 1"]
    light: Float[np.ndarray, "image 1 1"]


def oddness(levels: Float[np.ndarray, "image 10"]) -> Float[np.ndarray, " image"]:
    """1 for a lopsided picture, 0 for a mirror-symmetric one."""
    return np.clip(1.15 - 1.2 * levels[:, world.ATTRIBUTES.index("symmetry")], 0, 1)


def compose(shot: Shot) -> Layout:
    """Thirds move the subject and horizon; symmetry centres what breaks the rule."""
    odd = oddness(shot.levels)[:, None, None]
    thirds = shot.level("rule_of_thirds")
    side = np.where(shot.draw(0) < 0.5, np.float32(-1), np.float32(1))
    stray = np.where(odd < shot.draw(1), np.float32(-1 / 6), np.float32(0.17))
    offset = 1 / 6 + np.clip(1.2 - 1.3 * thirds, 0, 1) * stray
    third = np.where(shot.draw(2) < 0.5, np.float32(1 / 3), np.float32(2 / 3))
    horizon = 0.5 + np.clip(1.3 * thirds, 0, 1) * (third - 0.5)
    scale = 0.09 + 0.17 * shot.level("object")
    return Layout(
        horizon=horizon,
        cx=0.5 + side * offset,
        cy=np.minimum(horizon + shot.draw(3, -0.02, 0.12), 0.95 - scale),
        scale=scale,
        side=-side,
        odd=odd,
        light=shot.level("light"),
    )
