"""AVA (Murray, Marchesotti and Perronnin, CVPR 2012): votes on 255,530 photographs.

    AVA.txt         index, image id, counts of votes 1..10, two tag ids, challenge id
    images/         ID.jpg
    ilgnet_ava1_train.txt, ilgnet_ava1_val.txt     optional lists: ID.jpg and its label

The lists are those of ILGnet (Jin et al., 2018), which PA_IAA cites: 235,529 images to
train and 20,000 to test; a label says whether the mean vote is above 5. Without lists,
20,000 images (8 % of smaller sets) are drawn by `seed`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from jiaa.data.builders import base, labels
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.table import DataError, Findings, Gathered, read_lines, some
from jiaa.data.tasks import rank

VOTES = "AVA.txt"
LISTS = {"train": "ilgnet_ava1_train.txt", "test": "ilgnet_ava1_val.txt"}
IMAGE_FOLDERS = ("images", "image")
COLUMNS = 15
TAGS = 66
TEST_IMAGES = 20_000


class Ava(base.PhotographBuilder):
    """Photographs from contests on dpchallenge.com, about 210 votes each."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    AVA.txt from the authors' AVA package (see homepage), the photographs as
    images/ID.jpg (the package holds none: they are downloaded from dpchallenge.com by
    their ids). For ILGnet's split, put ilgnet_ava1_train.txt and ilgnet_ava1_val.txt
    beside AVA.txt.
    """
    ABOUT = (
        "AVA: photographs with the counts of votes from 1 to 10, up to two semantic "
        "tags (0: none; 66 tags) and the contest they were taken for."
    )
    HOMEPAGE = "https://github.com/imfing/ava_downloader"
    LICENSE = (
        "Rights to the photographs are retained by the photographers and dpchallenge; "
        "neither images nor data may be redistributed (the package's own words)."
    )
    CITATION = """@inproceedings{murray2012ava,
  title={AVA: A large-scale database for aesthetic visual analysis},
  author={Murray, Naila and Marchesotti, Luca and Perronnin, Florent},
  booktitle={IEEE Conference on Computer Vision and Pattern Recognition},
  pages={2408--2415},
  year={2012}
}"""
    MAX_MISSING = 2_555  # 1 %: photographs have been withdrawn since 2012
    FEATURES: ClassVar = {
        "votes": base.vector(shape=(10,), dtype=np.int32),
        "tags": base.vector(shape=(2,), dtype=np.int32),
        "challenge": base.scalar(dtype=np.int32),
    }

    @classmethod
    def read_raw(
        cls,
        root: Path,
        *,
        max_missing: int = MAX_MISSING,
        image_folder: str | None = None,
        seed: int = 0,
    ) -> Raw:
        """The labels and image files; columns "votes", "tags" and "challenge".

        `seed` draws the test images where there are no lists. Listed images without a
        row of votes, and images in no list, are counted in `notes` and left out.

        Raises:
          DataError: wrong rows of any file, an image in both lists, more than
            `max_missing` images without a file.
        """
        gathered = Gathered()
        rows = gathered.read(read_votes, root / VOTES)
        split = gathered.read(read_lists, root)
        folder = gathered.read(labels.image_folder, root, image_folder, IMAGE_FOLDERS)
        gathered.raise_if_any()
        names = [f"{number}.jpg" for number in rows[:, 1].tolist()]
        if split:
            check_list_labels(root, names, rows[:, 2:12])
        split, notes = _placed(names, split, seed)
        kept = [row for row, name in enumerate(names) if name in split]
        kept = np.asarray(sorted(kept, key=names.__getitem__))
        known = Labels(
            image_ids=tuple(names[row] for row in kept),
            image_split=np.asarray([split[names[row]] for row in kept]),
            columns={
                "votes": rows[kept, 2:12].astype(np.int32),
                "tags": rows[kept, 12:14].astype(np.int32),
                "challenge": rows[kept, 14].astype(np.int32),
            },
            notes=notes,
        )
        return labels.with_files(known, folder, max_missing=max_missing)


def read_votes(path: Path) -> Int[np.ndarray, "image 15"]:
    """AVA.txt: index, image id, ten counts of votes, two tag ids, challenge id.

    Raises:
      DataError: lists every line that is not 15 whole numbers, has no votes or an
        unknown tag, or an image that stands there twice.
    """
    lines = read_lines(path)
    if not lines:
        raise DataError(f"{path}: no rows; expected {COLUMNS} whole numbers a line")
    values = [line.split() for _, line in lines]
    tokens = [value for row in values for value in row]
    plain = re.fullmatch("[0-9]+", "".join(tokens)) and max(map(len, tokens)) < 19
    if plain and all(len(row) == COLUMNS for row in values):
        rows = np.asarray(tokens, dtype=np.int64).reshape(-1, COLUMNS)
        if not _suspect(rows):
            return rows
    findings = Findings(path)
    _explain(lines, findings)
    raise findings.error()


def mean_stars(votes: Int[np.ndarray, "image 10"]) -> Float[np.ndarray, " image"]:
    """Each image's mean vote, from 1 to 10."""
    return votes @ np.arange(1, 11) / votes.sum(axis=1)


