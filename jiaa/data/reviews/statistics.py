"""What a corpus of reviews is like: CFAN's Table 1, and the distributions of Fig. 2."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from jiaa.data.reviews.ratings import LEVELS
from jiaa.data.table import DataError


@dataclasses.dataclass(frozen=True)
class ReviewStatistics:
    """One column of Table 1; ranges are (least, most) among those with a review."""

    images: int
    reviews: int
    users: int
    reviews_per_image: float
    users_per_image: float
    reviews_per_user: float
    reviews_of_an_image: tuple[int, int]
    users_of_an_image: tuple[int, int]
    reviews_of_a_user: tuple[int, int]


def review_statistics(
    user: Int[np.ndarray, " review"], image: Int[np.ndarray, " review"]
) -> ReviewStatistics:
    """Table 1 for some reviews; a user may review an image more than once.

    Raises:
      DataError: no reviews.
    """
    if not len(user):
        raise DataError("no reviews to count; expected at least one")
    by_image = np.unique(image, return_counts=True)[1]
    by_user = np.unique(user, return_counts=True)[1]
    pairs = np.unique(np.stack([image, user], axis=1), axis=0)
    users_by_image = np.unique(pairs[:, 0], return_counts=True)[1]
    return ReviewStatistics(
        images=len(by_image),
        reviews=len(user),
        users=len(by_user),
        reviews_per_image=float(by_image.mean()),
        users_per_image=float(users_by_image.mean()),
        reviews_per_user=float(by_user.mean()),
        reviews_of_an_image=(int(by_image.min()), int(by_image.max())),
        users_of_an_image=(int(users_by_image.min()), int(users_by_image.max())),
        reviews_of_a_user=(int(by_user.min()), int(by_user.max())),
    )


def statistics_by_tag(
    user: Int[np.ndarray, " review"],
    image: Int[np.ndarray, " review"],
    tags: Int[np.ndarray, "image tag"],
    *,
    most: int = 5,
) -> dict[int, ReviewStatistics]:
    """Table 1's columns: those of the `most` frequent tags, and 0 for all reviews.

    An image counts under each of its tags (0: none), as in the table, whose numbers of
    images add up to more than there are.
    """
    counts = np.bincount(tags.ravel())
    counts[0] = 0
    ranked = np.argsort(-counts, kind="stable")[:most]
    chosen = [int(tag) for tag in ranked if counts[tag]]
    found = {}
    for tag in chosen:
        rows = (tags[image] == tag).any(axis=1)
        if rows.any():
            found[tag] = review_statistics(user[rows], image[rows])
    return {**found, 0: review_statistics(user, image)}


def level_shares(
    image: Int[np.ndarray, " review"],
    level: Int[np.ndarray, " review"],
    *,
    of: int,
) -> Float[np.ndarray, " level"]:
    """One image's distribution of levels, 0 where a review rates nothing (Fig. 2).

    Raises:
      DataError: none of the image's reviews rates it.
    """
    levels = level[(image == of) & (level > 0)]
    if not len(levels):
        raise DataError(f"no review of image {of} rates it; choose another image")
    return np.bincount(levels, minlength=LEVELS + 1)[1:] / len(levels)
