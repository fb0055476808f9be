"""OASIS for the benchmarks of people's photographs: its raters, and what they share."""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from scipy.stats import spearmanr

from jiaa.cli.models import open_model
from jiaa.data.folder import read_folder
from jiaa.serve.album import Album, open_album
from jiaa.serve.cache import default_folder
from jiaa.serve.model import Model

SCALE = (1, 7)
SET_ASIDE = 33  # photographs of each rater that are never asked
ENOUGH = 100  # ratings of one split, for a rater to count
Ratings = dict[int, float]  # row of the album -> stars


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What `open_oasis` reads."""
    parser.add_argument("--prior", required=True, help="workdir of a finished run")
    parser.add_argument("--root", required=True, help="of OASIS")
    parser.add_argument("--cache", default=default_folder())
    parser.add_argument("--method", help="how the prior adapts; the run's own way")
    parser.add_argument("--set", action="append", default=[])


def open_oasis(flags) -> tuple[Model, Album, Shaped[np.ndarray, "image ..."]]:
    """The model, all photographs, and what the model knows of them."""
    model = open_model(
        flags.prior, scale=SCALE, method=flags.method, settings=flags.set
    )
    album = open_album(Path(flags.root, "images"))
    cache = model.open_cache(flags.cache)
    return model, album, model.encode(album.paths, cache=cache, progress=True)


def raters(root, names, split) -> dict[str, Ratings]:
    """Each rater's stars of the split's photographs; those with too few are left out.

    Args:
      root: of OASIS.
      names: of the album's photographs.
      split: "train" or "test".
    """
    folder = read_folder(root, scale=SCALE)
    row = {name: number for number, name in enumerate(names)}
    found: dict[str, Ratings] = defaultdict(dict)
    table = folder.ratings
    columns = (table.worker.tolist(), table.image.tolist(), table.stars.tolist())
    for worker, image, stars in zip(*columns, strict=True):
        if folder.image_split[image] == split:
            found[worker][row[image]] = stars
    return {
        worker: found[worker]
        for worker in sorted(found)
        if len(found[worker]) >= ENOUGH and len(set(found[worker].values())) > 1
    }


def srocc(model, content, ratings, rows) -> float:
    """Of a model's scores with a rater's stars of these rows."""
    stars = [ratings[row] for row in rows]
    return float(spearmanr(model.score(content[rows]), stars).statistic)  # pyright: ignore


def mean_error(values) -> str:
    """Mean and standard error over raters."""
    values = np.asarray(values)
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} +- {error:.3f}"
