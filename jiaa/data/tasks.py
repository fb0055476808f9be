"""Users as tasks: one user's ratings, split into support and query inside `jit`.

A task is one user (BLG-PIAA, "Key idea"). Randomness is derived by meaning: the split
of a user in a repeat follows from the key, the repeat, the user's stable id and the
image ids alone, so it is the same in any batch, in any order and on any number of
devices.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa.data.table import DataError, some
from jiaa.types import Episode, Examples, Ratings, UserTasks


def user_id(name: str) -> int:
    """A number in [0, 2**31) that depends on the worker's name only, in any process."""
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def user_ids(workers: Iterable[str]) -> dict[str, int]:
    """Each worker's `user_id`.

    Raises:
      DataError: two workers share a number, and so would share their random splits.
    """
    ids = {str(worker): user_id(str(worker)) for worker in workers}
    owners: dict[int, str] = {}
    for worker, number in ids.items():
        if owners.setdefault(number, worker) != worker:
            raise DataError(
                f"workers {owners[number]!r} and {worker!r} have the same user id "
                f"{number}; expected distinct ids. Rename one of them"
            )
    return ids


def rating_counts(ratings: Ratings) -> dict[str, int]:
    """How many images each worker rated, by worker's name in sorted order."""
    workers, counts = np.unique(ratings.worker, return_counts=True)
    return {str(worker): int(n) for worker, n in zip(workers, counts, strict=True)}


def user_tasks(
    ratings: Ratings,
    image_rows: Mapping[str, int],
    *,
    workers: Collection[str] | None = None,
    side: PyTree = (),
    pad_to: int | None = None,
) -> UserTasks:
    """The ratings of `workers` (default: all), a row a user, sorted by worker's name.

    Within a user, ratings are sorted by image id; the order of `ratings` plays no part.
    `image_rows` says where each image lies in the store. `side` holds arrays with the
    axis of `ratings` in front and is regrouped with them. The rating axis is as long as
    the longest user's list, or `pad_to`.

    Raises:
      DataError: an unknown image, a doubled rating, a user id collision, a worker
        without ratings, or more ratings than `pad_to`.
    """
    chosen = sorted(rating_counts(ratings) if workers is None else set(workers))
    ids = user_ids(chosen)
    position = {worker: row for row, worker in enumerate(chosen)}
    users = _lookup(ratings.worker, position, absent=-1)
    images = _lookup(ratings.image, image_rows, absent=-1)
    order = np.lexsort((images, users))
    order = order[users[order] >= 0]
    users, images = users[order], images[order]
    _check_rows(ratings, order, users, images)

    counts = np.bincount(users, minlength=len(chosen))
    length = _length(chosen, counts, pad_to)
    columns = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)

    def regroup(values: np.ndarray) -> np.ndarray:
        padded = np.zeros((len(chosen), length, *values.shape[1:]), values.dtype)
        padded[users, columns] = values
        return padded

    return UserTasks(
        user_id=np.asarray([ids[worker] for worker in chosen], np.int32),
        image_ids=regroup(images.astype(np.int32)),
        scores=regroup(ratings.unit_scores[order]),
        mask=regroup(np.ones(len(users), bool)),
        side=jax.tree.map(lambda values: regroup(np.asarray(values)[order]), side),
    )


def split_users(
    workers: Iterable[str],
    *,
    test: Collection[str] | float,
    seed: int = 0,
) -> dict[str, str]:
    """Worker -> "train" or "test"; `test` lists the test workers or is their share.

    With a share, workers are ranked by a hash of seed and name, so that a newcomer
    moves at most one of the others to the other side.

    Raises:
      DataError: a listed worker is unknown, or one of the sides would be empty.
    """
    names = sorted(set(workers))
    if isinstance(test, float | int):
        ranked = sorted(names, key=lambda name: rank(name, seed))
        held_out = set(ranked[: round(test * len(names))])
    else:
        held_out = set(test)
        check_workers(held_out, names)
    if not 0 < len(held_out) < len(names):
        raise DataError(
            f"{len(held_out)} of {len(names)} workers would be test workers; expected "
            "at least one on each side. Change the list or the share of test workers"
        )
    return {name: "test" if name in held_out else "train" for name in names}


def check_workers(listed: Iterable[str], rated: Iterable[str]) -> None:
    """Refuses listed test workers who are not among those who rated.

    Raises:
      DataError: names them.
    """
    if unknown := sorted(set(listed) - set(map(str, rated))):
        raise DataError(
            f"test workers without any rating: {some(unknown)}; expected names that "
            "stand in the ratings"
        )


def mean_scores(
    ratings: Ratings, image_names: Sequence[str]
) -> tuple[Float[np.ndarray, " image"], Int[np.ndarray, " image"]]:
    """Each image's mean unit score and number of raters; both 0 for the unrated."""
    rows = _lookup(
        ratings.image, {name: row for row, name in enumerate(image_names)}, absent=-1
    )
    rated = rows >= 0
    raters = np.bincount(rows[rated], minlength=len(image_names))
    # float64: thousands of float32 additions would depend on their order.
    totals = np.bincount(
        rows[rated],
        weights=ratings.unit_scores[rated].astype(np.float64),
        minlength=len(image_names),
    )
    return (totals / np.maximum(raters, 1)).astype(np.float32), raters.astype(np.int32)


