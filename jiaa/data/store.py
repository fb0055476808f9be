"""Fills an `ImageStore`, and compacts it to the images that a chunk of users needs."""

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8
from safetensors import SafetensorError
from tqdm import tqdm

from jiaa.data.images import AnyPath, ImageError, Size, decode_resized, sides
from jiaa.data.table import SHOWN
from jiaa.types import Episode, Examples, ImageStore

CACHE_VERSION = 1  # raise it when decoding changes what it returns
NO_IMAGE = np.iinfo(np.int32).max  # fills `unique_ids`: larger than any image id


def load_images(
    photographs: Sequence[AnyPath] | Sequence[bytes],
    *,
    size: Size = 256,
    workers: int | None = None,
    progress: bool = True,
    cache_dir: AnyPath | None = None,
    version: str | None = None,
) -> ImageStore:
    """Photographs, by path or as encoded bytes, squashed to `size`, in host memory.

    Threads decode in parallel (Pillow releases the interpreter's lock; `workers`
    defaults to the usable cores). With `cache_dir` the pixels go to a file there which
    later calls map instead of decoding, as long as names, file sizes, times and `size`
    are the same; encoded bytes need a `version` that says which they are.

    Raises:
      ImageError: some files cannot be read; names each of the first, and their number.
    """
    height, width = sides(size)
    shape = (len(photographs), height, width, 3)
    if cache_dir is None:
        images = np.empty(shape, np.uint8)
        _fill(images, photographs, workers=workers, progress=progress)
        return ImageStore(images=images)
    digest = fingerprint(photographs, shape, version)
    cached = Path(cache_dir) / f"images_{height}x{width}_{digest}.npy"
    if not _is_whole(cached, shape):
        with replacing(cached) as partial:
            images = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
            _fill(images, photographs, workers=workers, progress=progress)
            images.flush()
    return ImageStore(images=np.load(cached, mmap_mode="r", allow_pickle=False))


def fits_on_device(
    store: ImageStore, *, fraction: float = 0.5, device: jax.Device | None = None
) -> bool:
    """Whether the store takes at most `fraction` of the device's free memory.

    Where the device does not tell (a CPU), the machine's memory counts. What is no
    array (`photographs.Photographs`) stays where it is.
    """
    if not isinstance(store.content, np.ndarray | jax.Array):
        return False
    stats = (device or jax.local_devices()[0]).memory_stats() or {}
    if "bytes_limit" in stats:
        free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    else:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return store.content.nbytes <= fraction * free


def place(
    store: ImageStore,
    *,
    fraction: float = 0.5,
    sharding: jax.Device | jax.sharding.Sharding | None = None,
) -> ImageStore:
    """The store on the device if it fits, else unchanged on the host.

    A store that stays on the host is used in chunks: `compact` it for each.
    """
    device = sharding
    if isinstance(sharding, jax.sharding.Sharding):
        device = min(sharding.addressable_devices, key=lambda one: one.id)
    if not fits_on_device(store, fraction=fraction, device=device):
        return store
    return jax.device_put(store, sharding)


def compact(
    store: ImageStore,
    image_ids: Int[Array | np.ndarray, "*shape"],
    *,
    mask: Bool[Array | np.ndarray, "*shape"] | None = None,
    pad_to: int | None = None,
) -> tuple[ImageStore, Int[np.ndarray, " unique"]]:
    """The images that `image_ids` name, each once, and their ids in ascending order.

    Ids with `mask` False are not needed. With `pad_to`, both results have that many
    rows (black images under the id `NO_IMAGE`), so that chunks of users share one
    compiled program. The rows are gathered on the host unless the store lies on a
    device.

    Raises:
      ValueError: more than `pad_to` images are needed.
    """
    wanted = np.asarray(image_ids)
    unique = np.unique(wanted if mask is None else wanted[np.asarray(mask)])
    rows = max(len(unique), 1) if pad_to is None else pad_to
    if rows < len(unique):
        raise ValueError(
            f"the chunk needs {len(unique)} images; pad_to is {pad_to}. Raise it to "
            f"{len(unique)} at least, or take fewer users"
        )
    unique_ids = np.full(rows, NO_IMAGE, np.int32)
    unique_ids[: len(unique)] = unique
    if isinstance(store.content, jax.Array):
        gathered = jnp.take(
            store.content, unique_ids, axis=0, mode="fill", fill_value=0
        )
    else:
        content = store.content
        gathered = np.zeros((rows, *content.shape[1:]), content.dtype)
        gathered[: len(unique)] = content[unique]
    if store.images is None:
        return ImageStore(features=gathered), unique_ids
    return ImageStore(images=gathered), unique_ids


