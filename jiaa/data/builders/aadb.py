"""AADB (Kong et al., "Photo Aesthetics Ranking Network", ECCV 2016).

    train.csv, val.csv, test.csv    ImageFile, eleven attributes, score in [0, 1]
    AADBinfo.mat                    optional: the authors' names and scores, compared
    ratings.csv                     optional: worker,image,score (1 to 5)
    datasetImages_originalSize/ or images/          the photographs

A score is (mean stars - 1) / 4: its lowest is 0, and with five raters it is a multiple
of 0.05. The files hold 8,458 / 500 / 1,000 rows, but 127 names stand in val.csv and
test.csv alike and one photograph is in train.csv and test.csv under two names. Test
keeps them: 8,457 / 373 / 1,000 images remain. `docs/datasets/aadb.md` has the evidence.
"""

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.io

from jiaa.data.builders import base, labels
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.folder import read_ratings
from jiaa.data.table import (
    DataError,
    Findings,
    Gathered,
    check_image_name,
    parse_number,
    read_table,
)
from jiaa.types import Ratings

# In the column order of the files; PAM uses all but motion_blur.
ATTRIBUTES = {
    "BalancingElements": "balancing_elements",
    "ColorHarmony": "color_harmony",
    "Content": "interesting_content",
    "DoF": "depth_of_field",
    "Light": "light",
    "MotionBlur": "motion_blur",
    "Object": "object",
    "Repetition": "repetition",
    "RuleOfThirds": "rule_of_thirds",
    "Symmetry": "symmetry",
    "VividColor": "vivid_color",
}
SPLITS = ("test", "val", "train")  # who keeps an image that stands in several
IMAGE_FOLDERS = ("datasetImages_originalSize", "images")
RATINGS = "ratings.csv"
AUTHORS = "AADBinfo.mat"


class Aadb(base.PhotographBuilder):
    """Photographs from Flickr with eleven attributes and an overall score."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    From the authors' page (see homepage): unpack datasetImages_originalSize.zip, and
    put train.csv, val.csv and test.csv beside the folder (the eleven attributes and the
    score of imgListFiles_label.zip as one table a split). ratings.csv
    (worker,image,score) may hold the raters' own stars where you have them.
    """
    ABOUT = (
        "AADB: photographs from Flickr, rated by five workers each: eleven attributes "
        "in [-1, 1] and an overall score in [0, 1], which is (mean stars - 1) / 4."
    )
    HOMEPAGE = "https://github.com/aimerykong/deepImageAestheticsAnalysis"
    LICENSE = (
        "Photographs by Flickr users under their own licences; research use. The "
        "authors state no licence for the labels."
    )
    CITATION = """@inproceedings{kong2016aesthetics,
  title={Photo Aesthetics Ranking Network with Attributes and Content Adaptation},
  author={Kong, Shu and Shen, Xiaohui and Lin, Zhe and Mech, Radomir
    and Fowlkes, Charless},
  booktitle={European Conference on Computer Vision (ECCV)},
  year={2016}
}"""
    FEATURES: ClassVar = {
        "score": base.scalar(),
        "attributes": base.vector(shape=(len(ATTRIBUTES),)),
        "worker": base.sequence(base.text()),
        "stars": base.sequence(base.scalar()),
    }

    @classmethod
    def read_raw(
        cls, root: Path, *, max_missing: int = 0, image_folder: str | None = None
    ) -> Raw:
        """The labels and image files; columns "score" and "attributes" (`ATTRIBUTES`).

        Raises:
          DataError: wrong rows of any file, scores that AADBinfo.mat contradicts, more
            than `max_missing` images without a file.
        """
        gathered = Gathered()
        tables = {x: gathered.read(read_split, root / f"{x}.csv") for x in SPLITS}
        folder = gathered.read(labels.image_folder, root, image_folder, IMAGE_FOLDERS)
        gathered.raise_if_any()
        compare_with_authors(root / AUTHORS, tables)
        split, notes = _one_split_each(tables)
        names = sorted(split)
        values = np.asarray([tables[split[name]][name] for name in names])
        ratings, more = _ratings(root / RATINGS, set(names))
        known = Labels(
            image_ids=tuple(names),
            image_split=np.asarray([split[name] for name in names]),
            columns={
                "attributes": values[:, :-1].astype(np.float32),
                "score": values[:, -1].astype(np.float32),
            },
            responses=labels.response_columns(ratings, names),
            notes=notes + more,
        )
        return labels.with_files(known, folder, max_missing=max_missing)


