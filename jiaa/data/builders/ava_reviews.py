"""AVA's reviews, as CFAN (Wang et al., IJCAI 2018) collected them.

    AVA.txt         as in `jiaa.data.builders.ava`: votes, tags
    images/         ID.jpg
    reviews.jsonl   {"image": ID, "user": NAME, "review": TEXT, "score": 1..5}

The authors did not release their reviews; this is the layout that the builder reads,
one JSON object a line. "score" is optional: CFAN derives five levels from the words.
Records lie in one split, for CFAN's protocol holds out pairs of user and image, not
images: `test_review` marks a tenth of them, drawn by `seed`.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jiaa.data.builders import base, labels
from jiaa.data.builders.ava import IMAGE_FOLDERS, VOTES, read_votes
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.table import DataError, Findings, Gathered, read_lines
from jiaa.data.tasks import rank

REVIEWS = "reviews.jsonl"
SCALE = (1.0, 5.0)
TEST_SHARE = 0.1


class AvaReviews(base.PhotographBuilder):
    """AVA's photographs with what users wrote about them."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    AVA.txt and images/ID.jpg as for ava, and reviews.jsonl: one JSON object a line with
    "image" (AVA's image id), "user", "review" and optionally "score" from 1 to 5.
    """
    ABOUT = (
        "AVA's photographs with the reviews that users of dpchallenge.com wrote, the "
        "counts of votes from 1 to 10 and up to two semantic tags (0: none)."
    )
    HOMEPAGE = "https://www.dpchallenge.com"
    LICENSE = (
        "Rights to photographs and reviews are retained by their authors and "
        "dpchallenge; neither may be redistributed."
    )
    CITATION = """@inproceedings{wang2018collaborative,
  title={Collaborative and Attentive Learning for Personalized Image Aesthetic
    Assessment},
  author={Wang, Guolong and Yan, Junchi and Qin, Zheng},
  booktitle={International Joint Conference on Artificial Intelligence (IJCAI)},
  year={2018}
}"""
    MAX_MISSING = 2_555  # 1 %, as in ava
    FEATURES: ClassVar = {
        "votes": base.vector(shape=(10,), dtype=np.int32),
        "tags": base.vector(shape=(2,), dtype=np.int32),
        "worker": base.sequence(base.text()),
        "review": base.sequence(base.text()),
        "stars": base.sequence(base.scalar()),
        "test_review": base.sequence(base.scalar(dtype=np.bool_)),
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
        """The reviewed images; responses have "review", "stars" (NaN: none).

        Raises:
          DataError: wrong rows of any file, more than `max_missing` images without a
            file.
        """
        gathered = Gathered()
        votes = gathered.read(read_votes, root / VOTES)
        reviews = gathered.read(read_reviews, root / REVIEWS)
        folder = gathered.read(labels.image_folder, root, image_folder, IMAGE_FOLDERS)
        gathered.raise_if_any()
        row_of = {number: row for row, number in enumerate(votes[:, 1].tolist())}
        check_reviewed(root / REVIEWS, reviews, row_of)
        names = sorted({f"{review['image']}.jpg" for review in reviews})
        rows = [row_of[int(name.removesuffix(".jpg"))] for name in names]
        known = Labels(
            image_ids=tuple(names),
            image_split=np.full(len(names), "train"),
            columns={
                "votes": votes[rows, 2:12].astype(np.int32),
                "tags": votes[rows, 12:14].astype(np.int32),
            },
            responses=_responses(reviews, names, seed),
        )
        return labels.with_files(known, folder, max_missing=max_missing)


def read_reviews(path: Path) -> list[dict[str, Any]]:
    """Each review as {"line", "image": int, "user", "review", "score": float}.

    Raises:
      DataError: lists every line that is no such object.
    """
    findings = Findings(path)
    found = []
    for number, line in read_lines(path):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            findings.add(number, f"not JSON ({error}); expected one object a line")
            continue
        problem = _problem(value)
        if problem is not None:
            findings.add(number, problem)
            continue
        score = float(value.get("score", np.nan))
        image = int(value["image"])
        found.append({**value, "image": image, "score": score, "line": number})
    findings.raise_if_any()
    if not found:
        raise DataError(f"{path}: no reviews; expected one JSON object a line")
    return found


def check_reviewed(
    path: Path, reviews: list[dict[str, Any]], known: dict[int, int]
) -> None:
    """Refuses reviews of images that AVA.txt does not have.

    Raises:
      DataError: lists every such line.
    """
    findings = Findings(path)
    for review in reviews:
        if review["image"] not in known:
            findings.add(review["line"], f"image {review['image']} is not in {VOTES}")
    findings.raise_if_any()


def _problem(value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"{type(value).__name__}; expected an object"
    image = value.get("image")
    if isinstance(image, bool) or not str(image).isdecimal():
        return f"image {image!r}; expected AVA's image id, a whole number"
    for field in ("user", "review"):
        if not isinstance(value.get(field), str) or not value[field].strip():
            return f"{field} {value.get(field)!r}; expected a text that is not empty"
    score = value.get("score", SCALE[0])
    number = isinstance(score, int | float) and not isinstance(score, bool)
    if not number or not SCALE[0] <= score <= SCALE[1]:
        return f"score {score!r}; expected a number from 1 to 5, or none"
    return None


def _responses(
    reviews: list[dict[str, Any]], names: list[str], seed: int
) -> dict[str, np.ndarray]:
    """Sorted by image, user and line; a user may review an image more than once."""
    rows = {name: row for row, name in enumerate(names)}
    reviews = sorted(
        reviews, key=lambda x: (rows[f"{x['image']}.jpg"], x["user"], x["line"])
    )
    pairs = sorted(
        {f"{review['user']}\n{review['image']}" for review in reviews},
        key=lambda pair: rank(pair, seed),
    )
    held_out = set(pairs[: round(TEST_SHARE * len(pairs))])
    marks = [f"{review['user']}\n{review['image']}" in held_out for review in reviews]
    texts = np.empty(len(reviews), object)  # their lengths differ by thousands
    texts[:] = [review["review"] for review in reviews]
    return {
        "image": np.asarray([rows[f"{review['image']}.jpg"] for review in reviews]),
        "worker": np.asarray([review["user"] for review in reviews]),
        "review": texts,
        "stars": np.asarray([review["score"] for review in reviews], np.float32),
        "test_review": np.asarray(marks),
    }
