"""Photographs in the place of an array: decoded whenever they are asked for."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int, UInt8

from jiaa.data.images import AnyPath, Size, decode_resized, sides
from jiaa.data.store import fingerprint, load_images
from jiaa.types import ImageStore

Images = Literal["device", "stream"]


class Photographs:
    """Photographs in the place of an array [image height width 3] of uint8.

    Rows are decoded and squashed to `size` when they are indexed and kept nowhere; only
    integers and arrays of them are indices. Several rows are decoded by `workers`
    threads (default: the usable cores).
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        photographs: Sequence[AnyPath] | Sequence[bytes],
        *,
        size: Size,
        workers: int | None = None,
        version: str | None = None,
    ):
        """Files, or encoded bytes with the `version` that says which they are.

        Nothing is read yet: what is broken is found when it is reached.
        """
        self._photographs = photographs
        self._workers = workers
        self._version = version
        self.shape = (len(photographs), *sides(size), 3)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._photographs)

    def __getitem__(
        self, rows: int | np.integer | Int[np.ndarray, "*shape"]
    ) -> UInt8[np.ndarray, "*shape height width 3"]:
        """The images of one row or of many.

        Raises:
          ImageError: one cannot be read; says which file.
        """
        size = self.shape[1:3]
        if isinstance(rows, int | np.integer):
            return decode_resized(self._photographs[int(rows)], size=size)
        rows = np.asarray(rows)
        store = load_images(
            _Chosen(self._photographs, rows.ravel()),
            size=size,
            workers=self._workers,
            progress=False,
        )
        return np.asarray(store.images).reshape(*rows.shape, *self.shape[1:])

    def select(self, rows: Int[np.ndarray, " image"]) -> "Photographs":
        """Those of some rows, still not decoded."""
        version = self._version
        if version is not None:
            version = f"{version} {rows.tolist()}"
        return Photographs(
            _Chosen(self._photographs, rows),
            size=self.shape[1:3],
            workers=self._workers,
            version=version,
        )

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        """Refused: it would decode all of them, and fill the memory.

        Raises:
          TypeError: always.
        """
        raise TypeError(
            f"{self!r} became an array, which would decode all of them at once. Index "
            "the rows that you need (jiaa.data.store.compact), or load the dataset "
            "with images='device'"
        )

    def __repr__(self) -> str:
        """One line."""
        _, height, width, _ = self.shape
        return f"Photographs({len(self)}, {height} x {width})"

    def fingerprint(self) -> str:
        """Changes with any file's name, length or time, and with the size."""
        return fingerprint(self._photographs, self.shape, self._version)


class _Chosen(Sequence):
    """Some rows of a sequence; each is read when it is asked for."""

    def __init__(self, values: Sequence[Any], rows: Int[np.ndarray, " row"]):
        self._values, self._rows = values, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        return self._values[int(self._rows[row])]


def open_images(
    photographs: Sequence[AnyPath] | Sequence[bytes],
    images: Images,
    *,
    size: Size,
    workers: int | None,
    progress: bool,
    cache_dir: AnyPath | None,
    version: str | None = None,
) -> ImageStore:
    """A store of photographs: "device" decodes them now, "stream" when they are needed.

    The other options are those of `load_images`.

    Raises:
      ValueError: neither is asked for.
      ImageError: unreadable images, where they are decoded now.
    """
    if images not in get_args(Images):
        raise ValueError(f"images={images!r}; expected 'device' or 'stream'")
    if images == "stream":
        return ImageStore(images=Photographs(photographs, size=size, version=version))
    return load_images(
        photographs,
        size=size,
        workers=workers,
        progress=progress,
        cache_dir=cache_dir,
        version=version,
    )
