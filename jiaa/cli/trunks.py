"""The frozen trunk of an experiment: its main encoder, and others side by side with it.

An image's features are the blocks of `config.model`'s backbone and then, in order,
those of each encoder of `config.trunk.beside`. Each has its own weights, views and
preprocessing. The others never learn: what trains a trunk trains the main one.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree

from jiaa.cli import build
from jiaa.cli.options import Config
from jiaa.cli.settings import hashable
from jiaa.models import generic, pretrained, trunk, weights
from jiaa.models.backbones import create_backbone
from jiaa.models.trunk import Trunk
from jiaa.models.views import ImageView
from jiaa.train import processes
from jiaa.types import ImageStore

# The fields of an entry of `config.trunk.beside`, and what they are where not chosen.
FIELDS: Mapping[str, Any] = {
    "backbone": "",  # a name of BACKBONES; has to be chosen
    "backbone_options": {},
    "weights": "",  # as config.model.weights
    "taps": (("pooled",),),
    "sizes": (),  # as config.trunk's; (): config.view.size
    "five_crops": 0,
    "flip": False,
}


def beside(config: Config) -> tuple[dict[str, Any], ...]:
    """The entries of `config.trunk.beside`, with all their fields.

    Runs that were recorded before there were such encoders have none.
    """
    entries = hashable(config.trunk.get("beside", ()))
    return tuple({**FIELDS, **entry} for entry in entries)


def check_weights(config: Config) -> None:
    """`build.check_weights` of the encoders beside the main one."""
    if config.get("prior"):
        return
    for number, entry in enumerate(beside(config)):
        where = f"trunk.beside[{number}].weights"
        build.check_weights_file(entry["weights"], entry["backbone"], where=where)


def initial_beside(config: Config) -> tuple[PyTree, ...]:
    """The variables {"params", "batch_stats"} of each encoder of `config.trunk.beside`.

    Those of its weights; random ones where it has none.
    """
    root = jax.random.key(config.seed)
    made = []
    for number, entry in enumerate(beside(config)):
        module = _module(entry)
        path = weights.weights_file(entry["weights"], entry["backbone"])
        if path:
            made.append(pretrained.load_pretrained(path, module))
            continue
        side: int = max(module.minimum_size, 32)  # pyright: ignore
        images = jnp.zeros((2, side, side, 3), jnp.float32)
        key = jax.random.fold_in(root, 2 + number)  # 1 is the head's
        made.append(generic.initialise(module, images, key=key))
    return tuple(made)


def beside_shapes(config: Config) -> tuple[PyTree, ...]:
    """The shapes of what `initial_beside` gives, computed without arrays."""
    entries = beside(config)
    return tuple(pretrained.variable_shapes(_module(entry)) for entry in entries)


def _module(entry: Mapping[str, Any]) -> nn.Module:
    return create_backbone(entry["backbone"], **entry["backbone_options"])


def trunks(
    config: Config, network: Any, variables: PyTree, others: Sequence[PyTree] = ()
) -> tuple[Trunk, ...]:
    """The main encoder, and those beside it, as the config shows images to them.

    Args:
      config: its sections model, view and trunk.
      network: has a `backbone` and a `tap`.
      variables: of the network, or at least of its backbone.
      others: of each encoder of `config.trunk.beside`.
    """
    section = build.plain(config.trunk)
    main = Trunk(
        network,
        {name: {"backbone": x.get("backbone", {})} for name, x in variables.items()},
        build.trunk_views(config),
        section["taps"],
        section["five_crops"],
        section["flip"],
    )
    pairs = zip(beside(config), others, strict=True)
    return (main, *(_beside(config, entry, other) for entry, other in pairs))


def _beside(config: Config, entry: Mapping[str, Any], variables: PyTree) -> Trunk:
    spec = pretrained.SPECS[entry["backbone"]]
    sizes = entry["sizes"] or (config.view.size or None,)
    return Trunk(
        generic.create_model(
            backbone=entry["backbone"],
            head="pooled",
            backbone_options=entry["backbone_options"],
        ),
        {name: {"backbone": tree} for name, tree in variables.items()},
        tuple(ImageView(spec.mean, spec.std, size, augment=False) for size in sizes),
        entry["taps"],
        entry["five_crops"],
        entry["flip"],
    )


def compute_features(
    config: Config,
    encoders: Sequence[Trunk],
    store: ImageStore,
    *,
    image_ids: Int[np.ndarray, " needed"] | None,
    progress: bool,
) -> tuple[Float[np.ndarray, "image feature"], tuple[int, ...]]:
    """Each encoder's features side by side, and the width of each of their blocks.

    They are kept in `config.data.cache_dir`, a file an encoder.
    """
    folder = config.data.get("cache_dir")
    parts, widths = [], ()
    for encoder in encoders:
        compute = functools.partial(
            trunk.trunk_features,
            store,
            image_ids=image_ids,
            progress=progress,
            **encoder.settings(),
        )
        if not folder:
            found, wide = compute()
        else:
            with processes.first_before_others("features"):
                found, wide = trunk.cached(compute, folder)
        parts.append(found)
        widths += wide
    return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)), widths
