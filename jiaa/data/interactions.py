"""Pairs of user and image with a binary rating: what collaborative methods learn from.

Users and images are numbers of tables of factors; the number -1 is somebody, or some
photograph, that training has not seen. Pairs are sorted by user, so that a user's other
pairs are a range.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jiaa.data.dataset import Dataset
from jiaa.data.reviews.vocabulary import Vocabulary
from jiaa.data.table import DataError
from jiaa.data.tasks import rank
from jiaa.types import UserTasks, value

UNSEEN = -1


@value
class Pairs:
    """A row each; sorted by user, then image.

    `good` is the binary rating, `words` and `length` the pair's review in a
    vocabulary's numbers, padded with 0 (no words: no review). `first` and `count` say
    where each user's pairs lie, for all users of the tables.
    """

    user: Int[Array | np.ndarray, " pair"]
    image: Int[Array | np.ndarray, " pair"]
    good: Bool[Array | np.ndarray, " pair"]
    words: Int[Array | np.ndarray, "pair word"]
    length: Int[Array | np.ndarray, " pair"]
    first: Int[Array | np.ndarray, " user"]
    count: Int[Array | np.ndarray, " user"]

    def __len__(self) -> int:
        """How many pairs there are."""
        return self.user.shape[0]

    def take(self, rows: Int[np.ndarray, " kept"]) -> "Pairs":
        """Some of the pairs, on the host."""
        rows = np.sort(rows)
        return make_pairs(
            user=np.asarray(self.user)[rows],
            image=np.asarray(self.image)[rows],
            good=np.asarray(self.good)[rows],
            words=np.asarray(self.words)[rows],
            length=np.asarray(self.length)[rows],
            users=len(self.first),
        )


@value
class Labels:
    """What is known of images beside their users: tag (-1: none), the crowd's verdict.

    `crowd_good` is NaN where nobody voted.
    """

    tag: Int[Array | np.ndarray, " image"]
    crowd_good: Float[Array | np.ndarray, " image"]


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """The pairs to learn from and those held out, and the images' labels.

    `users` and `images` are the sizes of the tables; `tags` and `workers` name the
    tags and the users. Images are rows of the dataset's store.
    """

    train: Pairs
    test: Pairs
    labels: Labels
    users: int
    images: int
    tags: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    vocabulary: Vocabulary = dataclasses.field(default_factory=lambda: Vocabulary(()))


def make_pairs(
    *,
    user: Int[np.ndarray, " pair"],
    image: Int[np.ndarray, " pair"],
    good: Bool[np.ndarray, " pair"],
    users: int,
    words: Int[np.ndarray, "pair word"] | None = None,
    length: Int[np.ndarray, " pair"] | None = None,
) -> Pairs:
    """Pairs sorted by user and image; without `words`, nobody wrote a review."""
    order = np.lexsort((image, user))
    words = np.zeros((len(user), 0), np.int32) if words is None else words
    length = np.zeros(len(user), np.int32) if length is None else length
    count = np.bincount(user, minlength=users)
    return Pairs(
        user=user[order].astype(np.int32),
        image=image[order].astype(np.int32),
        good=np.asarray(good, bool)[order],
        words=words[order].astype(np.int32),
        length=length[order].astype(np.int32),
        first=(np.cumsum(count) - count).astype(np.int32),
        count=count.astype(np.int32),
    )


def hold_out(
    user: Int[np.ndarray, " pair"],
    image: Int[np.ndarray, " pair"],
    *,
    share: float = 0.1,
    seed: int = 0,
) -> Bool[np.ndarray, " pair"]:
    """Which pairs are held out: CFAN's random split of pairs, by a hash of each.

    Raises:
      ValueError: a share outside (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}; expected a number between 0 and 1")
    names = [f"{u}\n{v}" for u, v in zip(user.tolist(), image.tolist(), strict=True)]
    order = sorted(range(len(names)), key=lambda row: rank(names[row], seed))
    held_out = np.zeros(len(names), bool)
    held_out[order[: round(share * len(names))]] = True
    return held_out


