"""Writes a synthetic view as a folder of images and tables, jiaa's own input format."""

import pathlib
from collections.abc import Iterable

from jiaa.data.synthetic import world
from jiaa.data.synthetic.formats import files
from jiaa.data.synthetic.views import SyntheticView


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
    files.check_suffix(suffix)
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
    names = [files.renamed(name, suffix) for name in part.image_names]
    (root / "images").mkdir(parents=True, exist_ok=True)
    files.write_images(root / "images", names, part.images, progress=progress)
    described = ([name, *row] for name, row in zip(names, rows, strict=True))
    files.write_csv(root / "images.csv", header, described)
    table = part.ratings
    given = zip(table.worker, table.image, table.stars, strict=True)
    ratings = (
        [worker, files.renamed(str(image), suffix), f"{stars:g}"]
        for worker, image, stars in given
    )
    files.write_csv(root / "ratings.csv", ["worker", "image", "score"], ratings)