def read_lists(root: Path) -> dict[str, str]:
    """Image -> split from the two lists under `root`; empty if there is neither.

    Raises:
      DataError: wrong lines, an image in both lists, or one list without the other.
    """
    paths = {split: root / name for split, name in LISTS.items()}
    there = [path for path in paths.values() if path.exists()]
    if not there:
        return {}
    gathered = Gathered()
    lists = {split: gathered.read(read_list, path) for split, path in paths.items()}
    gathered.raise_if_any()
    return labels.place_images(lists, what=" and ".join(map(str, paths.values())))


def read_list(path: Path) -> dict[str, tuple[int, int]]:
    """Image -> (label, line): 1 if its mean vote is above 5, else 0.

    Raises:
      DataError: lists every line that is not `ID.jpg label`, or doubled.
    """
    findings = Findings(path)
    found: dict[str, tuple[int, int]] = {}
    for number, line in read_lines(path):
        match = re.fullmatch(r"([0-9]+\.jpg)\s+([01])", line)
        if match is None:
            findings.add(number, f"{line!r}; expected 'ID.jpg' and 0 or 1")
        elif match[1] in found:
            before = found[match[1]][1]
            findings.add(number, f"{match[1]} stands in line {before} too; remove one")
        else:
            found[match[1]] = (int(match[2]), number)
    findings.raise_if_any()
    return found


def check_list_labels(
    root: Path, names: list[str], votes: Int[np.ndarray, "image 10"]
) -> None:
    """Refuses list labels that the votes contradict.

    Raises:
      DataError: lists every line whose label is not `mean vote > 5`.
    """
    means = dict(zip(names, mean_stars(votes).tolist(), strict=True))
    gathered = Gathered()
    for file in LISTS.values():
        findings = Findings(root / file)
        for name, (label, line) in read_list(root / file).items():
            if name in means and label != (means[name] > 5):
                findings.add(
                    line,
                    f"{name} has label {label}, but a mean vote of {means[name]:.4f} "
                    f"in {VOTES}; expected 1 above 5, else 0",
                )
        gathered.read(findings.raise_if_any)
    gathered.raise_if_any()


def _suspect(rows: Int[np.ndarray, "image 15"]) -> bool:
    tags = rows[:, 12:14]
    doubled = len(np.unique(rows[:, 1])) < len(rows)
    voteless = not rows[:, 2:12].any(axis=1).all()
    return bool(doubled or voteless or tags.max() > TAGS)


def _explain(lines: list[tuple[int, str]], findings: Findings) -> None:
    """Finds what is wrong, line by line."""
    first_line: dict[int, int] = {}
    for number, line in lines:
        values = line.split()
        odd = [x for x in values if re.fullmatch("[0-9]{1,18}", x) is None]
        if odd:
            findings.add(number, f"{odd[0]!r}; expected whole numbers from 0")
        elif len(values) != COLUMNS:
            findings.add(
                number,
                f"{len(values)} values; expected {COLUMNS}: index, image, ten counts "
                "of votes, two tags, challenge",
            )
        else:
            row = list(map(int, values))
            before = first_line.setdefault(row[1], number)
            if before != number:
                findings.add(number, f"image {row[1]} stands in line {before} too")
            elif not any(row[2:12]):
                findings.add(number, f"image {row[1]} has no votes; remove the line")
            elif max(row[12:14]) > TAGS:
                findings.add(number, f"tag {max(row[12:14])}; expected 0 to {TAGS}")


def _placed(
    names: list[str], listed: Mapping[str, str], seed: int
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Image -> split of the rows, and notes on what the lists leave open."""
    if not listed:
        test = min(TEST_IMAGES, round(0.08 * len(names)))
        held_out = set(sorted(names, key=lambda name: rank(name, seed))[:test])
        return {x: "test" if x in held_out else "train" for x in names}, ()
    rows = set(names)
    notes = ()
    for split in LISTS:
        images = [name for name, of in listed.items() if of == split]
        if absent := sum(name not in rows for name in images):
            notes += (f"{absent} of {len(images)} {split} images have no votes",)
    if unlisted := [name for name in names if name not in listed]:
        notes += (f"{len(unlisted)} images in no list left out: {some(unlisted)}",)
    return {name: listed[name] for name in names if name in listed}, notes
