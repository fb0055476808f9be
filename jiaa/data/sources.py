"""Datasets by name: each loader reads raw files and returns a `Dataset`."""

import dataclasses
import functools
import inspect
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jiaa.data.dataset import Dataset, assemble
from jiaa.data.feature_file import read_features
from jiaa.data.folder import Folder, Scale, read_folder, select
from jiaa.data.images import AnyPath, Size
from jiaa.data.photographs import Images, open_images
from jiaa.data.table import DataError, some
from jiaa.data.tasks import rating_counts, split_users
from jiaa.types import ImageStore, Ratings

MixedRaters = Literal["error", "drop", "divide"]
# Parameters of loaders that no config sets.
NOT_OPTIONS = ("root", "name", "split", "sizes", "options", "raw_options", "rate")
DATA_VARIABLE = "JIAA_DATA"  # names the folder that holds one folder a dataset


def load_folder(
    root: AnyPath,
    *,
    name: str | None = None,
    scale: Scale = (1, 5),
    test_users: Collection[str] | float | int | None = None,
    share_images: bool = True,
    mixed_raters: MixedRaters = "error",
    seed: int = 0,
    min_ratings: int = 1,
    max_missing: int = 0,
    image_size: Size = 256,
    images: Images = "device",
    decode_workers: int | None = None,
    progress: bool = True,
    cache_dir: AnyPath | None = None,
    features: AnyPath | None = None,
) -> Dataset:
    """A folder of images with ratings.csv (see `jiaa.data.folder`).

    Who is held out: with `test_users`, those listed (0 or (): nobody, whatever
    images.csv says), or that share drawn by `seed`
    (`share_images` False then keeps the images of test users from the training users);
    else, where images.csv has a split column, the raters of the images of each split;
    else nobody, and all users are "train". `mixed_raters` says what becomes of people
    who rated images of several splits: an error, dropping them, or a user in each
    split.

    `images` "device" decodes all of them now (`store.load_images`), for stores that fit
    on a device or into memory; "stream" decodes none before it is needed, and keeps
    none (`photographs.Photographs`).

    `features` names a file of features that were computed elsewhere
    (`jiaa.data.feature_file`). They are then the store's content: no image is decoded,
    none need be there, and the options of images do nothing.

        data = jiaa.data.load_folder("album", features="clip.npz", test_users=0.2)
        data.store.features.shape  # (images, width)

    Raises:
      DataError: wrong rows, too many missing images, mixed raters, unknown test users;
        a wrong file of features.
      ImageError: unreadable images.
    """
    known = None if features is None else read_features(features)
    options = {"scale": scale, "max_missing": max_missing, "features": known}
    folder = read_folder(root, **options)
    if test_users is None:
        folder, placement = _as_described(folder, mixed_raters)
    else:
        placement = _as_chosen(folder, test_users, seed=seed, share_images=share_images)
    name = name or Path(root).resolve().name
    placement |= {"name": name, "min_ratings": min_ratings}
    if known is not None:
        store = ImageStore(features=known.of(folder.image_names))
        dataset = _assemble(folder, store, **placement)
        return dataclasses.replace(dataset, features=known.spec)
    store = open_images(
        folder.paths,
        images,
        size=image_size,
        workers=decode_workers,
        progress=progress,
        cache_dir=cache_dir,
    )
    return _assemble(folder, store, **placement)


def load_oasis(root: AnyPath | None = None, **options: Any) -> Dataset:
    """OASIS with beauty ratings from 1 to 7 (Kurdi 2017; Brielmann and Pelli 2019).

    `root` defaults to $JIAA_DATA/oasis; options as in `load_folder`.
    """
    chosen = {"name": "oasis", "scale": default_scale("oasis")} | options
    return load_folder(root or default_root("oasis"), **chosen)


def _load_published(name: str, root: AnyPath | None, **options: Any) -> Dataset:
    from jiaa.data import published  # TFDS: only when asked for

    return getattr(published, f"load_{name}")(root or default_root(name), **options)


