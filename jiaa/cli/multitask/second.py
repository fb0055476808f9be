"""The second task of a config: its database, and what its branch looks like."""

import dataclasses
from typing import Any

import numpy as np

from jiaa import data as jiaa_data
from jiaa.cli.options import Config, ConfigError, construct, expected
from jiaa.data import Dataset, synthetic
from jiaa.data.distributions import distributions
from jiaa.data.likes import Likes, dataset_likes
from jiaa.data.synthetic.second import liked_view, voted_view
from jiaa.evaluate import generic as protocols
from jiaa.train.multitask import Labelled

SYNTHETIC = "synthetic"
# Task -> the function of its branch.
SECOND_OUTPUTS = {"traits": "tanh", "votes": "softmax", "column": "softmax"}
TASKS = (*SECOND_OUTPUTS, "none")
# Task -> the databases that have it.
DATABASES = {"traits": (SYNTHETIC, "psycho_flickr"), "votes": (SYNTHETIC, "ava")}
FOLDS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Second:
    """The second task: its training examples, and what its branch looks like.

    Attributes:
      name: of its branch: "traits", "votes" or the column's.
      outputs: how many outputs it has, and their names.
      data: images and labels to learn from; label "target".
      likes: everybody's likes, for traits.
      held_out: rows of the likes that nothing learned from.
    """

    name: str
    outputs: tuple[str, ...]
    data: Labelled
    likes: Likes | None = None
    held_out: np.ndarray | None = None


def second_task(config: Config, dataset: Dataset, *, progress: bool) -> Second:
    """The second task of `config.second`, which is not "none".

    Raises:
      ConfigError: a database or a column that does not hold what the task needs, or
        fewer images than `config.second.train_images`.
    """
    task = config.second.task
    if task == "column":
        found = _column(config, dataset)
    else:
        found = {"traits": _traits, "votes": _votes}[task](config, progress=progress)
    return dataclasses.replace(found, data=_some(config, found.data))


def _some(config: Config, data: Labelled) -> Labelled:
    """`config.second.train_images` of the images, drawn by its seed; 0: all."""
    kept = config.second.train_images
    if kept > len(data):
        raise ConfigError(
            f"config.second.train_images is {kept}; {config.second.task!r} has only "
            f"{len(data)} images to learn from. Set it to 0 for all of them"
        )
    if not kept:
        return data
    rng = np.random.default_rng(config.second.seed)
    rows = np.sort(rng.permutation(len(data))[:kept])
    labels = {name: np.asarray(x)[rows] for name, x in data.labels.items()}
    return Labelled(np.asarray(data.image_ids)[rows], labels, data.store)


def _traits(config: Config, *, progress: bool) -> Second:
    """Traits of those who like an image, learned from the users of nine folds of ten.

    The folds are PsychoFlickr's own. Without a fold everybody is learned from.
    """
    fold = config.second.fold
    if config.second.name == SYNTHETIC:
        options = ("seed", "users", "images", "shown", "likes")
        likes = construct(
            "second",
            liked_view,
            **{name: config.second[name] for name in options},
            image_size=_image_size(config),
        )
        people = protocols.user_folds(len(likes.traits))[fold or 0]
        train, test = protocols.held_out(likes.user, likes.image, people)
    else:
        dataset = _loaded(config, progress=progress, fold=fold or 0)
        likes, train, test = dataset_likes(dataset)
    if fold is None:
        train, test = np.arange(len(likes.user)), None
    images, target = likes.mean_traits(train)
    data = Labelled(images, {"target": target}, likes.store)
    return Second("traits", synthetic.TRAITS, data, likes, test)


def _votes(config: Config, *, progress: bool) -> Second:
    """AVA's distribution of votes, of its training images."""
    if config.second.name == SYNTHETIC:
        options = ("seed", "images", "voters")
        counts, store = voted_view(
            **{name: config.second[name] for name in options},
            image_size=_image_size(config),
        )
        ids = np.arange(len(counts))
    else:
        dataset = _loaded(config, progress=progress, split="train")
        if "votes" not in dataset.metadata:
            raise ConfigError(
                f"config.second.name is {config.second.name!r}, which has no votes of "
                "1 to 10; expected 'ava' or 'synthetic'"
            )
        ids, store = dataset.generic_ids(), dataset.store
        counts = np.asarray(dataset.metadata["votes"])[ids]
    names = tuple(f"{n} of 10" for n in range(1, 11))
    data = Labelled(ids, {"target": distributions(counts)}, store)
    return Second("votes", names, data)


def _loaded(config: Config, *, progress: bool, **options: Any) -> Dataset:
    """The second task's own database."""
    section = config.second
    return jiaa_data.load(
        section.name,
        root=section.root or None,
        image_size=_image_size(config),
        images="stream" if section.stream else "device",
        cache_dir=section.cache_dir or None,
        progress=progress,
        **options,
    )


def _image_size(config: Config) -> Any:
    return config.second.image_size or config.data.image_size


def _column(config: Config, dataset: Dataset) -> Second:
    """Classes of a column of images.csv, on the aesthetic task's own images."""
    name = config.second.column
    if name not in dataset.metadata:
        raise ConfigError(
            f"config.second.column is {name!r}; {expected(name, dataset.metadata)}"
        )
    column = np.asarray(dataset.metadata[name]).astype(str)
    ids = dataset.generic_ids()
    classes = tuple(np.unique(column[ids]).tolist())
    target = (column[ids][:, None] == np.asarray(classes)[None]).astype(np.float32)
    data = Labelled(ids, {"target": target}, dataset.store)
    return Second(name, classes, data)
