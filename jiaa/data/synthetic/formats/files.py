"""What the writers of all formats share."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image
from tqdm import tqdm

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 1},
    ".jpg": {"quality": 92},
}


def renamed(name: str, suffix: str) -> str:
    """The file name with another suffix."""
    return str(PurePosixPath(name).with_suffix(suffix))


def check_suffix(suffix: str) -> None:
    """Refuses what images cannot be written as."""
    if suffix not in _SAVE_OPTIONS:
        raise ValueError(f"suffix={suffix!r} must be one of {sorted(_SAVE_OPTIONS)}.")


def write_images(
    folder: Path,
    names: Sequence[str],
    images: UInt8[ndarray, "image height width 3"],
    *,
    progress: bool = False,
) -> None:
    """One file each; the names' suffix (.png or .jpg) says how."""
    for parent in {(folder / name).parent for name in names}:
        parent.mkdir(parents=True, exist_ok=True)
    bar = tqdm(names, desc="writing", unit="image", disable=not progress)
    for name, pixels in zip(bar, images, strict=True):
        path = folder / name
        Image.fromarray(pixels).save(path, **_SAVE_OPTIONS[path.suffix])


def write_csv(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], *, join: str = ","
) -> None:
    """A table with a header; `join` stands between values, as in ", "."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        if join == ",":
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
            return
        for row in (header, *rows):
            file.write(join.join(str(value) for value in row) + "\n")
