"""How far raters agree on images of each score: PAM (ICCV 2017), Sec. 3, Table 1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.cli import build
from jiaa.cli.options import Config, ConfigError
from jiaa.data import Dataset, synthetic
from jiaa.data.builders.flickr_aes import GOLD, read_quality
from jiaa.data.quality import weighted_deviations, weighted_means, worker_quality

RANGES = ((1, 5), (1, 2), (2, 3), (3, 4), (4, 5))


def worker_qualities(config: Config) -> dict[str, float]:
    """Each worker's performance on the gold images of `config.data` (eq. 1).

    Raises:
      ConfigError: the dataset has no gold images.
    """
    name = config.data.name
    if name == "synthetic":
        options = {"seed": 0, **build.dataset_options(config)}  # 0: the loader's own
        del options["cache_dir"]
        gold = synthetic.flickr_aes_view(**options, render=False).gold
        stars = dict(zip(gold.image_names, gold.true_stars, strict=True))
        true = np.asarray([stars[image] for image in gold.ratings.image.tolist()])
        return worker_quality(gold.ratings, true)
    path = Path(config.data.root) / GOLD
    found = read_quality(path) if name == "flickr_aes" else {}
    if not found:
        raise ConfigError(
            f"table1 needs images of known stars, which {name!r} lacks; take "
            f"'synthetic', or 'flickr_aes' with {GOLD} in its folder"
        )
    return found


def table1(dataset: Dataset, quality: Mapping[str, float]) -> dict[str, Any]:
    """Weighted deviations of the images whose weighted mean is in each range.

    Args:
      dataset: all its raters count, of all splits.
      quality: worker's name -> mean performance.

    Returns:
      "workers", their mean "quality" and its "quality_std"; "ranges": a row each of
      "low", "high", "images" and the "mean" and "std" of the images' deviations, in
      stars. An image of exactly `high` stars belongs to the next range if there is one.
    """
    image, stars, weight = _ratings(dataset, quality)
    count = len(dataset.image_names)
    means = weighted_means(stars, image, weight, images=count)
    deviations = weighted_deviations(stars, image, weight, images=count)
    known = np.isfinite(deviations)
    rows = []
    for low, high in RANGES:
        last = high == dataset.scale[1]
        inside = known & (means >= low) & ((means <= high) if last else (means < high))
        some = deviations[inside]
        row: dict[str, float] = {"low": low, "high": high, "images": int(inside.sum())}
        if len(some):
            row |= {"mean": float(some.mean()), "std": float(some.std())}
        rows.append(row)
    each = np.asarray(list(quality.values()))
    said = {"workers": len(each), "quality": float(each.mean())}
    return {**said, "quality_std": float(each.std()), "ranges": rows}


def _ratings(dataset, quality):
    """Image row, stars and worker's quality of every rating."""
    parts = []
    for tasks in dataset.tasks.values():
        mask = np.asarray(tasks.mask)
        names = (dataset.workers[int(user)] for user in tasks.user_id)
        own = np.asarray([quality.get(name, np.nan) for name in names])
        weight = np.broadcast_to(own[:, None], mask.shape)
        stars = np.asarray(tasks.scores, np.float64) * dataset.scale[1]
        parts.append([x[mask] for x in (np.asarray(tasks.image_ids), stars, weight)])
    return [np.concatenate(each) for each in zip(*parts, strict=True)]
