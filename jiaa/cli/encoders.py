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

    Or nothing, where features come from a file. `network` has a `backbone` and a `tap`.
    """
    size = sides(build.plain(config.data)["image_size"])
    if learned.reads is not None:
        return Encoder(size, None, learned.reads.widths, learned.reads.encoder)
    if not config.trunk.frozen:
        return Encoder(size, None, (), "")
    encoders = trunks(config, network, learned.variables, learned.beside)

    def features(pixels: Array) -> Array:
        blocks = [block for encoder in encoders for block in encoder(pixels)]
        return jnp.concatenate(blocks, axis=1)

    widths = tuple(width for encoder in encoders for width in encoder.widths(size))
    view = "; ".join(_in_words(encoder) for encoder in encoders)
    shapes = build.shapes(config)
    shown = " or ".join(f"{height} x {width}" for height, width in shapes or (size,))
    return Encoder(
        size,
        features,
        widths,
        _identity(encoders, shapes or size),
        f"squashed to {shown}; {view}",
        shapes=shapes,
    )


def _in_words(encoder: Trunk) -> str:
    """Which network an encoder is, and how it is shown photographs."""
    network: Any = encoder.model
    sizes = ", ".join(
        "as it is" if x.size is None else str(x.size) for x in encoder.views
    )
    crops = f", five crops {encoder.five_crops}" if encoder.five_crops else ""
    mirrored = ", mirrored too" if encoder.flip else ""
    blocks = " | ".join("+".join(block) for block in encoder.taps) or network.tap
    shown = f"views {sizes}{crops}{mirrored}"
    return f"{type(network.backbone).__name__} {blocks}, {shown}"


def _identity(encoders: Sequence[Trunk], size: Any) -> str:
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
