"""A dataset ready to learn from: images, users by split, the crowd's mean scores."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, PyTree, Shaped

from jiaa.data.feature_file import FeatureSpec
from jiaa.data.folder import select
from jiaa.data.photographs import Photographs
from jiaa.data.table import DataError, some
from jiaa.data.tasks import mean_scores, rating_counts, user_ids, user_tasks
from jiaa.types import ImageStore, Ratings, UserTasks


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and ratings on the host; `tasks` maps a split's name to its users.

    `mean_scores` (unit scores) and `raters` are the training raters' alone, the target
    of generic training; both are 0 where none of them rated an image. `image_split` is
    "" for images that splits share. `metadata` holds arrays that run along
    `image_names`. `missing` lists images without a file, `notes` what else was left out
    and why. `features` says which features the store holds; None: it holds images.
    """

    name: str
    store: ImageStore
    image_names: tuple[str, ...]
    tasks: Mapping[str, UserTasks]
    workers: Mapping[int, str]
    scale: tuple[float, float]
    mean_scores: Float[np.ndarray, " image"]
    raters: Int[np.ndarray, " image"]
    image_split: Shaped[np.ndarray, " image"]
    metadata: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    features: FeatureSpec | None = None

    def __repr__(self) -> str:
        """One line: the arrays would fill a screen."""
        users = ", ".join(
            f"{name} {len(x)} users" for name, x in sorted(self.tasks.items())
        )
        found = f"{len(self.image_names)} images; {users or 'no users'}"
        return f"Dataset({self.name!r}, {found})"

    def split(self, name: str) -> UserTasks:
        """The users of one split.

        Raises:
          DataError: there is none of that name; says which there are.
        """
        if name not in self.tasks:
            raise DataError(
                f"dataset {self.name!r} has no {name!r} users, only "
                f"{', '.join(sorted(self.tasks))}; add a split column to images.csv, "
                "or pass test_users with names or a share such as 0.2"
            )
        return self.tasks[name]

    def only(self, name: str) -> "Dataset":
        """The images and users of one split; image rows are counted anew.

        Images are those of the split, or where splits share images, those that its
        users rated.

        Raises:
          DataError: there is no such split.
        """
        if not (self.image_split == name).any():
            tasks = self.split(name)
            rows = np.unique(tasks.image_ids[tasks.mask])
        else:
            rows = np.flatnonzero(self.image_split == name)
        new_row = np.zeros(len(self.image_names), np.int32)
        new_row[rows] = np.arange(len(rows))
        tasks = {}
        if name in self.tasks:
            own = self.tasks[name]
            ids = np.where(own.mask, new_row[own.image_ids], 0).astype(np.int32)
            tasks[name] = dataclasses.replace(own, image_ids=ids)
        store = self.store
        if len(rows) < len(store):
            store = jax.tree.map(lambda values: _some(values, rows), store)
        return dataclasses.replace(
            self,
            store=store,
            image_names=tuple(self.image_names[row] for row in rows),
            tasks=tasks,
            mean_scores=self.mean_scores[rows],
            raters=self.raters[rows],
            image_split=self.image_split[rows],
            metadata={key: values[rows] for key, values in self.metadata.items()},
        )

    def generic_ids(self) -> Int[np.ndarray, " image"]:
        """The images that training raters rated: the examples of generic training."""
        return np.flatnonzero(self.raters).astype(np.int32)


def _some(values: Any, rows: Int[np.ndarray, " image"]) -> Any:
    """Rows of an array, or of photographs that stay as they are."""
    return values.select(rows) if isinstance(values, Photographs) else values[rows]


