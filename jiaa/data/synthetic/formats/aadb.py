"""AADB's raw files: three tables of attributes and scores, and the raters' stars."""

from pathlib import Path

import numpy as np

from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.formats import files

COLUMNS = (
    "BalancingElements",
    "ColorHarmony",
    "Content",
    "DoF",
    "Light",
    "MotionBlur",
    "Object",
    "Repetition",
    "RuleOfThirds",
    "Symmetry",
    "VividColor",
)
MOTION_BLUR = COLUMNS.index("MotionBlur")  # not one of the world's ten attributes
RATERS_PER_IMAGE = 5


def write(
    root: Path,
    *,
    seed: int = 0,
    images: int = 400,
    workers: int = 28,
    image_size: int = 64,
) -> Path:
    """train/val/test.csv (85/5/10 %), ratings.csv and the photographs.

    Attributes are means of five answers, so multiples of 0.2; the score is (mean stars
    - 1) / 4 of the five raters.
    """
    facts = photographs.draw_facts(images, seed=seed, group="crowd")
    names = [
        f"farm1_{255 + k % 97}_{20_000_000_000 + 7 * k}_{k:010x}_b.jpg"
        for k in range(images)
    ]
    crowd = raters.draw_raters(workers, seed=seed, group="crowd")
    rng = world.stream(seed, "deal", "crowd", 1)
    chosen = np.argsort(rng.random((images, workers)), axis=1)[:, :RATERS_PER_IMAGE]
    truth = raters.true_stars(crowd, facts)[chosen.T, np.arange(images)].T
    noisy = truth + raters.NOISE_SD * rng.standard_normal(truth.shape)
    stars = np.clip(np.rint(noisy), 1, 5)
    attributes = np.insert(facts.attributes, MOTION_BLUR, 0, axis=1)
    values = np.column_stack(
        [np.rint(5 * attributes) / 5, (stars.mean(axis=1) - 1) / 4]
    )
    _write_tables(root, names, values)
    people = raters.rater_names(crowd)
    ratings = (
        [people[worker], names[row], f"{stars[row, k]:g}"]
        for row in range(images)
        for k, worker in enumerate(chosen[row])
    )
    files.write_csv(root / "ratings.csv", ["worker", "image", "score"], ratings)
    pixels = photographs.photograph(facts, seed=seed, size=image_size)
    files.write_images(root / "datasetImages_originalSize", names, pixels)
    return root


def _write_tables(root: Path, names: list[str], values: np.ndarray) -> None:
    root.mkdir(parents=True, exist_ok=True)
    ends = (0, round(0.85 * len(names)), round(0.9 * len(names)), len(names))
    for split, start, end in zip(
        ("train", "val", "test"), ends, ends[1:], strict=False
    ):
        rows = (
            [names[row], *(f"{value:.3g}" for value in values[row])]
            for row in range(start, end)
        )
        files.write_csv(root / f"{split}.csv", ["ImageFile", *COLUMNS, "score"], rows)
