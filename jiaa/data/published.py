"""The papers' datasets as a `Dataset`, from raw files or from built records alike.

Every loader takes the options of `open_source`, and those of the builder's `read_raw`
where the files are raw.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, PyTree

from jiaa.data.builders.ava import mean_stars
from jiaa.data.builders.labels import Labels, check_disjoint
from jiaa.data.builders.source import Source, open_source
from jiaa.data.dataset import Dataset, assemble
from jiaa.data.images import AnyPath
from jiaa.data.table import DataError
from jiaa.types import Ratings

STARS = (1.0, 5.0)


def load_flickr_aes(
    root: AnyPath,
    *,
    split: str | None = None,
    share_images: bool = False,
    min_ratings: int = 1,
    **options: Any,
) -> Dataset:
    """FLICKR-AES (Ren et al., ICCV 2017): 173 training and 37 test users.

    Unless `share_images`, an image that a test worker rated is a test image, and what
    training workers say of it is left out. `metadata["published_score"]` holds the
    authors' own means, `["weighted_score"]` those of PAM's eq. 1 (NaN: unknown).

    Raises:
      DataError: as `open_source`; a user or an image on both sides.
      ImageError: unreadable images.
    """
    part = None if share_images else split
    source = open_source("flickr_aes", root, split=part, **options)
    labels = source.labels
    return _with_users(
        source,
        labels.ratings(STARS),
        test=labels.responses["test_worker"],
        share_images=share_images,
        split=split,
        min_ratings=min_ratings,
    )


def load_real_cur(
    root: AnyPath, *, split: str | None = None, min_ratings: int = 1, **options: Any
) -> Dataset:
    """REAL-CUR (Ren et al., ICCV 2017): 14 owners and their albums, all test users.

    Raises:
      DataError: as `open_source`.
      ImageError: unreadable images.
    """
    source = open_source("real_cur", root, split=split, **options)
    ratings = source.labels.ratings(STARS)
    test = np.ones(len(ratings.stars), bool)
    return _with_users(source, ratings, test=test, split=split, min_ratings=min_ratings)


def load_psycho_flickr(
    root: AnyPath,
    *,
    fold: int = 0,
    split: str | None = None,
    min_ratings: int = 1,
    **options: Any,
) -> Dataset:
    """PsychoFlickr: the users of `fold` (0 to 9) are test users, the others training.

    A rating is a like: score 1 on the scale (0, 1). `side["traits"]` has the liker's
    traits in [-1, 1]. A photograph that a test user likes is a test image.

    Raises:
      DataError: as `open_source`; no such fold.
      ImageError: unreadable images.
    """
    source = open_source("psycho_flickr", root, **options)
    labels = source.labels
    fold_of = labels.responses["fold"]
    if not (fold_of == fold).any():
        raise DataError(f"psycho_flickr has no users in fold {fold}; expected 0 to 9")
    likes = np.ones(len(fold_of))
    names = np.asarray(labels.image_ids)[labels.responses["image"]]
    return _with_users(
        source,
        Ratings(labels.responses["worker"], names, likes, (0.0, 1.0)),
        test=fold_of == fold,
        side={"traits": labels.responses["traits"]},
        split=split,
        min_ratings=min_ratings,
    )


def load_ava_reviews(
    root: AnyPath,
    *,
    rate: Callable[[Sequence[str]], Float[np.ndarray, " review"]] | None = None,
    split: str | None = None,
    min_ratings: int = 1,
    **options: Any,
) -> Dataset:
    """AVA's reviewers as users; `side` has each "review" and whether it is "test".

    `rate` turns reviews into stars, 1 to 5, or NaN for those that say nothing, which
    are left out (`data.reviews`); by default the file's own scores count. A user's
    later reviews of the same photograph are left out. Splits share users and
    images (CFAN holds out pairs), so all are "train".

    Raises:
      DataError: as `open_source`; reviews without a score, and no `rate`.
      ImageError: unreadable images.
    """
    source = open_source("ava_reviews", root, split=split, **options)
    labels = _first_reviews(source.labels)
    responses = dict(labels.responses)
    if rate is not None:
        responses["stars"] = np.asarray(rate(responses["review"].tolist()))
    elif unscored := int(np.isnan(responses["stars"]).sum()):
        raise DataError(
            f"{unscored} reviews have no score; pass rate=, a function of the texts"
        )
    labels = _rated(dataclasses.replace(labels, responses=responses))
    responses = labels.responses
    return _with_users(
        dataclasses.replace(source, labels=labels),
        labels.ratings(STARS),
        test=np.zeros(len(responses["stars"]), bool),
        share_images=True,
        side={"review": responses["review"], "test": responses["test_review"]},
        split=split,
        min_ratings=min_ratings,
    )


def load_ava(root: AnyPath, *, split: str | None = None, **options: Any) -> Dataset:
    """AVA (Murray et al., CVPR 2012): votes of crowds, no users.

    `metadata` has "votes" (counts of 1 to 10), "tags", "challenge" and "mean_score"
    (mean stars / 10) of all images.

    Raises:
      DataError: as `open_source`.
      ImageError: unreadable images.
    """
    source = open_source("ava", root, split=split, **options)
    votes = source.labels.columns["votes"]
    return _of_crowds(
        source, mean_stars(votes) / 10, votes.sum(axis=1), scale=(1.0, 10.0)
    )


def load_aadb(
    root: AnyPath,
    *,
    split: str | None = None,
    rater_counts: tuple[int, int] | None = None,
    min_ratings: int = 1,
    **options: Any,
) -> Dataset:
    """AADB (Kong et al., ECCV 2016): attributes, scores, and users if they are known.

    `metadata` has "attributes" (in [-1, 1], eleven of them) and "score" (in [0, 1]) of
    all images. Without raters' own stars there are no users, and the crowd's unit score
    is (1 + 4 score) / 5. With them, a rating belongs to its image's split, so one
    person may be a user of several.

    `rater_counts` (100, 200) is PAM's protocol instead: those who rated that many
    images are the test users (28 of them in the paper), and their images test images.

    Raises:
      DataError: as `open_source`; `rater_counts`, but nobody rated so many.
      ImageError: unreadable images.
    """
    part = split if rater_counts is None else None
    source = open_source("aadb", root, split=part, **options)
    labels = source.labels
    ratings = labels.ratings(STARS)
    if rater_counts is not None:
        test = _rated_between(labels, *rater_counts)
        return _with_users(
            source, ratings, test=test, split=split, min_ratings=min_ratings
        )
    if not len(ratings.stars):
        unit = (1 + 4 * labels.columns["score"].astype(np.float64)) / 5
        return _of_crowds(source, unit, np.full(len(unit), 5), scale=STARS)
    places = dict(zip(labels.image_ids, labels.image_split.tolist(), strict=True))
    dataset = _assemble(source, ratings, None, places, min_ratings=min_ratings)
    return dataset if split is None else dataset.only(split)


def _with_users(
    source: Source,
    ratings: Ratings,
    *,
    test: np.ndarray,
    share_images: bool = False,
    side: PyTree = (),
    split: str | None,
    min_ratings: int,
) -> Dataset:
    """Users are test users where `test`; so are the images that one of them rated."""
    labels = source.labels
    of_user = np.where(test, "test", "train").tolist()
    held_out = set(ratings.image[test].tolist())
    places = {x: "test" if x in held_out else "train" for x in labels.image_ids}
    dataset = _assemble(
        source,
        ratings,
        dict(zip(ratings.worker.tolist(), of_user, strict=True)),
        None if share_images else places,
        side=side,
        min_ratings=min_ratings,
    )
    check_sides(dataset)
    return dataset if split is None else dataset.only(split)


def _assemble(
    source: Source,
    ratings: Ratings,
    user_split: dict[str, str] | None,
    image_split: dict[str, str] | None,
    **options: Any,
) -> Dataset:
    labels = source.labels
    return assemble(
        ratings,
        source.store(),
        name=source.name,
        image_names=labels.image_ids,
        user_split=user_split,
        image_split=image_split,
        metadata=labels.columns,
        missing=labels.missing,
        notes=labels.notes,
        **options,
    )


def _of_crowds(
    source: Source,
    unit_scores: Float[np.ndarray, " image"],
    raters: Int[np.ndarray, " image"],
    *,
    scale: tuple[float, float],
) -> Dataset:
    """A dataset without users; `metadata["mean_score"]` has held-out images' too."""
    labels = source.labels
    train = labels.image_split == "train"
    scores = unit_scores.astype(np.float32)
    return Dataset(
        name=source.name,
        store=source.store(),
        image_names=labels.image_ids,
        tasks={},
        workers={},
        scale=scale,
        mean_scores=np.where(train, scores, np.float32(0)),
        raters=np.where(train, raters, 0).astype(np.int32),
        image_split=labels.image_split,
        metadata={**labels.columns, "mean_score": scores},
        missing=labels.missing,
        notes=labels.notes,
    )