def read_split(path: Path) -> dict[str, list[float]]:
    """Image -> eleven attributes and the score.

    Raises:
      DataError: lists every row whose attribute is not in [-1, 1] or score in [0, 1],
        or whose image stands there twice.
    """
    columns = [name.casefold() for name in ATTRIBUTES]
    table = read_table(path, required=("imagefile", *columns, "score"))
    found: dict[str, list[float]] = {}
    for row in table.rows:
        name, problem = check_image_name(row.values["imagefile"])
        if name in found:
            problem = problem or f"image {name!r} stands there already; keep one"
        values = []
        for column, low in (*((column, -1) for column in columns), ("score", 0)):
            number = parse_number(row.values[column])
            if number is None or not low <= number <= 1:
                text = row.values[column]
                problem = problem or f"{column} {text!r}; expected {low} to 1"
            values.append(number)
        if problem is None:
            found[name] = values
        else:
            table.findings.add(row.line, problem)
    table.findings.raise_if_any()
    return found


def compare_with_authors(path: Path, tables: dict[str, dict[str, list[float]]]) -> None:
    """Refuses tables whose names or scores are not those of the authors' .mat file.

    It has training and test images only, and is optional.

    Raises:
      DataError: names the images that differ.
    """
    if not path.exists():
        return
    try:
        content: dict[str, Any] = scipy.io.loadmat(path)
        authors = {
            split: dict(
                zip(
                    (str(name[0]) for name in content[f"{split}NameList"][0]),
                    content[f"{split}Score"][0].tolist(),
                    strict=True,
                )
            )
            for split in ("train", "test")
        }
    except Exception as error:  # SciPy raises anything on a broken file
        raise DataError(
            f"{path}: not readable ({error}); copy it again or remove it"
        ) from error
    findings = Findings(path)
    for split, scores in authors.items():
        ours = tables[split]
        for number, (name, score) in enumerate(scores.items(), start=1):
            if name not in ours:
                findings.add(number, f"{split} image {name} is not in {split}.csv")
            elif abs(ours[name][-1] - score) > 1e-6:
                text = f"{ours[name][-1]} in {split}.csv and {score} here"
                findings.add(number, f"{name} has score {text}; expected the same")
    findings.raise_if_any()


def photo_id(name: str) -> str:
    """The number that Flickr gave the photograph, which stays when a file is renamed.

    Names are `farm1_255_19348365253_5c2d5cb4a1_b.jpg`; others are their own id.
    """
    parts = name.split("_")
    return parts[2] if len(parts) == 5 and parts[2].isdigit() else name


def _one_split_each(
    tables: dict[str, dict[str, list[float]]],
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Image -> split, each photograph in one: test before val before train."""
    owner: dict[str, str] = {}
    split: dict[str, str] = {}
    left_out: Counter[tuple[str, str]] = Counter()
    for name_of_split in SPLITS:
        for name in tables[name_of_split]:
            first = owner.setdefault(photo_id(name), name_of_split)
            if first == name_of_split:
                split[name] = name_of_split
            else:
                left_out[name_of_split, first] += 1
    return split, tuple(
        f"{count} {loser} images left out: they are {keeper} images too"
        for (loser, keeper), count in sorted(left_out.items())
    )


def _ratings(path: Path, images: set[str]) -> tuple[Ratings, tuple[str, ...]]:
    """The raters' own stars, if there are some, of the given images."""
    if not path.exists():
        nothing = np.empty(0, str)
        return Ratings(nothing, nothing, np.empty(0), (1.0, 5.0)), ()
    ratings = read_ratings(path, scale=(1, 5), named=True)
    known = np.isin(ratings.image, list(images))
    count = int((~known).sum())
    kept = Ratings(
        ratings.worker[known], ratings.image[known], ratings.stars[known], ratings.scale
    )
    note = f"{count} ratings of images in no split left out"
    return kept, (note,) if count else ()
