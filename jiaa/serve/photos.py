"""A person's photographs: found in folders, decoded in parallel, in batches."""

import dataclasses
import functools
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from jiaa.data.images import (
    AnyPath,
    ImageError,
    Shapes,
    Size,
    decode_resized,
    resize_host,
    rgb,
    sides,
)
from jiaa.data.store import usable_cores

# What a folder's files are told by; a file that is named itself may end in anything.
SUFFIXES = frozenset(
    ".jpg .jpeg .png .webp .heic .heif .avif .gif .tif .tiff .bmp".split()
)
AHEAD = 2  # batches decoded while one is computed
Photo = AnyPath | Image.Image | np.ndarray  # uint8 [height width 3], checked


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """A batch of photographs.

    Attributes:
      rows: which of the asked-for photographs could be read.
      images: their pixels, in the order of `rows`.
      failures: row -> why it could not be read, and the remedy.
    """

    rows: Int[np.ndarray, " image"]
    images: UInt8[np.ndarray, "image height width 3"]
    failures: dict[int, str]


def find_photos(paths: Sequence[AnyPath]) -> list[Path]:
    """The image files at `paths`: files as they are named, folders with all below.

    Folders are told by their files' endings (`SUFFIXES`) and sorted; hidden files and
    folders are passed over, and folders behind links are not entered. Each file is
    listed once.

    Raises:
      FileNotFoundError: a path is not there; or a folder has no photograph in it.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = list(_walk(path))
            if not inside:
                raise FileNotFoundError(
                    f"{path}: no photograph in this folder; expected files ending in "
                    f"{' '.join(sorted(SUFFIXES))}. Name another folder, or files"
                )
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise FileNotFoundError(f"{path}: no such file or folder; correct the name")
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def decode_photo(
    photo: Photo, *, size: Size, shapes: Shapes = ()
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """A file, a PIL image or an array as pixels, squashed to `size`.

    To the nearest of `shapes` instead, where there are any (`nearest_shape`).

    Raises:
      ImageError: the file cannot be read.
      ValueError: an array that is no uint8 image with three colours.
    """
    if isinstance(photo, str | os.PathLike):
        return decode_resized(photo, size=size, shapes=shapes)
    if isinstance(photo, Image.Image):
        return resize_host(rgb(photo), size, shapes=shapes)
    array = np.asarray(photo)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise ValueError(
            f"an array of {array.dtype} and shape {array.shape} is no photograph; "
            "expected uint8 [height width 3], values 0 to 255"
        )
    return resize_host(array, size, shapes=shapes)


def decode_batches(
    photos: Sequence[Photo],
    *,
    size: Size,
    shapes: Shapes = (),
    batch_size: int = 32,
    workers: int | None = None,
) -> Iterator[Decoded]:
    """All of `photos`, in batches of one shape each, decoded ahead by threads.

    Pillow releases the interpreter's lock, so threads decode in parallel (`workers`:
    the usable cores). A file that cannot be read is a failure of the batch that
    follows it.
    """
    waiting: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
    failures: dict[int, str] = {}
    decoded = _ahead(photos, size, shapes, AHEAD * batch_size, workers)
    for row, future in enumerate(decoded):
        try:
            image = future.result()
        except ImageError as error:
            failures[row] = str(error)
            continue
        alike = waiting.setdefault(image.shape, [])
        alike.append((row, image))
        if len(alike) == batch_size:
            yield _batch(waiting.pop(image.shape), failures)
            failures = {}
    for alike in waiting.values():
        yield _batch(alike, failures)
        failures = {}
    if failures:
        nothing = np.zeros((0, *sides(size), 3), np.uint8)
        yield Decoded(np.zeros(0, np.int64), nothing, failures)


def _ahead(
    photos: Sequence[Photo],
    size: Size,
    shapes: Shapes,
    ahead: int,
    workers: int | None,
) -> Iterator[Future]:
    """Each photograph in order, `ahead` of them begun before they are due."""
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        decode = functools.partial(decode_photo, size=size, shapes=shapes)
        begun = deque(pool.submit(decode, photo) for photo in photos[:ahead])
        try:
            for photo in photos[ahead:]:
                yield begun.popleft()
                begun.append(pool.submit(decode, photo))
            yield from begun
        finally:
            # The caller may stop early: what was not begun is not decoded any more.
            pool.shutdown(wait=False, cancel_futures=True)


def _batch(alike: list[tuple[int, np.ndarray]], failures: dict[int, str]) -> Decoded:
    rows, images = zip(*alike, strict=True)
    return Decoded(np.asarray(rows, np.int64), np.stack(images), failures)
