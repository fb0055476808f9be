"""Photographs' features by name, from a file instead of a network."""

import dataclasses
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jiaa.data.feature_file import FeatureFile, read_features
from jiaa.data.images import AnyPath
from jiaa.data.table import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class KnownFeatures:
    """A file of features, and the folders that its names are relative to.

    A photograph in none of the folders goes by its path as it is given, or by its own
    name.
    """

    file: FeatureFile
    folders: tuple[Path, ...] = ()

    def find(
        self, photos: Sequence[Any]
    ) -> tuple[
        Int[np.ndarray, " found"],
        Float[np.ndarray, "found feature"],
        dict[int, str],
    ]:
        """(which of `photos` the file has, their features, row -> why it lacks others).

        Raises:
          ValueError: a photograph that is no path has no name.
          DataError: the file has none of them.
        """
        found, failures = {}, {}
        for row, photo in enumerate(photos):
            if not isinstance(photo, str | os.PathLike):
                raise ValueError(
                    f"photograph {row} is a {type(photo).__name__} without a name to "
                    f"look up in {self.file.source}; expected a path, or give the "
                    "features themselves in the place of photographs"
                )
            names = list(self._names(os.fspath(photo)))
            places = [self.file.rows[name] for name in names if name in self.file.rows]
            if places:
                found[row] = places[0]
            else:
                failures[row] = (
                    f"{os.fspath(photo)}: {self.file.source} has no features of "
                    f"{names[0]!r}; compute them, or correct the name"
                )
        if failures and not found:
            where = ", ".join(map(str, self.folders)) or "the photographs' folder"
            raise DataError(
                f"{failures[0]}. None of {len(photos)} photographs is in the file, "
                f"whose first name is {self.file.names[0]!r}; expected names relative "
                f"to {where}"
            )
        rows, places = (np.asarray(list(x), np.int64) for x in (found, found.values()))
        return rows, self.file.features[places], failures

    def _names(self, photo: str) -> Iterator[str]:
        """What the file may call a photograph, the likeliest first."""
        path, inside = Path(photo).absolute(), False
        for folder in self.folders:
            if path.is_relative_to(folder.absolute()):
                inside = True
                relative = path.relative_to(folder.absolute()).as_posix()
                yield unicodedata.normalize("NFC", relative)
        if not inside:
            plain = PurePosixPath(unicodedata.normalize("NFC", photo))
            yield str(plain)
            yield plain.name


def known_features(
    features: FeatureFile | AnyPath, folders: Sequence[AnyPath] = ()
) -> KnownFeatures:
    """Of a file, or what it holds.

    Raises:
      DataError: a wrong file.
    """
    file = features if isinstance(features, FeatureFile) else read_features(features)
    return KnownFeatures(file, tuple(map(Path, folders)))


def are_features(photos: Any) -> bool:
    """Whether these are features [image feature] in the place of photographs."""
    array = isinstance(photos, np.ndarray | jax.Array) and photos.ndim == 2
    return array and jnp.issubdtype(photos.dtype, jnp.floating)


def folders_of(photos: Any) -> list[AnyPath]:
    """The folders among one photograph or several."""
    listed = photos if isinstance(photos, list | tuple) else [photos]
    return [x for x in listed if isinstance(x, str | Path) and Path(x).is_dir()]