def assemble(
    ratings: Ratings,
    store: ImageStore,
    *,
    name: str,
    image_names: Sequence[str],
    user_split: Mapping[str, str] | None,
    image_split: Mapping[str, str] | None = None,
    metadata: Mapping[str, np.ndarray] | None = None,
    side: PyTree = (),
    min_ratings: int = 1,
    missing: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Groups ratings into users and splits; `store` row i shows `image_names[i]`.

    `user_split` and `image_split` map workers and images to "train", "val" or "test". A
    user's ratings count in the user's split; those of images that belong to another
    split are left out, so no image is seen on both sides. Without `image_split`, splits
    share images; without `user_split`, a rating belongs to its image's split and one
    person may be a user of several. Users left with fewer than `min_ratings` are
    dropped and listed in `notes`. `side` has the axis of `ratings` in front.

    Raises:
      DataError: an unknown image or worker, a doubled rating, a user id collision, or
        no rating left.
    """
    ids = user_ids(rating_counts(ratings))
    of_user, of_image = _placement(ratings, user_split, image_split)
    kept, left_out = _kept(ratings, of_user, of_image, min_ratings=min_ratings)
    notes += left_out
    _tell(name, notes, empty=not kept.any())
    crowd, raters = mean_scores(
        select(ratings, kept & (of_user == "train")), image_names
    )
    return Dataset(
        name=name,
        store=store,
        image_names=tuple(image_names),
        tasks=_tasks_by_split(ratings, image_names, of_user, kept=kept, side=side),
        workers={number: worker for worker, number in ids.items()},
        scale=ratings.scale,
        mean_scores=crowd,
        raters=raters,
        image_split=np.asarray([(image_split or {}).get(x, "") for x in image_names]),
        metadata=dict(metadata or {}),
        missing=missing,
        notes=notes,
    )


def _tasks_by_split(
    ratings: Ratings,
    image_names: Sequence[str],
    of_user: np.ndarray,
    *,
    kept: np.ndarray,
    side: PyTree,
) -> dict[str, UserTasks]:
    rows = {image: row for row, image in enumerate(image_names)}
    tasks = {}
    for split in sorted(set(of_user[kept].tolist())):
        here = np.flatnonzero(kept & (of_user == split))
        own = jax.tree.map(lambda values, here=here: np.asarray(values)[here], side)
        tasks[split] = user_tasks(select(ratings, here), rows, side=own)
    return tasks


def _kept(
    ratings: Ratings, of_user: np.ndarray, of_image: np.ndarray, *, min_ratings: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which ratings take part, and what is said about those that don't."""
    placed = of_user == of_image
    kept, few = _with_enough(ratings, of_user, placed, min_ratings=min_ratings)
    notes = ()
    if crossing := int((~placed).sum()):
        notes += (f"{crossing} ratings left out: the image belongs to another split",)
    if few:
        found = f"{len(few)} users left out with fewer than {min_ratings} ratings"
        notes += (f"{found}: {some(few)}",)
    return kept, notes


def _tell(name: str, notes: Sequence[str], *, empty: bool) -> None:
    """Logs what was left out; if that was everything, it is an error."""
    if empty:
        raise DataError(f"dataset {name!r} has no ratings left: {'; '.join(notes)}")
    for note in notes:
        logging.getLogger(__name__).warning("%s: %s", name, note)


def _placement(
    ratings: Ratings,
    user_split: Mapping[str, str] | None,
    image_split: Mapping[str, str] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """For each rating, the split of its user and of its image."""
    if user_split is None and image_split is None:
        raise ValueError("neither user_split nor image_split; pass at least one")
    of_user, of_image = (
        None if split is None else _each(names, split, what)
        for names, split, what in (
            (ratings.worker, user_split, "worker"),
            (ratings.image, image_split, "image"),
        )
    )
    of_user = of_image if of_user is None else of_user
    of_image = of_user if of_image is None else of_image
    assert of_user is not None
    assert of_image is not None
    return of_user, of_image


def _each(names: np.ndarray, split: Mapping[str, str], what: str) -> np.ndarray:
    """`split[name]` for each of `names`; each distinct name is looked up once."""
    unique, inverse = np.unique(names, return_inverse=True)
    if unplaced := [str(name) for name in unique if str(name) not in split]:
        raise DataError(
            f"{what} {some(unplaced)} in no split; give each {what} one in {what}_split"
        )
    return np.asarray([split[str(name)] for name in unique])[inverse]


def _with_enough(
    ratings: Ratings, of_user: np.ndarray, kept: np.ndarray, *, min_ratings: int
) -> tuple[np.ndarray, list[str]]:
    """`kept` less the ratings of users with too few, and those users with their number.

    A person who is a user of two splits is judged in each.
    """
    _, users = np.unique(ratings.worker, return_inverse=True)
    splits, split_index = np.unique(of_user, return_inverse=True)
    user = users * len(splits) + split_index
    counts = np.bincount(user, weights=kept).astype(int)
    short = kept & (counts[user] < min_ratings)
    _, first = np.unique(user[short], return_index=True)
    rows = np.flatnonzero(short)[first]
    few = [f"{ratings.worker[row]} ({counts[user[row]]})" for row in rows]
    return kept & ~short, few
