"""Writes small folder datasets for the tests beside it."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder: Path, names, *, side: int = 8) -> None:
    """One plain image each, whose grey level is its position in `names`."""
    for level, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((side, side, 3), level, np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")


def write_folder(root: Path, ratings, *, images="", names=None) -> Path:
    """`ratings` and `images` are the text (or bytes) of the two CSV files."""
    write_images(
        root / "images", ["a.jpg", "b.jpg", "c.jpg"] if names is None else names
    )
    for name, text in (("ratings.csv", ratings), ("images.csv", images)):
        if text:
            data = text if isinstance(text, bytes) else text.encode()
            (root / name).write_bytes(data)
    return root