def load_synthetic(**options: Any) -> Dataset:
    """The embedded world; options as in `jiaa.data.embedded.load_synthetic`."""
    from jiaa.data import embedded  # SciPy takes half a second: only when asked for

    return embedded.load_synthetic(**options)


# The papers' datasets; `jiaa.data.published` has a loader for each.
PUBLISHED = ("flickr_aes", "ava", "aadb", "real_cur", "psycho_flickr", "ava_reviews")

DATASETS: dict[str, Callable[..., Dataset]] = {
    "folder": load_folder,
    "oasis": load_oasis,
    **{name: functools.partial(_load_published, name) for name in PUBLISHED},
    "synthetic": load_synthetic,
    "synthetic_flickr_aes": load_synthetic,
}


# Where it is not 1 to 5. A like is 1.
SCALES: dict[str, Scale] = {
    "oasis": (1, 7),
    "ava": (1, 10),
    "psycho_flickr": (0, 1),
    "ava_reviews": (0, 1),
}


def load(
    name_or_path: AnyPath,
    *,
    root: AnyPath | None = None,
    split: str | None = None,
    **options: Any,
) -> Dataset:
    """A dataset by name (`DATASETS`), or the folder dataset at a path.

    `root` is where the dataset's files lie: raw ones, or for the papers' datasets those
    that `scripts/prepare_data.py` wrote. With `split`, only that split's images and
    users. Options are those of its loader.

    Raises:
      DataError: neither a known name nor a folder, or no such split.
    """
    if split is not None and str(name_or_path) not in PUBLISHED:
        return load(name_or_path, root=root, **options).only(split)
    if split is not None:
        options["split"] = split  # they decode no more than is asked for
    known = DATASETS.get(str(name_or_path))
    if known is not None:
        _check_root(str(name_or_path), root)
        if root is not None or str(name_or_path) in PUBLISHED:
            options["root"] = root
        return known(**options)
    if root is None and Path(name_or_path).is_dir():
        return load_folder(name_or_path, **options)
    raise _no_dataset(str(name_or_path))


def _check_root(name: str, root: AnyPath | None) -> None:
    """Refuses a folder dataset without a folder, and a generated one with one."""
    if name == "folder" and root is None:
        raise DataError(
            "where is the folder? Pass root=FOLDER, with images/ and ratings.csv in it"
        )
    if name.startswith("synthetic") and root is not None:
        raise DataError(
            f"root={str(root)!r} for the dataset {name!r}, which is generated; leave "
            "root out, or name the dataset 'folder' to read what lies there"
        )


def _no_dataset(name: str) -> DataError:
    return DataError(
        f"{name!r} is neither a folder nor a dataset; expected one of "
        f"{', '.join(DATASETS)} or the path of a folder with ratings.csv"
    )


def loader_options(name: str) -> tuple[str, ...]:
    """The options that `load` takes for a dataset, besides its root.

    Raises:
      DataError: no such dataset.
    """
    if name.startswith("synthetic") and name in DATASETS:
        from jiaa.data import embedded, synthetic

        makers = [embedded.load_synthetic, synthetic.flickr_aes_view]
    elif name in PUBLISHED:
        from jiaa.data import published
        from jiaa.data.builders import builder_class
        from jiaa.data.builders.source import open_source

        read_raw = builder_class(name).read_raw
        makers = [getattr(published, f"load_{name}"), open_source, read_raw]
    else:
        if name not in DATASETS and not Path(name).is_dir():
            raise _no_dataset(name)
        makers = [load_folder]
    names = dict.fromkeys(
        x for make in makers for x in inspect.signature(make).parameters
    )
    return tuple(x for x in names if x not in NOT_OPTIONS)


def default_scale(name: str) -> Scale:
    """(lowest, highest) stars of a dataset, unless its loader is told otherwise."""
    return SCALES.get(name, (1, 5))


def default_root(name: str) -> Path:
    """$JIAA_DATA/name.

    Raises:
      DataError: the variable is not set.
    """
    parent = os.environ.get(DATA_VARIABLE)
    if not parent:
        raise DataError(
            f"where is {name}? Pass root=FOLDER, or set {DATA_VARIABLE} to the folder "
            f"that holds {name}/"
        )
    return Path(parent) / name


