"""A collaborative experiment's network, and the content that it sees."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jiaa import data
from jiaa.cli.build import plain
from jiaa.cli.options import Config, ConfigError, construct
from jiaa.cli.settings import finished_file
from jiaa.data.interactions import Interactions
from jiaa.models import generic, image_maps, pretrained, trunk, variables, weights
from jiaa.models.backbones import BACKBONES
from jiaa.models.collaborative import VARIANTS, Collaborative
from jiaa.models.mtrlcnn import MTRLCNN
from jiaa.models.ranking import Ranking
from jiaa.models.views import ImageView
from jiaa.train import tables
from jiaa.types import ImageStore

PRIOR_FILE = "prior.safetensors"


def network_and_store(
    config: Config,
    dataset: data.Dataset,
    pairs: Interactions,
    *,
    sees: bool,
    progress: bool,
) -> tuple[nn.Module, ImageStore | None, PyTree]:
    """The network; the content that it sees; a learning trunk's parameters."""
    if not sees:
        return make_network(config, pairs, map_shape=None), None, None
    backbone = construct(
        "trunk.backbone_options",
        _backbone(config),
        **plain(config.trunk.backbone_options),
    )
    start = _trunk_variables(config, backbone)
    grid = config.trunk.grid
    if config.trunk.trains or config.method == "mtrlcnn":
        if start["batch_stats"]:
            raise ConfigError(
                f"config.trunk.backbone={config.trunk.backbone!r} has BatchNorm, which "
                "collaborative steps do not train; freeze it, or take vgg16"
            )
        view = ImageView.of(pretrained.SPECS[config.trunk.backbone], augment=False)
        view = dataclasses.replace(view, size=None)
        made = image_maps.MapTrunk(backbone, config.trunk.stage, grid, view)
        shape = (grid, grid, _channels(made, dataset))
        network = make_network(config, pairs, map_shape=shape, trunk=made)
        store = ImageStore(images=np.asarray(dataset.store.content))
        return network, store, {"backbone": start["params"]}
    maps = _maps(config, dataset, backbone, start, progress=progress)
    channels = maps.shape[1] // grid**2
    seen = np.unique(np.asarray(pairs.train.image))
    maps = image_maps.fit_map_scale(maps[seen], channels=channels)(maps)
    attends = config.method.startswith("cfan")
    if not attends:
        maps, grid = image_maps.mean_maps(maps, channels=channels), 1
    network = make_network(config, pairs, map_shape=(grid, grid, channels))
    return network, ImageStore(features=maps), None


def make_network(
    config: Config,
    pairs: Interactions,
    *,
    map_shape: tuple[int, int, int] | None,
    trunk: nn.Module | None = None,
) -> nn.Module:
    """The network of `config.method`.

    Raises:
      ConfigError: reviews or tags that it needs are not there; wrong options.
    """
    _check_data(config, pairs)
    options: dict[str, Any] = plain(config.model)
    sizes = {
        "users": pairs.users,
        "images": pairs.images,
        "table_multiple": tables.MULTIPLE,  # else they could not be spread
    }
    if config.method in ("bpr", "vbpr"):
        return construct("model", Ranking, map_shape=map_shape, **sizes, **options)
    if config.method == "mtrlcnn":
        assert map_shape is not None
        return construct(
            "model",
            MTRLCNN,
            channels=map_shape[2],
            tags=len(pairs.tags),
            trunk=trunk,
            **options,
        )
    return construct(
        "model",
        Collaborative,
        map_shape=map_shape,
        trunk=trunk,
        tags=len(pairs.tags),
        vocabulary=len(pairs.vocabulary),
        **sizes,
        **VARIANTS[config.method].options(),
        **options,
    )


def _check_data(config: Config, pairs: Interactions) -> None:
    """Refuses a method that needs reviews or tags where there are none."""
    method, variant = config.method, VARIANTS.get(config.method)
    reads = method == "review_only" or (variant is not None and variant.attends)
    if reads and not pairs.vocabulary.words:
        raise ConfigError(
            f"config.method={method!r} reads reviews, of which {config.dataset} has "
            "none, or no word so often as "
            f"config.reviews.min_count={config.reviews.min_count}; lower that, or take "
            "bpr, vbpr, cfn_pure or cfn_1"
        )
    names = method == "mtrlcnn" or (variant is not None and "tag" in variant.tasks)
    if names and len(pairs.tags) < 2:
        raise ConfigError(
            f"config.method={method!r} learns tags, of which {config.dataset} has "
            f"{len(pairs.tags)} with config.pairs.tag={config.pairs.tag!r} and "
            f"config.pairs.least_images={config.pairs.least_images}; name the images' "
            "column, or lower the latter"
        )


def _backbone(config: Config):
    if config.trunk.backbone not in BACKBONES:
        raise ConfigError(
            f"config.trunk.backbone={config.trunk.backbone!r}; known: "
            f"{', '.join(sorted(BACKBONES))}"
        )
    return BACKBONES[config.trunk.backbone]


def _trunk_variables(config: Config, backbone: Any) -> PyTree:
    """The backbone's: of a file, of a run, or random."""
    section = config.trunk
    if section.run:
        tree = variables.load_variables(finished_file(section.run, PRIOR_FILE))
        if "trunk" not in tree["params"]:
            raise ConfigError(
                f"config.trunk.run={section.run!r} holds no trunk; name the workdir of "
                "an mtrlcnn run"
            )
        return {"params": tree["params"]["trunk"]["backbone"], "batch_stats": {}}
    path = weights.weights_file(section.weights, section.backbone)
    if path:
        return pretrained.load_pretrained(path, backbone)
    side = max(backbone.minimum_size, 32)
    images = jnp.zeros((1, side, side, 3))
    made = generic.initialise(backbone, images, key=jax.random.key(config.seed))
    return {"params": made["params"], "batch_stats": made.get("batch_stats", {})}


def _channels(made: image_maps.MapTrunk, dataset: data.Dataset) -> int:
    images = jax.ShapeDtypeStruct((1, *dataset.store.content.shape[1:]), jnp.uint8)
    run = functools.partial(made.init_with_output, jax.random.key(0))
    flat, _ = jax.eval_shape(run, images)
    return flat.shape[1] // made.grid**2


def _maps(
    config: Config,
    dataset: data.Dataset,
    backbone: Any,
    start: PyTree,
    *,
    progress: bool,
) -> Float[np.ndarray, "image feature"]:
    """All images' maps by a frozen trunk, kept in `config.data.cache_dir`."""
    section = config.trunk
    network = generic.create_model(
        backbone=section.backbone,
        head="pooled",
        backbone_options=plain(section.backbone_options),
    )
    view = ImageView.of(pretrained.SPECS[section.backbone], augment=False)
    compute = functools.partial(
        trunk.trunk_features,
        dataset.store,
        model=network,
        variables={name: {"backbone": x} for name, x in start.items()},
        views=(dataclasses.replace(view, size=None),),
        taps=((f"{section.stage}.map{section.grid}",),),
        progress=progress,
    )
    folder = config.data.cache_dir
    features, _ = trunk.cached(compute, folder) if folder else compute()
    return features
