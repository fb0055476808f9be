"""REAL-CUR (Ren et al., ICCV 2017): 14 people's own albums, each rated by its owner.

    albums/OWNER/NAME.jpg       197 to 222 photographs each
    REAL-CUR_scores.csv         owner,image,score      (1 to 5; image is NAME.jpg)

The authors do not describe how their archive is laid out; this is the layout that the
builder reads, one folder an album. An image's id is OWNER/NAME.jpg. All are test users:
PAM adapts to them and trains on none.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np

from jiaa.data.builders import base, labels
from jiaa.data.builders.flickr_aes import FlickrAes
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.folder import read_ratings
from jiaa.data.table import Gathered
from jiaa.types import Ratings

SCORES = "REAL-CUR_scores.csv"
IMAGE_FOLDERS = ("albums", "images")
SCALE = (1.0, 5.0)


class RealCur(base.PhotographBuilder):
    """Personal albums with their owners' stars."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    From the authors' page (see homepage): one folder an album, albums/OWNER/NAME.jpg,
    and REAL-CUR_scores.csv with the columns owner,image,score, where image is NAME.jpg
    and score the owner's stars from 1 to 5.
    """
    ABOUT = (
        "REAL-CUR: 14 personal albums of about 205 photographs with the stars, 1 to 5, "
        "that their owners gave."
    )
    HOMEPAGE = FlickrAes.HOMEPAGE
    LICENSE = "Private photographs, released by their owners for research use."
    CITATION = FlickrAes.CITATION
    FEATURES: ClassVar = {
        "worker": base.sequence(base.text()),
        "stars": base.sequence(base.scalar()),
    }

    @classmethod
    def read_raw(
        cls, root: Path, *, max_missing: int = 0, image_folder: str | None = None
    ) -> Raw:
        """The labels and image files; the worker of an image is its album's owner.

        Raises:
          DataError: wrong rows, more than `max_missing` images without a file.
        """
        gathered = Gathered()
        columns = ("owner", "image", "score")
        ratings = gathered.read(
            read_ratings, root / SCORES, scale=SCALE, columns=columns, named=True
        )
        folder = gathered.read(labels.image_folder, root, image_folder, IMAGE_FOLDERS)
        gathered.raise_if_any()
        pairs = zip(ratings.worker.tolist(), ratings.image.tolist(), strict=True)
        images = np.asarray([f"{owner}/{image}" for owner, image in pairs])
        ratings = Ratings(ratings.worker, images, ratings.stars, SCALE)
        names = sorted(images.tolist())
        known = Labels(
            image_ids=tuple(names),
            image_split=np.full(len(names), "test"),
            columns={},
            responses=labels.response_columns(ratings, names),
        )
        return labels.with_files(known, folder, max_missing=max_missing)