def raters_of_splits(
    ratings: Ratings, image_split: Mapping[str, str], *, mixed_raters: MixedRaters
) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """Each worker's split, that of the images they rated, and notes on who was dropped.

    Dropped workers are not in the mapping. None instead of the mapping if mixed raters
    are divided: the image then decides.

    Raises:
      DataError: somebody rated images of several splits and `mixed_raters` is "error".
    """
    if mixed_raters not in ("error", "drop", "divide"):
        raise ValueError(
            f"mixed_raters={mixed_raters!r}; expected 'error', 'drop' or 'divide'"
        )
    if mixed_raters == "divide":
        return None, ()
    counts: dict[str, Counter[str]] = {}
    for worker, image in zip(
        ratings.worker.tolist(), ratings.image.tolist(), strict=True
    ):
        counts.setdefault(worker, Counter())[image_split[image]] += 1
    mixed = {worker: seen for worker, seen in counts.items() if len(seen) > 1}
    described = [
        f"{worker!r} ({', '.join(f'{n} {split}' for split, n in sorted(seen.items()))})"
        for worker, seen in sorted(mixed.items())
    ]
    if mixed and mixed_raters == "error":
        raise DataError(
            f"{len(mixed)} raters rated images of several splits: {some(described)}; "
            "expected each to rate images of one. Pass mixed_raters='drop' to leave "
            "them out, mixed_raters='divide' to make them a user of each split, or "
            "test_users to ignore the split of images"
        )
    notes = (f"{len(mixed)} mixed raters left out: {some(described)}",) if mixed else ()
    unmixed = {
        worker: next(iter(seen))
        for worker, seen in counts.items()
        if worker not in mixed
    }
    return unmixed, notes


def _as_described(
    folder: Folder, mixed_raters: MixedRaters
) -> tuple[Folder, dict[str, Any]]:
    """The folder without dropped raters, and its splits as images.csv describes them.

    Without such a description, all users are training users.
    """
    if not folder.image_split:
        return folder, _nobody_held_out(folder)
    user_split, notes = raters_of_splits(
        folder.ratings, folder.image_split, mixed_raters=mixed_raters
    )
    if user_split is not None:
        kept = np.isin(folder.ratings.worker, list(user_split))
        folder = dataclasses.replace(folder, ratings=select(folder.ratings, kept))
    image_split = folder.image_split
    return folder, {
        "user_split": user_split,
        "image_split": image_split,
        "notes": notes,
    }


def _nobody_held_out(folder: Folder) -> dict[str, Any]:
    return {"user_split": dict.fromkeys(rating_counts(folder.ratings), "train")}


def _as_chosen(
    folder: Folder,
    test_users: Collection[str] | float | int,
    *,
    seed: int,
    share_images: bool,
) -> dict[str, Any]:
    """The folder's splits by test users, whatever images.csv says."""
    if isinstance(test_users, str):
        test_users = (test_users,)  # one name, not a collection of letters
    share = isinstance(test_users, int | float)
    if test_users == 0 if share else not len(test_users):
        return _nobody_held_out(folder)
    names = rating_counts(folder.ratings)
    user_split = split_users(names, test=test_users, seed=seed)
    held_out = None if share_images else _held_out(folder.ratings, user_split)
    return {"user_split": user_split, "image_split": held_out}


def _held_out(ratings: Ratings, user_split: Mapping[str, str]) -> dict[str, str]:
    """Image -> "test" if a test user rated it, else "train"."""
    split = dict.fromkeys(ratings.image.tolist(), "train")
    for worker, image in zip(
        ratings.worker.tolist(), ratings.image.tolist(), strict=True
    ):
        if user_split[worker] == "test":
            split[image] = "test"
    return split


def _assemble(folder: Folder, store: ImageStore, **placement: Any) -> Dataset:
    return assemble(
        folder.ratings,
        store,
        image_names=folder.image_names,
        metadata=folder.metadata,
        missing=folder.missing,
        **placement,
    )
