"""Features of photographs that were seen before, in a file that only grows.

One file a trunk, one record a photograph: a key made of the file's path, length and
time, and the features. A kill while it is written leaves part of a record at the end,
which the next process cuts off.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float

from jiaa.data.images import AnyPath
from jiaa.data.store import fingerprint

KEY_BYTES = 12  # of `data.store.fingerprint`


def default_folder() -> Path:
    """$JIAA_CACHE, or jiaa/ in the user's cache folder."""
    chosen = os.environ.get("JIAA_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(home, "jiaa")


def photo_key(path: AnyPath, *, size: tuple[int, int]) -> bytes:
    """Changes with the file's path, length, time, and the size it is decoded to."""
    return bytes.fromhex(fingerprint([path], (*size, 3)))


class FeatureCache:
    """The features of one trunk [feature], by photograph.

    Attributes:
      path: of the file.
    """

    def __init__(self, folder: AnyPath, *, trunk: str, width: int):
        """Opens or creates the file of a trunk (`trunk`: its identity).

        Raises:
          OSError: the folder or the file cannot be written; says how to name another.
        """
        self.path = Path(folder) / f"photos_{trunk}_{width}.bin"
        self._record = np.dtype([("key", f"V{KEY_BYTES}"), ("values", "<f4", (width,))])
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._cut(file)
        except OSError as error:
            why = f"{error.strerror}; --cache FOLDER or $JIAA_CACHE names another cache"
            raise OSError(error.errno, why, os.fspath(self.path)) from error
        self._rows: dict[bytes, int] = {}
        self._read_keys()

    def _cut(self, file: BinaryIO) -> int:
        """Cuts half a record off a file that is locked; the count of whole ones."""
        # Where it ends now: another process may have added while this one waited.
        count = file.seek(0, os.SEEK_END) // self._record.itemsize
        file.truncate(count * self._record.itemsize)
        return count

    def _records(self) -> np.ndarray:
        if not self.path.stat().st_size:
            return np.zeros(0, self._record)
        count = self.path.stat().st_size // self._record.itemsize
        return np.memmap(self.path, self._record, "r", shape=(count,))

    def _read_keys(self) -> None:
        keys = self._records()["key"]
        self._rows = {key.tobytes(): row for row, key in enumerate(keys)}

    def known(self, keys: Sequence[bytes]) -> list[bool]:
        """Whether there are features of each photograph."""
        return [key in self._rows for key in keys]

    def take(self, keys: Sequence[bytes]) -> Float[np.ndarray, "image feature"]:
        """The features of photographs that are all known."""
        rows = np.asarray([self._rows[key] for key in keys], np.int64)
        return np.array(self._records()["values"][rows], np.float32)

    def add(
        self, keys: Sequence[bytes], features: Float[np.ndarray, "image feature"]
    ) -> None:
        """Appends a batch; safe beside other processes that append.

        Features that are not finite are left out: they would be found again for ever.
        """
        finite = np.isfinite(features).all(axis=1)
        records = np.zeros(int(finite.sum()), self._record)
        kept = [keys[row] for row in np.flatnonzero(finite).tolist()]
        for row, key in enumerate(kept):
            records[row]["key"] = np.void(key)
        records["values"] = features[finite]
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            first = self._cut(file)  # another process may have been killed since
            file.write(records.tobytes())
        for row, key in enumerate(kept, first):
            self._rows[key] = row