def image_labels(
    dataset: Dataset, *, tag: str = "", crowd_above: float | None = None
) -> tuple[Labels, tuple[str, ...]]:
    """Labels of all images, and the tags' names.

    `tag` is a column of the dataset's metadata: words, or AVA's "tags", of which the
    first is the primary one and 0 is none. The crowd's verdict is that of AVA's "votes"
    (mean above 5), or else of the training raters' mean (above `crowd_above`, in unit
    scores).

    Raises:
      DataError: the dataset has no such column.
    """
    numbers, names = np.full(len(dataset.image_names), -1), []
    if tag:
        if tag not in dataset.metadata:
            raise DataError(
                f"{dataset.name} has no column {tag!r} of its images; expected one of "
                f"{', '.join(sorted(dataset.metadata)) or 'none: leave the tag out'}"
            )
        column = np.asarray(dataset.metadata[tag])
        primary = column[:, 0] if column.ndim == 2 else column
        names = [x for x in np.unique(primary) if x not in (0, "")]
        numbers = np.searchsorted(names, primary)
        known = np.isin(primary, names)
        numbers = np.where(known, numbers, -1)
    labels = Labels(numbers.astype(np.int32), _verdict(dataset, crowd_above))
    return labels, tuple(map(str, names))


def _verdict(
    dataset: Dataset, crowd_above: float | None
) -> Float[np.ndarray, " image"]:
    if "votes" in dataset.metadata:
        votes = np.asarray(dataset.metadata["votes"])
        means = votes @ np.arange(1, votes.shape[1] + 1) / np.maximum(votes.sum(1), 1)
        verdict = np.where(votes.sum(1) > 0, means > 5, np.nan)
    elif crowd_above is None:
        verdict = np.full(len(dataset.image_names), np.nan)
    else:
        verdict = np.where(
            dataset.raters > 0, dataset.mean_scores > crowd_above, np.nan
        )
    return verdict.astype(np.float32)


def keep_tags(labels: Labels, *, least: int) -> tuple[Labels, Int[np.ndarray, " kept"]]:
    """Tags with `least` images or more, numbered anew, and which ones they were."""
    counts = np.bincount(labels.tag[labels.tag >= 0])
    kept = np.flatnonzero(counts >= least)
    number = np.full(len(counts) + 1, -1)  # the last place is that of no tag, -1
    number[kept] = np.arange(len(kept))
    return dataclasses.replace(labels, tag=number[labels.tag].astype(np.int32)), kept


def pairs_of(
    tasks: UserTasks,
    *,
    good_above: float,
    vocabulary: Vocabulary | None = None,
    length: int = 0,
) -> Pairs:
    """The users' ratings as pairs; user u is row u of `tasks`.

    A rating is good if its unit score is above `good_above`. With a vocabulary, the
    reviews are `tasks.side["review"]`, cut after `length` words.

    Raises:
      DataError: a score is not finite, which would read as bad.
    """
    mask = np.asarray(tasks.mask)
    user, column = np.nonzero(mask)
    scores = np.asarray(tasks.scores)[user, column]
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        row = wrong[0]
        raise DataError(
            f"user {user[row]}, rating {column[row]}: the score is {scores[row]}; "
            f"expected a number ({len(wrong)} of {len(scores)} ratings have none: "
            "leave them out)"
        )
    words = counts = None
    if vocabulary is not None:
        texts = np.asarray(tasks.side["review"])[user, column]
        words, counts = vocabulary.encode(texts.tolist(), length=length)
    return make_pairs(
        user=user,
        image=np.asarray(tasks.image_ids)[user, column],
        good=scores > good_above,
        users=len(mask),
        words=words,
        length=counts,
    )


def concatenate(tasks: Sequence[UserTasks]) -> UserTasks:
    """All users of several splits, padded to the longest."""
    longest = max(part.mask.shape[1] for part in tasks)

    def padded(leaf):
        leaf = np.asarray(leaf)
        if leaf.ndim < 2:
            return leaf
        widths = [(0, 0), (0, longest - leaf.shape[1]), *[(0, 0)] * (leaf.ndim - 2)]
        return np.pad(leaf, widths)

    parts = [jax.tree.map(padded, part) for part in tasks]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
