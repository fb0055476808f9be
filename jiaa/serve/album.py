"""The photographs of one folder that a person rates."""

import dataclasses
import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jiaa.data.images import AnyPath
from jiaa.data.table import check_image_name, some
from jiaa.serve.photos import find_photos

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Album:
    """The photographs of one folder: names relative to it, and files."""

    root: Path
    names: tuple[str, ...]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        """How many."""
        return len(self.names)

    def select(self, rows: Sequence[int]) -> "Album":
        """Some of them."""
        return Album(
            self.root,
            tuple(self.names[row] for row in rows),
            tuple(self.paths[row] for row in rows),
        )


def open_album(folder: AnyPath, *, most: int | None = None, seed: int = 0) -> Album:
    """The photographs under `folder`.

    Links that lead out of it, and names that would not come back from a ratings.csv
    (`is_readable_again`), are passed over; a warning lists them.

    Args:
      folder: with photographs in it.
      most: of a larger folder, so many are drawn.
      seed: of the draw.

    Raises:
      NotADirectoryError: it is no folder.
      FileNotFoundError: there is no photograph in it.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"{folder} is no folder; name one with photographs")
    found: dict[str, Path] = {}
    passed_over = []
    for path in find_photos([root]):
        name = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
        if is_readable_again(name) and inside(path, root):
            found[name] = path
        else:
            passed_over.append(ascii(name))
    if passed_over:
        logger.warning(
            "%s: %d photographs passed over: %s; rename what has other than UTF-8, "
            "backslashes or spaces at an end, and copy what a link leads to",
            root,
            len(passed_over),
            some(passed_over),
        )
    album = Album(root, tuple(found), tuple(found.values()))
    if most is None or len(album) <= most:
        return album
    draw = np.random.default_rng(seed).permutation(len(album))[:most]
    return album.select(sorted(draw.tolist()))


def is_readable_again(name: str) -> bool:
    """Whether a ratings.csv that holds this name gives it back unchanged."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    plain = name == name.strip() and "\r" not in name
    return plain and check_image_name(name) == (name, None)


def inside(path: Path, root: Path) -> bool:
    """Whether `path`, all links followed, lies under `root`, which has none."""
    return path.resolve().is_relative_to(root)
