"""FLICKR-AES' raw files: about five raters an image, test workers in a list."""

from pathlib import Path
from typing import Any

import numpy as np

from jiaa.data.quality import weighted_means, worker_quality
from jiaa.data.synthetic.formats import files
from jiaa.data.synthetic.views import SyntheticView, flickr_aes_view


def write(root: Path, *, seed: int = 0, images: int = 7_000, **sizes: Any) -> Path:
    """Draws `images` training images and the rest of the world, and writes it.

    `sizes` are further ones of `flickr_aes_view`.
    """
    view = flickr_aes_view(seed=seed, train_images=images, **sizes)
    return write_view(view, root)


def write_view(view: SyntheticView, root: Path) -> Path:
    """The view under `root`: 40K/, the two tables, test_workers.txt and gold.csv.

    Published scores are means weighted by the workers' performance on gold images (eq.
    1 of PAM), in [0, 1].
    """
    names = [files.renamed(name, ".jpg") for name in view.image_names]
    files.write_images(root / "40K", names, view.images)
    new_name = dict(zip(view.image_names, names, strict=True))
    rated = [new_name[image] for image in view.ratings.image.tolist()]
    stars = [f"{stars:g}" for stars in view.ratings.stars]
    files.write_csv(
        root / "FLICKR-AES_image_labeled_by_each_worker.csv",
        [" worker", "imagePair", "score"],
        zip(view.ratings.worker.tolist(), rated, stars, strict=True),
        join=", ",
    )
    test = [worker for worker, split in view.worker_split.items() if split == "test"]
    (root / "test_workers.txt").write_text("\n".join(test) + "\n")
    _write_gold(view, root)
    _write_scores(view, names, root)
    return root


def _write_gold(view: SyntheticView, root: Path) -> None:
    known = dict(zip(view.gold.image_names, view.gold.true_stars, strict=True))
    gold = view.gold.ratings
    given = zip(gold.worker.tolist(), gold.image.tolist(), gold.stars, strict=True)
    files.write_csv(
        root / "gold.csv",
        ["worker", "image", "score", "true_score"],
        ([w, files.renamed(i, ".jpg"), f"{s:g}", f"{known[i]:g}"] for w, i, s in given),
    )


def _write_scores(view: SyntheticView, names: list[str], root: Path) -> None:
    known = dict(zip(view.gold.image_names, view.gold.true_stars, strict=True))
    gold = view.gold.ratings
    true = np.asarray([known[image] for image in gold.image.tolist()])
    quality = worker_quality(gold, true)
    rows = {name: row for row, name in enumerate(view.image_names)}
    scores = weighted_means(
        view.ratings.unit_scores.astype(np.float64),
        np.asarray([rows[image] for image in view.ratings.image.tolist()]),
        np.asarray([quality[worker] for worker in view.ratings.worker.tolist()]),
        images=len(names),
    )
    lines = (f"{name} {score:.6f}" for name, score in zip(names, scores, strict=True))
    (root / "FLICKR-AES_image_score.txt").write_text("\n".join(lines) + "\n")
