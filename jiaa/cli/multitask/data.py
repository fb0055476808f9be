"""From a config to the sources that a multi-task network learns from."""

import dataclasses

import numpy as np
from jaxtyping import Float

from jiaa import losses
from jiaa.cli.multitask.second import Second
from jiaa.cli.options import Config, ConfigError
from jiaa.data import Dataset, synthetic
from jiaa.data.distributions import distributions, score_counts, task_means
from jiaa.models.kong import ATTRIBUTES, CONTENT
from jiaa.models.personality import AESTHETICS
from jiaa.train.multitask import Labelled, Source, Term

SECOND = "second"
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
class Crowd:
    """What people said of each image of a dataset; 0 for images that nobody scored.

    Attributes:
      scores: mean unit scores.
      shares: of each of the stars 1, 2, ...; None where only means are known.
    """

    scores: Float[np.ndarray, " image"]
    shares: Float[np.ndarray, "image bin"] | None = None

    def distribution(self, name: str) -> Float[np.ndarray, "image bin"]:
        """The shares.

        Raises:
          ConfigError: only means are known of the dataset `name`.
        """
        if self.shares is None:
            raise ConfigError(
                f"{name!r} has mean scores, or a scale that is not of whole stars from "
                "1: no distribution to learn. Set config.model.aesthetics='sigmoid', "
                "or config.data.scale to whole stars from 1, such as (1, 5)"
            )
        return self.shares


def crowd(dataset: Dataset, split: str) -> Crowd:
    """What a split's users said; of a database without users, what its crowd did.

    AVA has votes for all images, AADB without raters' own stars has mean scores alone.
    """
    columns = dataset.metadata
    if not dataset.tasks and "votes" in columns:
        shares = distributions(np.asarray(columns["votes"]))
        return Crowd(unit_means(shares), shares)
    if not dataset.tasks:
        return Crowd(np.asarray(columns["mean_score"], np.float32))
    (low, high), images = dataset.scale, len(dataset.image_names)
    tasks = dataset.split(split)
    if low != 1 or high != int(high):
        return Crowd(task_means(tasks, images=images))
    counts = score_counts(tasks, images=images, bins=int(high))
    shares = distributions(counts)
    return Crowd(unit_means(shares), shares)


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
    found = crowd(dataset, "train")
    labels = {"score": found.scores[ids][:, None]}
    if found.shares is not None:
        labels["distribution"] = found.shares[ids]
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
    loss = AESTHETIC_LOSSES[section.loss]
    return Source(AESTHETICS, (Term(AESTHETICS, "distribution", loss),))


def second_source(config: Config, second: Second) -> Source:
    """What the second branch learns, at gamma times its loss."""
    section = config.generic
    loss = SECOND_LOSSES[section.second_loss]
    return Source(SECOND, (Term(second.name, "target", loss, section.gamma),))