def remap(
    image_ids: Int[Array | np.ndarray, "*shape"],
    unique_ids: Int[Array | np.ndarray, " unique"],
) -> Int[Array, "*shape"]:
    """Rows of the compact store for `image_ids`; works under `jit`.

    Ids that the compact store lacks (those of padding) become some valid row.
    """
    rows = jnp.searchsorted(jnp.asarray(unique_ids), jnp.asarray(image_ids))
    return jnp.minimum(rows, unique_ids.shape[0] - 1).astype(jnp.int32)


def remap_episode(
    episode: Episode, unique_ids: Int[Array | np.ndarray, " unique"]
) -> Episode:
    """`episode` with rows of the compact store for image ids.

    Splits are drawn from the dataset's own ids: sample first, remap afterwards.
    """

    def remapped(examples: Examples) -> Examples:
        rows = remap(examples.image_ids, unique_ids)
        return Examples(rows, examples.scores, examples.mask, examples.side)

    return Episode(episode.user_id, remapped(episode.support), remapped(episode.query))


def _fill(
    images: UInt8[np.ndarray, "image height width 3"],
    photographs: Sequence[AnyPath] | Sequence[bytes],
    *,
    workers: int | None,
    progress: bool,
) -> None:
    failures: list[ImageError] = []

    def decode_row(row: int) -> ImageError | None:
        try:
            images[row] = decode_resized(photographs[row], size=images.shape[1:3])
        except ImageError as error:
            return error

    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        results = pool.map(decode_row, range(len(photographs)))
        bar = tqdm(
            results,
            desc="decode images",
            total=len(photographs),
            unit="image",
            disable=not progress,
        )
        failures = [error for error in bar if error is not None]
    if failures:
        lines = [f"  {error}" for error in failures[:SHOWN]]
        if len(failures) > SHOWN:
            lines.append(f"  ... and {len(failures) - SHOWN} more")
        raise ImageError(
            "\n".join([f"{len(failures)} of {len(photographs)} images failed", *lines])
        )


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fingerprint(
    photographs: Sequence[AnyPath] | Sequence[bytes],
    shape: tuple[int, ...],
    version: str | None = None,
) -> str:
    """Changes with any file's name, length or time; a missing file has none of them."""
    digest = hashlib.blake2b(f"{CACHE_VERSION} {shape}".encode(), digest_size=12)
    if version is not None:
        digest.update(version.encode())
        return digest.hexdigest()
    for photograph in photographs:
        if isinstance(photograph, bytes):
            raise ValueError("a cache of encoded photographs needs a version; pass one")
        path = Path(photograph)
        try:
            stat = path.stat()
            facts = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        except OSError:
            facts = (str(path), None, None)
        digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def _is_whole(cached: Path, shape: tuple[int, ...]) -> bool:
    try:
        found = np.load(cached, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return found.shape == shape and found.dtype == np.uint8


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file beside `target` that takes its place once complete, readable as any other.

    Raises:
      OSError: the disk is full, or the folder cannot be written, whatever writes there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.stem}.{uuid.uuid4().hex}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        yield partial
        partial.chmod(mode)  # safetensors lets nobody else read what it writes
        os.replace(partial, target)
    except SafetensorError as error:  # hides the number of the system's error
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), os.fspath(target)) from error
    finally:
        partial.unlink(missing_ok=True)
