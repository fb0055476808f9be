"""The files of FLICKR-AES as published (Ren et al., ICCV 2017).

    FLICKR-AES_image_labeled_by_each_worker.csv   worker, imagePair, score   (1 to 5)
    FLICKR-AES_image_score.txt                    image and mean score in [0, 1],
    optional test_workers.txt                              the 37 test workers, a line
    each 40K/ or images/                               the photographs

Some rated images are missing from the published archive; they are listed and left out.
"""

import dataclasses
import unicodedata
from pathlib import Path

import numpy as np

from jiaa.data.folder import (
    Folder,
    check_missing,
    drop_images,
    list_files,
    read_ratings,
)
from jiaa.data.images import AnyPath
from jiaa.data.table import DataError, Findings, parse_number

RATINGS = "FLICKR-AES_image_labeled_by_each_worker.csv"
SCORES = "FLICKR-AES_image_score.txt"
TEST_WORKERS = "test_workers.txt"
IMAGE_FOLDERS = ("40K", "images")


@dataclasses.dataclass(frozen=True, eq=False)
class FlickrAes:
    """The tables, and who is a test worker."""

    folder: Folder
    test_workers: tuple[str, ...]


def read_flickr_aes(
    root: AnyPath,
    *,
    image_folder: str | None = None,
    test_workers: AnyPath | None = None,
    max_missing: int = 400,
) -> FlickrAes:
    """The tables of FLICKR-AES under `root`; `folder.metadata` has "published_score".

    `image_folder` (default: the first of `IMAGE_FOLDERS` that exists) is relative to
    `root`; `test_workers` is the list's file if it lies elsewhere. A published score is
    NaN where the file has none for an image.

    Raises:
      DataError: as `read_folder`; more than `max_missing` images (default: 1 %) without
        a file.
    """
    root = Path(root)
    columns = ("worker", "imagepair", "score")
    ratings = read_ratings(root / RATINGS, scale=(1, 5), columns=columns)
    photographs = _image_folder(root, image_folder)
    files = list_files(photographs)
    names = sorted(set(ratings.image.tolist()))
    missing = check_missing(names, files, folder=photographs, max_missing=max_missing)
    names = [name for name in names if name in files]
    published = _read_scores(root / SCORES)
    folder = Folder(
        ratings=drop_images(ratings, missing),
        image_names=tuple(names),
        paths=tuple(files[name] for name in names),
        image_split={},
        metadata={
            "published_score": np.asarray(
                [published.get(name, np.nan) for name in names], np.float32
            )
        },
        missing=missing,
    )
    listed = read_names(Path(test_workers or root / TEST_WORKERS))
    return FlickrAes(folder, listed)


def read_names(path: Path) -> tuple[str, ...]:
    """One name a line; blank lines are skipped."""
    lines = _read_lines(path)
    names = tuple(name for line in lines if (name := line.strip()))
    if not names:
        raise DataError(f"{path}: no names; expected one a line")
    return names


def _image_folder(root: Path, name: str | None) -> Path:
    if name is not None:
        return root / name
    for candidate in IMAGE_FOLDERS:
        if (root / candidate).is_dir():
            return root / candidate
    raise DataError(
        f"{root}: no folder of photographs; expected one of "
        f"{', '.join(IMAGE_FOLDERS)}, or pass image_folder"
    )


def _read_scores(path: Path) -> dict[str, float]:
    """Image -> published mean score in [0, 1]; the file is optional."""
    if not path.exists():
        return {}
    findings = Findings(path)
    scores = {}
    for number, line in enumerate(_read_lines(path), start=1):
        if not line.strip():
            continue
        name, _, text = line.strip().replace(",", " ").rpartition(" ")
        score = parse_number(text)
        if score is None and number == 1:
            continue  # a header
        if score is None or not 0 <= score <= 1:
            findings.add(number, f"score {text!r}; expected a number from 0 to 1")
            continue
        scores[name.strip()] = score
    findings.raise_if_any()
    return scores


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a text file") from error
    return unicodedata.normalize("NFC", text).split("\n")
