"""Features of a frozen trunk, computed once: when only a head adapts."""

import contextlib
import dataclasses
import functools
import hashlib
import math
import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Num, PyTree
from tqdm import tqdm

from jiaa.data import images as data_images
from jiaa.data.photographs import Photographs
from jiaa.data.store import replacing
from jiaa.models.pooling import adaptive_average_pool
from jiaa.models.views import ImageView
from jiaa.types import ImageStore

# Blocks of features; a block's parts are concatenated. A part is an output of the
# backbone ("logits", "pooled"), a pooled stage ("fire9.mean", ".std", ".max"), or a
# stage averaged over a grid of bins, flat ("block5.map10": 10 x 10 x channels).
Taps = tuple[tuple[str, ...], ...]


def _std(maps: Float[Array, "..."], axis: tuple[int, ...]) -> Float[Array, "..."]:
    """`jnp.std`, whose gradient at a channel that never varies is 0, not NaN."""
    variance = jnp.var(maps, axis=axis)
    return jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)


# The maps of two images of 260 pixels stay in a CPU's cache, and in memory that it has
# touched before (docs/speed_layers.md, "Few images at a time").
CPU_PIXELS = 2 * 260 * 260

_GRID = re.compile(r"map([1-9][0-9]*)")
POOLINGS = {"mean": jnp.mean, "std": _std, "max": jnp.max}


@dataclasses.dataclass(frozen=True, eq=False)
class Trunk:
    """One frozen encoder, and how images are shown to it.

    Attributes:
      model: its backbone gives the features.
      variables: of the model, or at least of its backbone.
      views: ways to show an image whole; features are the mean over them.
      taps: what to take from the backbone; by default, what the model's head reads.
      five_crops: side of the corner and central crops that count as five more views.
      flip: whether each view's mirror image counts as one more.
    """

    model: nn.Module
    # JAX represents what it traces in text; that of all weights takes half a second.
    variables: PyTree = dataclasses.field(repr=False)
    views: tuple[ImageView, ...]
    taps: Taps = ()
    five_crops: int = 0
    flip: bool = False

    def __call__(
        self, images: Num[Array, "image height width 3"]
    ) -> list[Float[Array, "image block"]]:
        """The blocks of uint8 images, traceable."""
        options = (self.model, self.views, self.taps, self.five_crops, self.flip)
        return batch_features(options, self.variables, images)

    def widths(self, size: tuple[int, int]) -> tuple[int, ...]:
        """How wide each block is, of images of this (height, width); no array is made.

        One view is as wide as the mean of many, and faster to trace.
        """
        once = dataclasses.replace(self, views=self.views[:1], five_crops=0, flip=False)
        images = jax.ShapeDtypeStruct((1, *size, 3), jnp.uint8)
        return tuple(block.shape[1] for block in jax.eval_shape(once, images))

    def settings(self) -> dict[str, Any]:
        """The keywords of `trunk_features`."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def trunk_features(
    store: ImageStore,
    *,
    model: nn.Module,
    variables: PyTree,
    views: Sequence[ImageView],
    taps: Taps = (),
    five_crops: int = 0,
    flip: bool = False,
    image_ids: Int[np.ndarray, " needed"] | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> tuple[Float[np.ndarray, "image feature"], tuple[int, ...]]:
    """Features of the store's images, and the width of each block of them.

    Rows keep the store's numbers; images that are not among `image_ids` (default: all)
    stay zero.

    Args:
      store: uint8 images.
      model: its backbone gives the features.
      variables: of the model, or at least of its backbone.
      views: ways to show an image whole; features are the mean over them.
      taps: what to take from the backbone; by default, what the model's head reads.
      five_crops: side of the corner and central crops that count as five more views.
      flip: whether each view's mirror image counts as one more.
      image_ids: the images that are needed.
      batch_size: images at once.
      progress: whether to show a bar.
    """
    needed = np.arange(len(store)) if image_ids is None else np.unique(image_ids)
    if not len(needed):
        raise ValueError("no images to compute features of; pass at least one id.")
    options = (model, tuple(views), taps, five_crops, flip)
    result: np.ndarray = np.zeros((0, 0))
    widths: tuple[int, ...] = ()
    starts = range(0, len(needed), batch_size)
    for start in tqdm(starts, desc="features", unit="batch", disable=not progress):
        rows = needed[start : start + batch_size]
        # A short last batch repeats its last image, so that one program serves all.
        full = np.pad(rows, (0, batch_size - len(rows)), mode="edge")
        images = jnp.asarray(store.content[full])
        blocks = [np.asarray(x) for x in batch_features(options, variables, images)]
        widths = tuple(block.shape[1] for block in blocks)
        if not len(result):
            result = np.zeros((len(store), sum(widths)), np.float32)
        result[rows] = np.concatenate(blocks, axis=1)[: len(rows)]
    return result, widths


def cached(
    compute: functools.partial, folder: str | os.PathLike[str]
) -> tuple[Float[np.ndarray, "image feature"], tuple[int, ...]]:
    """`compute()`, a partial of `trunk_features`, or what it gave before from a file.

    The file's name is a hash of everything that the result depends on: pixels (or the
    files, where they were not decoded), the backbone's variables, and how images are
    shown and tapped.
    """
    digest = hashlib.blake2b(digest_size=12)
    settings = {k: v for k, v in compute.keywords.items() if k not in _NO_INFLUENCE}
    for leaf in jax.tree.leaves((compute.args, compute.keywords["variables"])):
        if isinstance(leaf, Photographs):
            digest.update(leaf.fingerprint().encode())
        else:
            digest.update(np.ascontiguousarray(leaf).tobytes())
    ids = settings.pop("image_ids", None)
    digest.update(b"all" if ids is None else np.unique(ids).astype("<i8").tobytes())
    model = settings.pop("model")
    settings["network"] = (model.backbone, model.tap)  # the head has no influence
    digest.update(repr(sorted(settings.items(), key=lambda item: item[0])).encode())
    path = Path(folder) / f"features_{digest.hexdigest()}.npz"
    with contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile):
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["features"], tuple(arrays["widths"].tolist())
    features, widths = compute()
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, features=features, widths=np.asarray(widths))
    return features, widths


_NO_INFLUENCE = ("variables", "batch_size", "progress")


def batch_features(
    options: tuple, variables: PyTree, images: Num[Array, "image height width 3"]
) -> list[Float[Array, "image block"]]:
    """One batch's blocks: their mean over views, crops and mirror images."""
    model, views, taps, five_crops, flip = options
    shown = [view.predicting(images) for view in views]
    if five_crops:
        crops = data_images.five_views(images, size=five_crops)
        shown += [
            data_images.normalise(crops[:, i], mean=views[0].mean, std=views[0].std)
            for i in range(crops.shape[1])
        ]
    if flip:
        shown += [view[:, :, ::-1] for view in shown]
    # A program a shape, not one for all views: faster to compile, and less memory.
    program = functools.partial(_blocks, model, taps, variables)
    each = [_few_at_a_time(program, view) for view in shown]
    return [jnp.mean(jnp.stack(parts), axis=0) for parts in zip(*each, strict=True)]


