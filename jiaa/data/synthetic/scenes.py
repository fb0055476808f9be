"""The ten content classes: the backdrop and the subject of each."""

from collections.abc import Callable

from jiaa.data.synthetic import backdrops, subjects
from jiaa.data.synthetic.composition import Layout
from jiaa.data.synthetic.draw import Batch, Shot

Backdrop = Callable[[Shot, Layout], Batch]
Subject = Callable[[Shot, Layout, Batch], None]

SCENES: dict[str, tuple[Backdrop, Subject]] = {
    "landscape": (backdrops.landscape, subjects.tree),
    "seaside": (backdrops.seaside, subjects.boat),
    "city": (backdrops.city, subjects.tower),
    "animal": (backdrops.animal, subjects.beast),
    "portrait": (backdrops.portrait, subjects.person),
    "flower": (backdrops.flower, subjects.blossom),
    "food": (backdrops.food, subjects.plate),
    "night": (backdrops.night, subjects.lantern),
    "sport": (backdrops.sport, subjects.player),
    "still_life": (backdrops.still_life, subjects.vase),
}