def check_sides(dataset: Dataset) -> None:
    """Refuses users (and, where images have a split, images) on two sides.

    Raises:
      DataError: names them.
    """
    tasks = dataset.tasks.items()
    check_disjoint({name: users.user_id.tolist() for name, users in tasks})
    if dataset.image_split.any():
        images = {name: users.image_ids[users.mask].tolist() for name, users in tasks}
        check_disjoint(images, what="images")


def _rated_between(labels: Labels, least: int, most: int) -> np.ndarray:
    """Which ratings are those of somebody who gave so many."""
    _, worker, counts = np.unique(
        labels.responses["worker"], return_inverse=True, return_counts=True
    )
    chosen = (counts >= least) & (counts <= most)
    if not chosen.any():
        raise DataError(
            f"nobody rated {least} to {most} images; expected somebody. Add "
            "ratings.csv with the raters' own stars, or change rater_counts"
        )
    return chosen[worker]


def _rated(labels: Labels) -> Labels:
    """Without responses that have no stars, counted in the notes."""
    kept = ~np.isnan(labels.responses["stars"])
    if kept.all():
        return labels
    note = f"{int((~kept).sum())} reviews left out that rate nothing"
    return dataclasses.replace(
        labels,
        responses={name: values[kept] for name, values in labels.responses.items()},
        notes=(*labels.notes, note),
    )


def _first_reviews(labels: Labels) -> Labels:
    """Each user's first review of an image: tasks hold one rating of it."""
    responses = labels.responses
    pairs = zip(responses["image"].tolist(), responses["worker"].tolist(), strict=True)
    seen: set[tuple[int, str]] = set()
    kept = [
        row for row, pair in enumerate(pairs) if not (pair in seen or seen.add(pair))
    ]
    count = len(responses["image"]) - len(kept)
    note = f"{count} later reviews of the same image by the same user left out"
    return dataclasses.replace(
        labels,
        responses={name: values[kept] for name, values in responses.items()},
        notes=(*labels.notes, note) if count else labels.notes,
    )
