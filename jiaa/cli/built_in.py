"""The prior that comes with jiaa: what all commands use that name no other.

The package holds what was learned (`jiaa/prior`: means and scales of features, a linear
head, a hyper-prior), not the network, whose weights are a package of their own
(`jiaa.models.weights`). `scripts/built_in_prior.py` makes it.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jiaa.cli import build
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.problem import Learned
from jiaa.models import pretrained, weights

FOLDER = Path(__file__).resolve().parents[1] / "prior"
TOLD = (
    "prior: built in (OASIS: 387 photographs, beauty ratings of 653 people); "
    "--prior RUN names another"
)


def without_backbone(learned: Learned) -> Learned:
    """What the package keeps: all but the network, which its weights' package has."""
    variables = {
        name: {part: tree for part, tree in x.items() if part != "backbone"}
        for name, x in learned.variables.items()
    }
    return dataclasses.replace(learned, variables=variables)


def completed(config: Config, learned: Learned) -> Learned:
    """`learned` with its network's published weights, where it was kept without.

    Raises:
      ImportError: their package is not installed; says how to install it.
      ValueError: the package is damaged or of another version.
      ConfigError: no package has them, and `config.model.weights` names no file.
    """
    if learned.reads is not None or "backbone" in learned.variables["params"]:
        return learned
    backbone = config.model.backbone
    path = weights.weights_file(config.model.weights, backbone)
    if path is None:
        raise ConfigError(
            f"what was learned lacks the weights of its network, {backbone}, and no "
            f"package has them; known: {', '.join(weights.PACKAGES)}. Export the run "
            "again"
        )
    network: Any = build.model(config)
    loaded = pretrained.load_pretrained(path, network.backbone)
    return dataclasses.replace(learned, variables=_with(learned.variables, loaded))


def _with(variables: PyTree, backbone: PyTree) -> PyTree:
    host = jax.tree.map(np.asarray, backbone)
    return {
        name: {**variables[name], **({"backbone": host[name]} if host[name] else {})}
        for name in ("params", "batch_stats")
    }
