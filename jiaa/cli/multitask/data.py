"""From a config to the sources that a multi-task network learns from."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jiaa import data as jiaa_data
from jiaa import losses
from jiaa.cli.build import plain
from jiaa.cli.options import Config, ConfigError, expected
from jiaa.data import Dataset, synthetic
from jiaa.data import store as data_store
from jiaa.data.distributions import distributions, score_counts
from jiaa.data.synthetic.second import Likes, liked_view, voted_view
from jiaa.evaluate import generic as protocols
from jiaa.models.kong import ATTRIBUTES, CONTENT
from jiaa.models.personality import AESTHETICS
from jiaa.train.multitask import Labelled, Source, Term
from jiaa.types import ImageStore

SECOND = "second"
TASKS = ("traits", "votes", "column", "none")
AESTHETIC_LOSSES = {
    "euclidean": losses.euclidean,
    "emd": losses.earth_mover_distance,
}


def summed(predicted, target, mask=None):
    """PDMTL eq. 4: the squared errors of the five traits, added up."""
    return losses.euclidean(predicted, target, mask, total=True)


SECOND_LOSSES = {
    "euclidean": losses.euclidean,
    "euclidean_sum": summed,
    "cross_entropy": losses.cross_entropy,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Second:
    """The second task: its training examples, and what its branch looks like.

    Attributes:
      name: of its branch: "traits", "votes" or the column's.
      outputs: how many outputs it has, and their names.
      output: the branch's function.
      data: images and labels to learn from; label "target".
      likes: everybody's likes, for traits; their stores show the images.
      held_out: rows of the likes that nothing learned from.
    """

    name: str
    outputs: tuple[str, ...]
    output: str
    data: Labelled
    likes: Likes | None = None
    held_out: np.ndarray | None = None


def crowd(dataset: Dataset, split: str) -> Float[np.ndarray, "image bin"]:
    """Shares of the crowd's stars for each image, by a split's users; 0: nobody's.

    Databases of votes (AVA) have them in `metadata["votes"]`, for all images.
    """
    if "votes" in dataset.metadata:
        return distributions(np.asarray(dataset.metadata["votes"]))
    low, high = dataset.scale
    if low != 1 or high != int(high):
        raise ConfigError(
            f"the scale of {dataset.name!r} is {dataset.scale}; a distribution needs "
            "whole stars from 1, such as config.data.scale=(1, 5)"
        )
    images = len(dataset.image_names)
    counts = score_counts(dataset.split(split), images=images, bins=int(high))
    return distributions(counts)


def unit_means(shares: Float[np.ndarray, "image bin"]) -> Float[np.ndarray, " image"]:
    """Mean unit scores of distributions over stars 1..N."""
    bins = shares.shape[1]
    return (shares @ np.arange(1, bins + 1) / bins).astype(np.float32)


def aesthetics(dataset: Dataset, kong: tuple[str, ...] = ()) -> Labelled:
    """The aesthetic task's training images, "distribution" and "score".

    And what Kong's networks learn besides: `kong_labels`.
    """
    ids = dataset.generic_ids()
    if not len(ids):
        raise ConfigError(
            f"the dataset {dataset.name!r} has no training users; give config.data."
            "test_users, or a split in images.csv, that leaves some"
        )
    shares = crowd(dataset, "train")[ids]
    labels = {"distribution": shares, "score": unit_means(shares)[:, None]}
    labels |= {name: x[ids] for name, x in kong_labels(dataset, kong).items()}
    return Labelled(ids, labels, dataset.store)


def kong_labels(
    dataset: Dataset, parts: tuple[str, ...]
) -> dict[str, Float[np.ndarray, "image label"]]:
    """Labels "attributes" in [-1, 1] and one-hot "content" of all images, as asked.

    Raises:
      ConfigError: the dataset has no such labels.
    """
    labels, columns = {}, dataset.metadata
    if ATTRIBUTES in parts and ATTRIBUTES in columns:
        labels[ATTRIBUTES] = np.asarray(columns[ATTRIBUTES], np.float32)
    elif ATTRIBUTES in parts and set(synthetic.ATTRIBUTES) <= set(columns):
        each = [np.asarray(columns[name]) for name in synthetic.ATTRIBUTES]
        labels[ATTRIBUTES] = np.stack(each, axis=1).astype(np.float32)
    if CONTENT in parts and CONTENT in columns:
        column = np.asarray(columns[CONTENT])
        labels[CONTENT] = (column[:, None] == np.unique(column)).astype(np.float32)
    if missing := sorted({ATTRIBUTES, CONTENT} & set(parts) - set(labels)):
        raise ConfigError(
            f"config.model.kong names {missing}, and {dataset.name!r} has only the "
            f"columns {sorted(columns)}"
        )
    return labels


def _ranked(predicted, target, mask=None):
    """Kong's rank loss of scores that stand in a column."""
    return losses.margin_rank(predicted[:, 0], target[:, 0], mask)


