"""What PAM's methods read of each image: attributes, content, a trunk's features.

All come from a finished generic run. Where the dataset's images have the ten
attributes, the attribute network and the content classes are learned from training
images; else the regressors read the trunk's features.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jiaa.cli import build
from jiaa.cli.finished import open_run
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.settings import recorded_config
from jiaa.data import Dataset
from jiaa.data.synthetic import ATTRIBUTES
from jiaa.models.attributes import AttributeNetwork, Hidden
from jiaa.personalize.residual import generic_scores
from jiaa.train.attributes import fit_attributes, fit_content
from jiaa.types import ImageStore

Spans = dict[str, tuple[int, int]]


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What PAM's methods read of each image, and who rated what.

    Attributes:
      dataset: the run's.
      store: blocks of features, one after another; the last column is the generic
        score.
      spans: block -> first and last + 1 of its columns: "attributes", "content",
        "both" (the two) and "aesthetic", or "aesthetic" alone.
      attributes: each image's true ones, if the dataset has them.
    """

    dataset: Dataset
    store: ImageStore
    spans: Spans
    attributes: Float[np.ndarray, "image attribute"] | None = None

    @property
    def personal(self) -> str:
        """The block that PAM's regressor reads."""
        return "both" if "both" in self.spans else "aesthetic"


def load_features(
    workdir: str | os.PathLike[str],
    *,
    database: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Features:
    """The features of a finished generic run, whose config knows the dataset.

    `database` is what differs from its `config.data` where another one's images are
    wanted: the run's trunk and generic scores of them, and attributes and content as
    that database's own training images have them.

    Training and test images are two calls, as in training and evaluation, so that
    features which those left in the cache are read.

    Raises:
      FileNotFoundError: the run has not finished.
      ConfigError: its trunk is not frozen: there are no features.
      FloatingPointError: an image's features are not finite.
    """
    config: Config = recorded_config(workdir)
    if "trunk" not in config or not config.trunk.frozen:
        raise ConfigError(
            f"config.prior={os.fspath(workdir)!r} is a run without a frozen trunk, "
            "whose features PAM would read; give the workdir of a run with "
            "config.trunk.frozen, such as one of configs/ba_piaa/synthetic_resnet18.py"
        )
    config = build.elsewhere(config, database or {})
    dataset = build.dataset(config, progress=progress)
    ids = dataset.generic_ids()
    parts = [ids] if len(ids) else []
    for tasks in dataset.tasks.values():
        rated = np.unique(np.asarray(tasks.image_ids)[np.asarray(tasks.mask)])
        ids, old = np.union1d(ids, rated), ids
        if len(ids) > len(old):
            parts.append(rated)
    trunk: Any = 0.0
    for rows in parts:
        run = open_run(
            config, workdir, dataset=dataset, image_ids=rows, progress=progress
        )
        known = np.isin(np.arange(len(dataset.image_names)), rows)[:, None]
        trunk = jnp.where(known, run.problem.store.content, trunk)
    generic = generic_scores(build.model(config), run.problem.prior, trunk)
    _check_finite(jnp.concatenate([trunk, generic[:, None]], axis=1), dataset)
    return assembled(dataset, trunk, generic, seed=seed)


def assembled(
    dataset: Dataset,
    trunk: Float[Array, "image feature"],
    generic: Float[Array, " image"],
    *,
    seed: int = 0,
) -> Features:
    """The blocks in one store; attributes and content are learned if images have them.

    Args:
      dataset: its training images are learned from.
      trunk: features of all images, which become "aesthetic".
      generic: unit scores of all images.
      seed: of initial weights, first centres and batches.
    """
    blocks: dict[str, Any] = {}
    attributes = None
    if set(ATTRIBUTES) <= set(dataset.metadata):
        columns = [np.asarray(dataset.metadata[name]) for name in ATTRIBUTES]
        attributes = np.stack(columns, axis=1).astype(np.float32)
        ids = dataset.generic_ids()
        blocks["attributes"] = predicted_attributes(
            dataset, trunk, attributes, seed=seed
        )
        content = fit_content(np.asarray(trunk)[ids], key=jax.random.key(seed))
        blocks["content"] = content(trunk)
    blocks["aesthetic"] = trunk
    spans, start = {}, 0
    for name, block in blocks.items():
        spans[name] = (start, start + block.shape[1])
        start += block.shape[1]
    if "content" in spans:
        spans["both"] = (0, spans["content"][1])
    whole = jnp.concatenate([*blocks.values(), generic[:, None]], axis=1)
    return Features(dataset, ImageStore(features=whole), spans, attributes)


def predicted_attributes(
    dataset: Dataset,
    trunk: Float[Array, "image feature"],
    truth: Float[np.ndarray, "image attribute"],
    *,
    seed: int,
    joint: bool = True,
) -> Float[Array, "image attribute"]:
    """Every image's, by a network of the training images; without `joint`, alone."""
    ids = dataset.generic_ids()
    network = AttributeNetwork(Hidden(), truth.shape[1])
    scores = jnp.asarray(dataset.mean_scores[ids])
    rated = (trunk[ids], scores if joint else jnp.zeros(len(ids)))  # 0 says nothing
    described = (trunk[ids], jnp.asarray(truth[ids]))
    params = fit_attributes(network, rated, described, key=jax.random.key(seed))
    predicted: Any = network.apply({"params": params}, trunk)
    return predicted["attributes"]


def _check_finite(columns: Float[Array, "image column"], dataset: Dataset) -> None:
    wrong = np.flatnonzero(~np.isfinite(np.asarray(columns)).all(axis=1))
    if len(wrong):
        raise FloatingPointError(
            f"features or generic scores of {len(wrong)} images are not finite, first "
            f"of {dataset.image_names[wrong[0]]!r}; train the generic run again, at a "
            "lower rate if it diverged"
        )
