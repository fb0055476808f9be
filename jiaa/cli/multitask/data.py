"""From a config to the sources that a multi-task network learns from."""

import functools

import numpy as np
from jaxtyping import Float

from jiaa import losses
from jiaa.cli.multitask.second import Second
from jiaa.cli.options import Config, ConfigError
from jiaa.data import Dataset, synthetic
from jiaa.data.distributions import crowd
from jiaa.models.kong import ATTRIBUTES, CONTENT
from jiaa.models.personality import AESTHETICS
from jiaa.train import kong as kong_losses
from jiaa.train.multitask import Labelled, Source, Term

SECOND = "second"
AESTHETIC_LOSSES = {
    "euclidean": losses.euclidean,
    "emd": losses.earth_mover_distance,
}
SECOND_LOSSES = {
    "euclidean": losses.euclidean,
    "euclidean_sum": functools.partial(losses.euclidean, total=True),  # PDMTL, eq. 4
    "cross_entropy": losses.cross_entropy,
}


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


def aesthetic_source(config: Config) -> Source:
    """What the aesthetics branch learns: a distribution, or the mean score."""
    section = config.generic
    if config.model.kong:
        return Source(AESTHETICS, kong_losses.terms(config.model.kong))
    if config.model.aesthetics == "sigmoid":
        return Source(AESTHETICS, (Term(AESTHETICS, "score", losses.euclidean),))
    loss = AESTHETIC_LOSSES[section.loss]
    return Source(AESTHETICS, (Term(AESTHETICS, "distribution", loss),))


def second_source(config: Config, second: Second) -> Source:
    """What the second branch learns, at gamma times its loss."""
    section = config.generic
    loss = SECOND_LOSSES[section.second_loss]
    return Source(SECOND, (Term(second.name, "target", loss, section.gamma),))