def _halved(predicted, target, mask=None):
    """Kong's regression loss (ECCV 2016, eq. 1)."""
    return losses.euclidean(predicted, target, mask) / 2


KONG_TERMS = {
    "rank": Term(AESTHETICS, "score", _ranked),
    ATTRIBUTES: Term(ATTRIBUTES, ATTRIBUTES, _halved, 0.1),
    CONTENT: Term(CONTENT, CONTENT, losses.cross_entropy, 0.1),
}
KONG = ("reg", *KONG_TERMS)


def aesthetic_source(config: Config) -> Source:
    """What the aesthetics branch learns: a distribution, or the mean score."""
    section = config.generic
    if config.model.kong:
        terms = tuple(KONG_TERMS[part] for part in config.model.kong if part != "reg")
        return Source(AESTHETICS, (Term(AESTHETICS, "score", _halved), *terms))
    if config.model.aesthetics == "sigmoid":
        return Source(AESTHETICS, (Term(AESTHETICS, "score", losses.euclidean),))
    if section.loss not in AESTHETIC_LOSSES:
        raise ConfigError(
            f"config.generic.loss is {section.loss!r}; "
            f"{expected(section.loss, AESTHETIC_LOSSES)}"
        )
    loss = AESTHETIC_LOSSES[section.loss]
    return Source(AESTHETICS, (Term(AESTHETICS, "distribution", loss),))


def second_source(config: Config, second: Second) -> Source:
    """What the second branch learns, at gamma times its loss."""
    section = config.generic
    if section.second_loss not in SECOND_LOSSES:
        raise ConfigError(
            f"config.generic.second_loss is {section.second_loss!r}; "
            f"{expected(section.second_loss, SECOND_LOSSES)}"
        )
    loss = SECOND_LOSSES[section.second_loss]
    return Source(SECOND, (Term(second.name, "target", loss, section.gamma),))


def second_task(config: Config, dataset: Dataset) -> Second | None:
    """The second task of `config.second`, None where there is none.

    Raises:
      ConfigError: an unknown task, or a column that the dataset lacks.
    """
    task = config.second.task
    if task not in TASKS:
        raise ConfigError(f"config.second.task is {task!r}; {expected(task, TASKS)}")
    if task == "none":
        return None
    return {"traits": _traits, "votes": _votes, "column": _column}[task](
        config, dataset
    )


def _traits(config: Config, dataset: Dataset) -> Second:
    section = config.second
    likes = _likes(config)
    train, test = np.arange(len(likes.user)), None
    if section.fold is not None:
        fold = protocols.user_folds(len(likes.traits))[section.fold]
        train, test = protocols.held_out(likes.user, likes.image, fold)
    target = likes.traits[likes.user[train]].astype(np.float32)
    store = ImageStore(images=likes.images)
    data = Labelled(likes.image[train], {"target": target}, store)
    return Second("traits", synthetic.TRAITS, "tanh", data, likes, test)


def _likes(config: Config) -> Likes:
    """PsychoFlickr, or the synthetic world's counterpart."""
    section = config.second
    if section.name == "synthetic":
        options = ("seed", "users", "images", "shown", "likes", "image_size")
        return liked_view(**{name: section[name] for name in options})
    found = jiaa_data.load(section.name, root=section.root or None)
    parts = [(x, np.asarray(x.mask)) for x in found.tasks.values()]
    traits = np.concatenate([x.side["traits"][m] for x, m in parts])
    user = np.concatenate(
        [np.broadcast_to(x.user_id[:, None], m.shape)[m] for x, m in parts]
    )
    _, first, rows = np.unique(user, return_index=True, return_inverse=True)
    image = np.concatenate([np.asarray(x.image_ids)[m] for x, m in parts])
    return Likes(rows, image, traits[first], found.store.content)


def _votes(config: Config, dataset: Dataset) -> Second:
    del dataset
    section = config.second
    if section.name == "synthetic":
        options = ("seed", "images", "voters", "image_size")
        votes = voted_view(**{name: section[name] for name in options})
        ids, counts = np.arange(len(votes.counts)), votes.counts
        store = ImageStore(images=votes.images)
    else:
        found = jiaa_data.load(section.name, root=section.root or None)
        ids, store = found.generic_ids(), found.store
        counts = np.asarray(found.metadata["votes"])[ids]
    names = tuple(f"{n} of 10" for n in range(1, 11))
    data = Labelled(ids, {"target": distributions(counts)}, store)
    return Second("votes", names, "softmax", data)


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
    return Second(
        name, classes, "softmax", Labelled(ids, {"target": target}, dataset.store)
    )


def placed(data: Labelled) -> Labelled:
    """The same with arrays on the device."""
    store = data_store.place(data.store)
    labels = {name: jnp.asarray(x) for name, x in data.labels.items()}
    return Labelled(jnp.asarray(data.image_ids), labels, store)


__all__ = [
    "SECOND",
    "Second",
    "aesthetic_source",
    "aesthetics",
    "crowd",
    "placed",
    "plain",
    "second_source",
    "second_task",
    "unit_means",
]
