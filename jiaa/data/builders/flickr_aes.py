"""FLICKR-AES (Ren et al., "Personalized Image Aesthetics", ICCV 2017), as published.

    FLICKR-AES_image_labeled_by_each_worker.csv   worker, imagePair, score   (1 to 5)
    FLICKR-AES_image_score.txt      optional: image and mean score in [0, 1]
    test_workers.txt                the 37 test workers, a line each
    40K/ or images/                 the photographs
    gold.csv                        optional: worker,image,score,true_score

An image that a test worker rated is a test image: 35,263 and 4,737 in the paper. Some
rated images are missing from the published archive; they are listed and left out. The
published score is the mean over an image's raters, each weighted by their performance
on gold images (eq. 1); the published files lack these, `gold.csv` holds them where
they are known.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np

from jiaa.data.builders import base, labels
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.folder import read_ratings
from jiaa.data.images import AnyPath
from jiaa.data.quality import weighted_means, worker_quality
from jiaa.data.table import (
    DataError,
    Findings,
    Gathered,
    check_image_name,
    parse_number,
    read_lines,
    read_table,
)
from jiaa.data.tasks import check_workers
from jiaa.types import Ratings

RATINGS = "FLICKR-AES_image_labeled_by_each_worker.csv"
SCORES = "FLICKR-AES_image_score.txt"
TEST_WORKERS = "test_workers.txt"
GOLD = "gold.csv"
IMAGE_FOLDERS = ("40K", "images")
SCALE = (1.0, 5.0)


class FlickrAes(base.PhotographBuilder):
    """40,000 photographs from Flickr, each rated by five of 210 workers."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    From the authors' page (see homepage): unpack the photographs to 40K/, and put
    FLICKR-AES_image_labeled_by_each_worker.csv and FLICKR-AES_image_score.txt beside
    it; test_workers.txt lists the 37 test workers, one a line.
    """
    ABOUT = (
        "FLICKR-AES: photographs from Flickr with the stars, 1 to 5, of five workers "
        "each. test_worker tells the 37 test workers' ratings apart; the test split "
        "holds the images that one of them rated."
    )
    HOMEPAGE = "https://github.com/alanspike/personalizedImageAesthetics"
    LICENSE = (
        "Photographs by Flickr users under their own licences; research use. The "
        "authors state no licence for the ratings."
    )
    CITATION = """@inproceedings{ren2017personalized,
  title={Personalized Image Aesthetics},
  author={Ren, Jian and Shen, Xiaohui and Lin, Zhe and Mech, Radomir
    and Foran, David J.},
  booktitle={The IEEE International Conference on Computer Vision (ICCV)},
  year={2017}
}"""
    MAX_MISSING = 400  # 1 %: users report that many to be missing from the archive
    FEATURES: ClassVar = {
        "worker": base.sequence(base.text()),
        "stars": base.sequence(base.scalar()),
        "worker_quality": base.sequence(base.scalar()),
        "test_worker": base.sequence(base.scalar(dtype=np.bool_)),
        "published_score": base.scalar(),
        "weighted_score": base.scalar(),
    }

    @classmethod
    def read_raw(
        cls,
        root: Path,
        *,
        max_missing: int = MAX_MISSING,
        image_folder: str | None = None,
        test_workers: AnyPath | None = None,
    ) -> Raw:
        """The labels and image files; `max_missing` is 1 % by default.

        `image_folder` (default: the first of `IMAGE_FOLDERS` that exists) is relative
        to `root`; `test_workers` is the list's file if it lies elsewhere. Responses
        have "worker_quality" (NaN without gold.csv) and "test_worker"; columns are
        "published_score" (NaN where the file has none) and "weighted_score", in [0, 1].

        Raises:
          DataError: wrong rows of any of the files, unknown test workers, more than
            `max_missing` images without a file.
        """
        gathered = Gathered()
        columns = ("worker", "imagepair", "score")
        ratings = gathered.read(
            read_ratings, root / RATINGS, scale=SCALE, columns=columns, named=True
        )
        listed = gathered.read(read_names, Path(test_workers or root / TEST_WORKERS))
        published = gathered.read(read_scores, root / SCORES)
        quality = gathered.read(read_quality, root / GOLD)
        folder = gathered.read(labels.image_folder, root, image_folder, IMAGE_FOLDERS)
        gathered.raise_if_any()
        check_workers(listed, ratings.worker)
        known = _label(ratings, set(listed), published, quality)
        return labels.with_files(known, folder, max_missing=max_missing)


def _label(
    ratings: Ratings,
    test_workers: set[str],
    published: dict[str, float],
    quality: dict[str, float],
) -> Labels:
    names = sorted(set(ratings.image.tolist()))
    trust = [quality.get(worker, np.nan) for worker in ratings.worker.tolist()]
    responses = labels.response_columns(
        ratings,
        names,
        worker_quality=np.asarray(trust, np.float32),
        test_worker=np.isin(ratings.worker, list(test_workers)),
    )
    held_out = set(responses["image"][responses["test_worker"]].tolist())
    weighted = weighted_means(
        responses["stars"] / SCALE[1],
        responses["image"],
        responses["worker_quality"],
        images=len(names),
    )
    scores = [published.get(name, np.nan) for name in names]
    unrated = sorted(set(published) - set(names))
    note = f"{len(unrated)} images with a published score, but no rating, left out"
    return Labels(
        image_ids=tuple(names),
        image_split=np.asarray(
            ["test" if row in held_out else "train" for row in range(len(names))]
        ),
        columns={
            "published_score": np.asarray(scores, np.float32),
            "weighted_score": weighted.astype(np.float32),
        },
        responses=responses,
        notes=(note,) if unrated else (),
    )


def read_names(path: Path) -> tuple[str, ...]:
    """One name a line; blank lines are skipped.

    Raises:
      DataError: no file, no names, not text, or a name that stands there twice.
    """
    findings = Findings(path)
    first_line: dict[str, int] = {}
    for number, name in read_lines(path):
        if (before := first_line.setdefault(name, number)) != number:
            findings.add(number, f"{name!r} stands in line {before} too; remove one")
        elif len(name.split()) > 1:
            findings.add(number, f"{name!r}: expected one name a line, without spaces")
    findings.raise_if_any()
    if not first_line:
        raise DataError(f"{path}: no names; expected one a line")
    return tuple(first_line)


def read_scores(path: Path) -> dict[str, float]:
    """Image -> published mean score in [0, 1]; the file is optional, a header too.

    Raises:
      DataError: lists every line that is not an image and such a score, or whose image
        stands there twice.
    """
    if not path.exists():
        return {}
    findings = Findings(path)
    scores: dict[str, float] = {}
    for position, (number, line) in enumerate(read_lines(path)):
        name, _, value = line.replace(",", " ").rpartition(" ")
        name, problem = check_image_name(name.strip())
        score = parse_number(value)
        if position == 0 and value.casefold() == "score":
            continue  # a header
        if score is None or not 0 <= score <= 1:
            findings.add(number, f"score {value!r}; expected a number from 0 to 1")
        elif problem is not None:
            findings.add(number, problem)
        elif name in scores:
            findings.add(number, f"image {name!r} has a score already; remove one")
        else:
            scores[name] = score
    findings.raise_if_any()
    return scores


def read_quality(path: Path) -> dict[str, float]:
    """Worker -> mean performance on gold images (eq. 1); empty without the file.

    Raises:
      DataError: lists every wrong row.
    """
    if not path.exists():
        return {}
    gathered = Gathered()
    gold = gathered.read(read_ratings, path, scale=SCALE, named=True)
    table = gathered.read(read_table, path, required=("true_score",))
    gathered.raise_if_any()
    true = [parse_number(row.values["true_score"]) for row in table.rows]
    for row, stars in zip(table.rows, true, strict=True):
        if stars is None or not SCALE[0] <= stars <= SCALE[1]:
            value = row.values["true_score"]
            table.findings.add(row.line, f"true_score {value!r}; expected 1 to 5")
    table.findings.raise_if_any()
    return worker_quality(gold, np.asarray(true, np.float64))