def episode_key(
    key: Key[Array, ""],
    *,
    repeat: int | np.integer | Int[Array | np.ndarray, ""],
    user_id: int | np.integer | Int[Array | np.ndarray, ""],
) -> Key[Array, ""]:
    """The key of one user's split in one repeat, whoever else is evaluated."""
    return jax.random.fold_in(jax.random.fold_in(key, repeat), user_id)


def sample_episode(
    task: UserTasks,
    *,
    shots: int,
    query_size: int | None = None,
    key: Key[Array, ""],
) -> Episode:
    """One user's ratings, split at random into `shots` to learn from and a query.

    Written for one user (`task.image_ids` has one axis); batch it with `vmap`. Each
    image draws a number from `fold_in(key, image_id)` and the smallest go into the
    support, so sample with the dataset's own image ids and `remap_episode` afterwards.
    The query holds `query_size` ratings, or by default all others: as many columns as
    the task minus `shots`. A user with too few ratings fills the support first and
    leaves the rest masked; `check_shots` refuses such users beforehand.
    """
    length = task.mask.shape[0]
    others = max(length - shots, 0) if query_size is None else query_size
    image_ids, mask = jnp.asarray(task.image_ids), jnp.asarray(task.mask)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, image_ids)
    draws = jax.vmap(jax.random.bits)(keys)
    # Last key first: padding goes to the end; equal draws fall back on the image id.
    order = jnp.lexsort((image_ids, draws, ~mask))

    def examples(start: int, size: int) -> Examples:
        rows = order[start : start + size]
        rows = jnp.pad(rows, (0, size - rows.shape[0]))
        real = mask[rows] & (start + jnp.arange(size) < length)

        def pick(values: Array | np.ndarray) -> Array:
            values = jnp.asarray(values)[rows]
            kept = real.reshape(-1, *(1,) * (values.ndim - 1))
            return jnp.where(kept, values, jnp.zeros_like(values))

        return Examples(
            image_ids=pick(image_ids),
            scores=pick(task.scores),
            mask=real,
            side=jax.tree.map(pick, task.side),
        )

    user = jnp.asarray(task.user_id)
    return Episode(user, examples(0, shots), examples(shots, others))


def check_shots(tasks: UserTasks, *, shots: int, names: Mapping[int, str]) -> None:
    """Refuses users who cannot give `shots` support ratings and one query rating.

    Raises:
      DataError: names each such user (by `names`: user id -> worker), number and
      remedy.
    """
    counts = np.asarray(tasks.mask).sum(axis=-1)
    short = [
        f"user {names.get(int(number), int(number))} rated {count} images"
        for number, count in zip(np.asarray(tasks.user_id), counts, strict=True)
        if count < shots + 1
    ]
    if short:
        raise DataError(
            f"{some(short)}; shots={shots} needs at least {shots + 1}. Lower shots or "
            f"drop the user{'s' if len(short) > 1 else ''} (min_ratings={shots + 1})"
        )


def _lookup(
    names: np.ndarray, rows: Mapping[str, int], *, absent: int
) -> Int[np.ndarray, " rating"]:
    """`rows[name]` for each of `names`; each distinct name is looked up once."""
    unique, inverse = np.unique(names, return_inverse=True)
    found = [rows.get(str(name), absent) for name in unique]
    return np.asarray(found, np.int64)[inverse]


def _length(chosen: Sequence[str], counts: np.ndarray, pad_to: int | None) -> int:
    """How long the rating axis is; refuses workers with no rating or too many."""
    if len(chosen) and counts.min() == 0:
        raise DataError(
            f"worker {chosen[int(counts.argmin())]!r} has no ratings; expected at "
            "least one. Correct the name or leave the worker out"
        )
    length = max(int(counts.max(initial=1)), pad_to or 0)
    if pad_to is not None and length > pad_to:
        raise DataError(
            f"worker {chosen[int(counts.argmax())]!r} rated {length} images; pad_to is "
            f"{pad_to}. Raise it to {length} at least, or to None"
        )
    return length


def _check_rows(
    ratings: Ratings, order: np.ndarray, users: np.ndarray, images: np.ndarray
) -> None:
    """Refuses unknown images and doubled ratings in rows sorted by user and image."""
    if (images < 0).any():
        unknown = np.unique(ratings.image[order[images < 0]]).tolist()
        raise DataError(
            f"{len(unknown)} rated images are not in the store: {some(unknown)}; load "
            "them or leave their ratings out"
        )
    doubled = (np.diff(users) == 0) & (np.diff(images) == 0)
    if doubled.any():
        row = order[int(doubled.argmax())]
        raise DataError(
            f"worker {str(ratings.worker[row])!r} rated image "
            f"{str(ratings.image[row])!r} more than once; keep one rating"
        )


def rank(name: str, seed: int) -> bytes:
    """Sorts names at random; a newcomer does not change the others' order."""
    return hashlib.blake2b(f"{seed}:{name}".encode()).digest()
