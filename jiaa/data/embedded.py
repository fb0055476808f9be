"""The synthetic world as a `Dataset`, drawn once and kept on disk."""

import hashlib
import inspect
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.data import synthetic
from jiaa.data.dataset import Dataset, assemble
from jiaa.data.images import AnyPath
from jiaa.data.store import replacing
from jiaa.types import ImageStore, Ratings


def load_synthetic(
    *, seed: int = 0, cache_dir: AnyPath | None = None, **sizes: Any
) -> Dataset:
    """The embedded world in the schema of FLICKR-AES; its scores are no real person's.

    `sizes` are the options of `synthetic.flickr_aes_view`. With `cache_dir`, a second
    call reads a file instead of drawing the photographs. `metadata` holds each image's
    "content" and its ten attributes, as only the generator knows them.
    """
    signature = inspect.signature(synthetic.flickr_aes_view)
    call = signature.bind(seed=seed, **sizes)
    call.apply_defaults()
    if cache_dir is None:
        return _dataset(_draw(call.kwargs))
    # How the drawing is done (threads, progress bar) changes no pixel.
    facts = {k: v for k, v in call.kwargs.items() if k not in ("workers", "progress")}
    digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()
    cached = Path(cache_dir) / f"synthetic_v{synthetic.VERSION}_{digest}.npz"
    arrays = _read(cached)
    if arrays is None:
        arrays = _draw(call.kwargs)
        with replacing(cached) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return _dataset(arrays)


def _draw(options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Everything that the dataset needs, as arrays that a file can hold."""
    view = synthetic.flickr_aes_view(**options)
    workers, worker_split = zip(*view.worker_split.items(), strict=True)
    return {
        "worker": view.ratings.worker,
        "image": view.ratings.image,
        "stars": view.ratings.stars,
        "scale": np.asarray(view.ratings.scale),
        "images": view.images,
        "image_names": np.asarray(view.image_names),
        "image_split": np.asarray([view.image_split[x] for x in view.image_names]),
        "workers": np.asarray(workers),
        "worker_split": np.asarray(worker_split),
        "content": np.asarray(synthetic.CONTENTS)[view.truth.content],
        "attributes": view.truth.attributes,
    }


def _read(cached: Path) -> dict[str, np.ndarray] | None:
    """The file's arrays, or None if there is none or it is damaged."""
    try:
        # Opened here: on damage, NumPy would leave its own handle open.
        with cached.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _dataset(arrays: dict[str, np.ndarray]) -> Dataset:
    names = arrays["image_names"].tolist()
    low, high = arrays["scale"].tolist()
    worker_split = arrays["worker_split"].tolist()
    return assemble(
        Ratings(arrays["worker"], arrays["image"], arrays["stars"], (low, high)),
        ImageStore(images=arrays["images"]),
        name="synthetic",
        image_names=names,
        user_split=dict(zip(arrays["workers"].tolist(), worker_split, strict=True)),
        image_split=dict(zip(names, arrays["image_split"].tolist(), strict=True)),
        metadata={
            "content": arrays["content"],
            **dict(zip(synthetic.ATTRIBUTES, arrays["attributes"].T, strict=True)),
        },
    )
