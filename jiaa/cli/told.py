"""A person's taste in words: what `jiaa personalize` and `jiaa rate` print of it."""

import contextlib
import os
from pathlib import Path

import numpy as np

from jiaa.serve.model import Model
from jiaa.serve.taste import read_info
from jiaa.serve.validation import FEWEST, Validation


def source_of(ratings: Path, photos: Path, worker: str | None = None) -> list[str]:
    """What a taste tells of where it comes from, as it was given."""
    given = [os.fspath(ratings), os.fspath(photos)]
    return given if worker is None else [*given, worker]


def tell_worth(mine: Model, stars: np.ndarray, found: Validation | None) -> None:
    """How much of the prior holds for the person, and what the ratings are worth."""
    if np.ptp(stars) == 0:
        print(
            f"all {len(stars)} ratings are {stars[0]:g}: they do not say what you like "
            "better. Rate photographs that you like more, and less"
        )
        return
    if mine.share is not None:
        share = 100 * min(max(mine.share, 0), 1)
        print(f"you agree with the crowd about {share:.0f} %")
    if found is None:
        print(
            f"{len(stars)} ratings are too few to check whether they help ({FEWEST} "
            "at least, not all equal); all of them were learned. Rate more"
        )
    else:
        print(found)


def tell_refitted(path: Path, model: Model) -> None:
    """Says that an earlier taste, of another prior, is replaced."""
    with contextlib.suppress(OSError, ValueError):
        before = read_info(path)
        if before.prior != model.identity:
            print(
                f"{path} was learned on another prior ({before.prior}); it is learned "
                f"again on this one ({model.identity})"
            )
