"""What a run's frozen trunk makes of photographs, for `jiaa.serve`."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jiaa.cli import build
from jiaa.cli.options import Config
from jiaa.cli.problem import Learned
from jiaa.cli.trunks import trunks
from jiaa.data.images import sides
from jiaa.models.trunk import Trunk
from jiaa.serve.encoder import Encoder


def make_encoder(config: Config, network: Any, learned: Learned) -> Encoder:
    """Pixels -> a frozen trunk's features as `config.trunk` says, or pixels themselves.

    `network` has a `backbone` and a `tap`.
    """
    size = sides(build.plain(config.data)["image_size"])
    if not config.trunk.frozen:
        return Encoder(size, None, 0, "")
    encoders = trunks(config, network, learned.variables, learned.beside)

    def features(pixels: Array) -> Array:
        blocks = [block for encoder in encoders for block in encoder(pixels)]
        return jnp.concatenate(blocks, axis=1)

    width = sum(sum(encoder.widths(size)) for encoder in encoders)
    return Encoder(size, features, width, _identity(encoders, size))


def _identity(encoders: Sequence[Trunk], size: tuple[int, int]) -> str:
    """Changes with anything that changes the features."""
    told = []
    for one in encoders:
        network: Any = one.model
        views = (one.views, one.taps, one.five_crops, one.flip, size)
        told += [one.variables, repr((network.backbone, network.tap, *views))]
    return identity_of(*told)


def identity_of(*trees: Any) -> str:
    """A hash of arrays, their names, and whatever else has a representation."""
    digest = hashlib.blake2b(digest_size=10)
    for path, leaf in jax.tree_util.tree_leaves_with_path(trees):
        digest.update(jax.tree_util.keystr(path).encode())
        if hasattr(leaf, "dtype"):
            array = np.ascontiguousarray(leaf)
            digest.update(json.dumps([str(array.dtype), array.shape]).encode())
            digest.update(array.tobytes())
        else:
            digest.update(repr(leaf).encode())
    return digest.hexdigest()