def _few_at_a_time(
    program: Callable[[Array], list[Array]],
    images: Float[Array, "image height width 3"],
) -> list[Float[Array, "image block"]]:
    """`program(images)`; a CPU is given no more than `CPU_PIXELS` at once.

    Two images at least: XLA's convolutions may be slow with one.
    """
    few = max(2, CPU_PIXELS // math.prod(images.shape[1:3]))
    traced = isinstance(images, Tracer)
    if traced or jax.default_backend() != "cpu" or len(images) <= few:
        return program(images)
    parts = []
    for start in range(0, len(images), few):
        # A short last part starts earlier, so that one program serves all.
        first = min(start, len(images) - few)
        parts.append(
            [block[start - first :] for block in program(images[first:][:few])]
        )
    return [jnp.concatenate(blocks) for blocks in zip(*parts, strict=True)]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _blocks(
    model: nn.Module,
    taps: Taps,
    variables: PyTree,
    images: Float[Array, "image height width 3"],
) -> list[Float[Array, "image block"]]:
    if not taps:
        return [model.apply(variables, images, method="features")]  # pyright: ignore
    outputs: Any = model.apply(variables, images, method=_backbone)
    return tapped(outputs, taps)


def tapped(outputs: Mapping[str, Any], taps: Taps) -> list[Float[Array, "image block"]]:
    """What `taps` take from a backbone's outputs, one array a block.

    Raises:
      ValueError: an unknown tap; lists the stages there are.
    """
    return [
        jnp.concatenate([_part(outputs, name) for name in block], axis=1)
        for block in taps
    ]


def _backbone(module: nn.Module, images):
    return module.backbone(images)  # pyright: ignore[reportAttributeAccessIssue]


def _part(outputs, name: str) -> Float[Array, "image part"]:
    stage, _, pooling = name.partition(".")
    if not pooling and stage in ("logits", "pooled"):
        return outputs[stage]
    if stage in outputs["stages"] and (grid := _GRID.fullmatch(pooling)):
        maps = outputs["stages"][stage].astype(jnp.float32)
        maps = adaptive_average_pool(maps, (int(grid[1]), int(grid[1])))
        return maps.reshape(maps.shape[0], -1)
    if stage not in outputs["stages"] or pooling not in POOLINGS:
        raise ValueError(
            f"unknown tap {name!r}; expected 'logits', 'pooled', or a stage of "
            f"{sorted(outputs['stages'])} with one of {sorted(POOLINGS)} or map10, as "
            f"'{min(outputs['stages'])}.mean'"
        )
    return POOLINGS[pooling](outputs["stages"][stage], axis=(1, 2))
