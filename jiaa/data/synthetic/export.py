"""Writes a synthetic view as a folder of images and tables, jiaa's own input format."""

import csv
import pathlib
from collections.abc import Iterable
from typing import Any

from PIL import Image
from tqdm import tqdm

from jiaa.data.synthetic import world
from jiaa.data.synthetic.views import SyntheticView

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 1},
    ".jpg": {"quality": 92},
}


def write_folder(
    view: SyntheticView,
    root: str | pathlib.Path,
    *,
    suffix: str = ".png",
    progress: bool = False,
) -> pathlib.Path:
    """Writes `images/`, `ratings.csv` and `images.csv` under `root`, and returns it.

    `.png` keeps every bit, `.jpg` is smaller. `images.csv` has the columns image,
    split, content and the ten attributes in [-1, 1]; `ratings.csv` has worker, image,
    score (stars, 1 to 5).
    Gold images, which are in no split, are written to `gold/` in the same manner, with
    their known stars in `gold/images.csv`.
    """
    if suffix not in _SAVE_OPTIONS:
        raise ValueError(f"suffix={suffix!r} must be one of {sorted(_SAVE_OPTIONS)}.")
    root = pathlib.Path(root)
    facts = zip(view.truth.content, view.truth.attributes, strict=True)
    rows = (
        [view.image_split[name], world.CONTENTS[content], *attributes.round(4)]
        for name, (content, attributes) in zip(view.image_names, facts, strict=True)
    )
    header = ["image", "split", "content", *world.ATTRIBUTES]
    _write(root, view, header, rows, suffix=suffix, progress=progress)
    known = ([stars] for stars in view.gold.true_stars)
    header = ["image", "true_stars"]
    _write(root / "gold", view.gold, header, known, suffix=suffix, progress=False)
    return root


def _write(
    root, part, header: list[str], rows: Iterable, *, suffix: str, progress: bool
):
    (root / "images").mkdir(parents=True, exist_ok=True)

    def file_name(name: str) -> str:
        return str(pathlib.PurePath(name).with_suffix(suffix))

    names = tqdm(part.image_names, desc="writing", unit="image", disable=not progress)
    for name, pixels in zip(names, part.images, strict=True):
        path = root / "images" / file_name(name)
        Image.fromarray(pixels).save(path, **_SAVE_OPTIONS[suffix])
    with (root / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for name, row in zip(part.image_names, rows, strict=True):
            writer.writerow([file_name(name), *row])
    with (root / "ratings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["worker", "image", "score"])
        table = part.ratings
        for worker, image, stars in zip(
            table.worker, table.image, table.stars, strict=True
        ):
            writer.writerow([worker, file_name(str(image)), f"{stars:g}"])
