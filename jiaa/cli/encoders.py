"""What a run's frozen trunk makes of photographs, for `jiaa.serve`."""

import functools
import hashlib
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jiaa.cli import build
from jiaa.cli.finished import trunk_options
from jiaa.cli.options import Config
from jiaa.data.images import sides
from jiaa.models import trunk
from jiaa.serve.encoder import Encoder


def make_encoder(config: Config, network: Any, variables: PyTree) -> Encoder:
    """Pixels -> a frozen trunk's features as `config.trunk` says, or pixels themselves.

    `network` has a `backbone` and a `tap`; `variables` are all that was learned.
    """
    size = sides(build.plain(config.data)["image_size"])
    if not config.trunk.frozen:
        return Encoder(size, None, 0, "")
    backbone = {
        name: {"backbone": tree.get("backbone", {})} for name, tree in variables.items()
    }
    options = trunk_options(config, network)

    def features(pixels: Array) -> Array:
        blocks = trunk.batch_features(options, backbone, pixels)
        return jnp.concatenate(blocks, axis=1)

    shown = (network.backbone, network.tap, *options[1:], size)
    # One view is as wide as the mean of many, and faster to trace.
    once = (network, options[1][:1], options[2], 0, False)
    blocks = jax.eval_shape(
        functools.partial(trunk.batch_features, once),
        backbone,
        jax.ShapeDtypeStruct((1, *size, 3), jnp.uint8),
    )
    width = sum(block.shape[1] for block in blocks)
    return Encoder(size, features, width, identity_of(backbone, repr(shown)))


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
