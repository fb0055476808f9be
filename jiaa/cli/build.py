"""From a config to data, network and views; `learners.py` has what learns.

`configs/common.py` documents every field.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from jiaa import data
from jiaa.cli.options import Config, ConfigError, construct, unknown, word
from jiaa.data.images import Shapes
from jiaa.models import generic, pretrained, views, weights
from jiaa.models.backbones import BACKBONES
from jiaa.models.heads import HEADS

NO_BACKBONE = "none"  # of config.model: features come from config.data.features


def dataset(config: Config, *, progress: bool = True) -> data.Dataset:
    """The dataset of `config.data`: a name, a root, and the options of its loader."""
    options = dataset_options(config)
    if not progress:
        options["progress"] = False
    section = config.data
    return data.load(section.name, root=section.root or None, **options)


def elsewhere(config: Config, changes: Mapping[str, Any]) -> Config:
    """`config` with another database for its own; `changes` are of `config.data`."""
    there = config.copy_and_resolve_references()
    with there.unlocked():
        there.data.update(changes)
    return there


def dataset_options(config: Config) -> dict[str, Any]:
    """What `config.data` chooses of its loader's options; None leaves it to the loader.

    Raises:
      DataError: an unknown dataset.
      ConfigError: an unknown option, or one that this dataset does not take.
    """
    section = plain(config.data)
    name = section.pop("name")
    section.pop("root")
    known = data.loader_options(name)
    chosen = {field: value for field, value in section.items() if value is not None}
    for field, value in chosen.items():
        if field in known:
            continue
        if any(field in data.loader_options(other) for other in data.DATASETS):
            raise ConfigError(
                f"config.data.{field}={value!r} does nothing for the dataset {name!r}, "
                f"which takes {', '.join(known)}; set it to None"
            )
        raise unknown("config.data", field, known)
    return {**chosen, "cache_dir": chosen.get("cache_dir") or None}


def model(config: Config) -> generic.Aesthetic:
    """The network of `config.model`; the backbone "none" leaves it its head alone."""
    options = plain(config.model)
    del options["weights"]
    tables = {"backbone": BACKBONES, "head": HEADS}
    if options["backbone"] == NO_BACKBONE:
        options["backbone"] = None
        del tables["backbone"]
    for part, table in tables.items():
        make = table[word(config, f"model.{part}")]
        construct(f"model.{part}_options", make, **options[f"{part}_options"])
    return construct("model", generic.create_model, **options)


def image_view(config: Config) -> views.ImageView:
    """How images enter the backbone; size 0 keeps the store's own."""
    spec = pretrained.SPECS[config.model.backbone]
    size = config.view.size or None
    return views.ImageView(spec.mean, spec.std, size, config.view.augment)


def shapes(config: Config) -> Shapes:
    """The shapes of `config.trunk.shapes`, which photographs of a person are shown in.

    Runs that were recorded before there were any have none.
    """
    return tuple(tuple(x) for x in plain(config.trunk).get("shapes", ()))


def trunk_views(config: Config) -> tuple[views.ImageView, ...]:
    """The whole-image views whose features are averaged; by default `image_view`."""
    view = image_view(config)
    sizes = plain(config.trunk)["sizes"] or (view.size,)
    return tuple(dataclasses.replace(view, size=size) for size in sizes)


def initial_variables(
    config: Config, network: nn.Module, *, key: Key[Array, ""]
) -> PyTree:
    """Random variables; the backbone's from what `config.model.weights` means.

    Without a backbone there are none yet: a head is made for the features' width.
    """
    if network.backbone is None:  # pyright: ignore[reportAttributeAccessIssue]
        return {"params": {}, "batch_stats": {}}
    images = jnp.zeros(_images_shape(network), jnp.float32)
    path = weights.weights_file(config.model.weights, config.model.backbone)
    without = "backbone" if path else ""
    variables = generic.initialise(network, images, key=key, without=without)
    if path:
        backbone: nn.Module = network.backbone  # pyright: ignore
        loaded = pretrained.load_pretrained(path, backbone)
        for collection in ("params", "batch_stats"):
            if loaded[collection]:
                variables[collection]["backbone"] = loaded[collection]
    return variables


def check_weights(config: Config) -> None:
    """Checks, before data is read, that the weights are there and of a known kind.

    Raises:
      ConfigError: names the file or the package, and the remedy.
    """
    section = config.model
    if not config.get("prior") and section.backbone != NO_BACKBONE:
        check_weights_file(section.weights, section.backbone, where="model.weights")


def check_weights_file(given: str, backbone: str, *, where: str) -> None:
    """`check_weights` of one backbone, whose weights the field `where` names."""
    try:
        path = weights.weights_file(given, backbone)
    except (ImportError, ValueError) as error:
        raise ConfigError(str(error)) from error
    if path and (path.suffix not in pretrained.READERS or not path.is_file()):
        raise ConfigError(
            f"config.{where}={given!r} is no file ending in one of "
            f"{', '.join(pretrained.READERS)}; give the file of "
            f"{pretrained.SPECS[backbone].origin}, or {weights.RANDOM!r} to start at "
            "random"
        )


def variable_shapes(network: nn.Module) -> PyTree:
    """The shapes of all variables, computed without arrays.

    Behind a frozen trunk with a feature map the head is wider; its names are the same.
    """
    if network.backbone is None:  # pyright: ignore[reportAttributeAccessIssue]
        head = functools.partial(generic.initialise_head, network, width=2)
        return jax.eval_shape(lambda key: head(key=key), jax.random.key(0))
    images = jax.ShapeDtypeStruct(_images_shape(network), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    return {"batch_stats": {}} | dict(shapes)


def _images_shape(network: nn.Module) -> tuple[int, int, int, int]:
    # No parameter's shape depends on the images' size.
    side: int = max(network.backbone.minimum_size, 32)  # pyright: ignore
    return 2, side, side, 3


def plain(section: Config) -> dict[str, Any]:
    """A section as plain dictionaries and tuples, hashable where values are."""
    return {
        name: plain(x)
        if hasattr(x, "to_dict")
        else tuple(x)
        if isinstance(x, list)
        else x
        for name, x in section.items()
    }
