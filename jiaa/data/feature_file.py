"""Features that were computed elsewhere, in a file: of CLIP, DINOv2, or any other.

`.npz` with the arrays
    names       text, one an image: its path relative to the photographs' folder
    features    floats [image feature]
    encoder     text, optional: which encoder gave them
    view        text, optional: how it was shown the images
    widths      whole numbers, optional: how wide each block of features is; one block
`.safetensors` with the tensor `features`, and the others in the metadata: `encoder` and
`view` as text, `names` and `widths` as JSON lists.

    numpy.savez("clip.npz", names=names, features=features)
    safetensors.numpy.save_file(
        {"features": features}, "clip.safetensors", {"names": json.dumps(names)}
    )

Neither is ever unpickled. Rows are counted from 0.
"""

import dataclasses
import functools
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from safetensors import safe_open
from safetensors.numpy import save_file

from jiaa.data.store import replacing
from jiaa.data.table import DataError, Findings, check_image_name, some

AGAIN = "Write it again, with jiaa.data.feature_file.write_features for example"


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Which features these are: how wide each block is, and their encoder's identity.

    The encoder "" is one that nobody has named.
    """

    widths: tuple[int, ...]
    encoder: str = ""

    @property
    def width(self) -> int:
        """Of all blocks."""
        return sum(self.widths)

    def __str__(self) -> str:
        """In words."""
        return f"width {self.width}" + (f" of {self.encoder!r}" if self.encoder else "")

    def check(self, other: "FeatureSpec", where: str) -> None:
        """Refuses features, those of `where`, of another width or another encoder.

        Raises:
          DataError: naming both.
        """
        both_told = self.encoder and other.encoder
        if self.width == other.width and not (
            both_told and self.encoder != other.encoder
        ):
            return
        raise DataError(
            f"{where} holds features of {other}; the prior reads features of {self}. "
            "Give those of the encoder that it was trained on, or train a prior on "
            "these"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureFile:
    """What a feature file holds, checked.

    Attributes:
      names: of the images, relative to their folder, in Unicode's composed form (NFC).
      features: a row a name.
      encoder: its identity: a name, or a hash where jiaa computed the features; "":
        not told.
      view: how the encoder was shown the images, in words.
      widths: how wide each block of features is.
      source: the file, for messages.
    """

    names: tuple[str, ...]
    features: Float[np.ndarray, "image feature"]
    encoder: str = ""
    view: str = ""
    widths: tuple[int, ...] = ()
    source: str = "the features"

    @property
    def spec(self) -> FeatureSpec:
        """Which features these are."""
        return FeatureSpec(self.widths or (self.features.shape[1],), self.encoder)

    @functools.cached_property
    def rows(self) -> dict[str, int]:
        """Name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    def of(self, names: Sequence[str]) -> Float[np.ndarray, "image feature"]:
        """The features of images, in the order of `names`.

        Raises:
          DataError: some are not in the file; names the first of them.
        """
        missing = [name for name in names if name not in self.rows]
        if missing:
            raise DataError(
                f"{self.source} has no features of {len(missing)} of {len(names)} "
                f"images: {some(missing)}. Compute them, or correct the names, which "
                "are relative to the photographs' folder"
            )
        return self.features[[self.rows[name] for name in names]]


def read_features(path: str | os.PathLike[str]) -> FeatureFile:
    """The features of a `.npz` or `.safetensors` file, as float32.

    Raises:
      DataError: naming file, row, value, expectation and remedy: no such file, or a
        truncated one; names or features that are missing, doubled, not UTF-8, not
        finite, of another type or number, or that lead out of the folder.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise DataError(
            f"{path}: expected a file of features ending in {' or '.join(READERS)}, "
            f"found {path.suffix or 'no ending'!r}. {AGAIN}"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file of features; correct the name")
    try:
        found = READERS[path.suffix](path)
    except DataError:
        raise
    except Exception as error:  # parsers raise anything on a broken file
        raise DataError(
            f"{path} is no whole {path.suffix} file ({error}); copy it again. {AGAIN}"
        ) from error
    for part in ("names", "features"):
        if found.get(part) is None:
            has = sorted(name for name, value in found.items() if value is not None)
            raise DataError(
                f"{path} has no {part!r}, only {some(has) or 'nothing'}; expected "
                f"'names' and 'features'. {AGAIN}"
            )
    return _checked(path, **found)


def write_features(
    path: str | os.PathLike[str],
    names: Sequence[str],
    features: Float[np.ndarray, "image feature"],
    *,
    encoder: str = "",
    view: str = "",
    widths: Sequence[int] = (),
) -> Path:
    """Writes a file that `read_features` reads; by its ending `.npz` or `.safetensors`.

    For features that jiaa computed, `serve.encoder.Encoder.described` gives the last
    three:

        album = open_album("photos")
        features = model.encode(album.paths)
        write_features("own.npz", album.names, features, **model.encoder.described())

    Args:
      path: of the file; an old one is replaced.
      names: of the images, relative to their folder.
      features: a row a name.
      encoder: what identifies the encoder, "openai/clip-vit-base-patch32" for example.
      view: how it was shown the images, in words.
      widths: of the blocks of features; they add up. One block by default.

    Raises:
      DataError: what `read_features` would not read.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise DataError(
            f"{path}: expected a name ending in {' or '.join(READERS)}; choose one"
        )
    file = _checked(path, names, features, encoder, view, widths)
    text = {"encoder": file.encoder, "view": file.view}
    lists = {"names": file.names, "widths": file.widths}
    with replacing(path) as partial:
        if path.suffix == ".npz":
            arrays: dict[str, Any] = {"features": file.features, **lists, **text}
            with partial.open("wb") as opened:
                np.savez(opened, **arrays)
        else:
            text |= {name: json.dumps(values) for name, values in lists.items()}
            save_file({"features": np.ascontiguousarray(file.features)}, partial, text)
    return path


def _read_npz(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with path.open("rb") as opened:
        arrays = np.load(opened, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        for name in ("names", "features", "encoder", "view", "widths"):
            found[name] = _array(path, arrays, name)
    for name in ("encoder", "view"):
        found[name] = "" if found[name] is None else _text(found[name])
    return found


def _array(path: Path, arrays: Any, name: str) -> np.ndarray | None:
    try:
        return arrays[name] if name in arrays.files else None
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {name!r} is an array of Python objects, which only a pickle can "
            "hold, and no pickle is read. Expected text or numbers: "
            "numpy.asarray(names, dtype=str), features.astype('float32')"
        ) from error


def _text(array: np.ndarray) -> Any:
    """The text of an array without axes; the array itself where it is none."""
    return array.item() if array.ndim == 0 and array.dtype.kind in "US" else array


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, "numpy") as file:
        told = file.metadata() or {}
        features = None
        if "features" in file.keys():
            features = file.get_tensor("features")
    found = {"features": features, **{name: told.get(name, "") for name in TEXTS}}
    for name in ("names", "widths"):
        try:
            found[name] = json.loads(told[name]) if name in told else None
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}: {name!r} in the metadata is no JSON ({error}); expected a "
                f"list, as json.dumps({name}) gives it. {AGAIN}"
            ) from error
    return found


TEXTS = ("encoder", "view")
READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}


def _checked(
    path: Path,
    names: Any,
    features: Any,
    encoder: Any = "",
    view: Any = "",
    widths: Any = None,
) -> FeatureFile:
    """The file's content, if nothing is wrong with it."""
    array = _checked_array(path, np.asarray(features))
    listed = _listed(path, names)
    if len(listed) != len(array):
        raise DataError(
            f"{path}: {len(listed)} names for {len(array)} rows of features; expected "
            f"one name a row. {AGAIN}"
        )
    for what, value in (("encoder", encoder), ("view", view)):
        if not isinstance(value, str):
            raise DataError(f"{path}: {what!r} is {value!r}; expected text. {AGAIN}")
    findings = Findings(path, unit="row")
    plain = _plain_names(listed, findings)
    single = _finite(array, plain, findings)
    findings.raise_if_any()
    wide = _widths(path, widths, array.shape[1])
    return FeatureFile(plain, single, encoder, view, wide, str(path))


def _checked_array(path: Path, array: np.ndarray) -> np.ndarray:
    # NumPy's own test does not know bfloat16.
    is_float = jnp.issubdtype(array.dtype, jnp.floating)
    if array.ndim != 2 or 0 in array.shape or not is_float:
        raise DataError(
            f"{path}: 'features' is {array.dtype} of shape {array.shape}; expected "
            "floats of shape (images, width). Convert them: features.reshape(images, "
            "-1).astype('float32')"
        )
    return array


def _listed(path: Path, names: Any) -> list[Any]:
    """The names as they stand, one a row."""
    if isinstance(names, np.ndarray):
        if names.ndim == 1 and names.dtype.kind in "US":
            return names.tolist()
        found = f"{names.dtype} of shape {names.shape}"
    elif isinstance(names, Iterable) and not isinstance(names, str | bytes | dict):
        return list(names)
    else:
        found = repr(names)[:80]
    raise DataError(
        f"{path}: 'names' is {found}; expected a list of texts, one an image. {AGAIN}"
    )


def _plain_names(names: Sequence[Any], findings: Findings) -> tuple[str, ...]:
    plain: list[str] = []
    first: dict[str, int] = {}
    for row, given in enumerate(names):
        name, problem = _plain_name(given)
        before = first.setdefault(name, row)
        if problem is None and before != row:
            problem = f"image {name!r} stands in row {before} already; keep one row"
        if problem is not None:
            findings.add(row, problem)
        plain.append(name)
    return tuple(plain)


def _plain_name(given: Any) -> tuple[str, str | None]:
    """A name in its normal form, and what is wrong with it."""
    try:
        text = given.decode() if isinstance(given, bytes) else given
        if not isinstance(text, str):
            return repr(given), f"the name is {given!r}; expected text"
        text.encode()
    except UnicodeError:
        return ascii(given), (
            f"the name {given!a} is not UTF-8; rename the file, and give the new name"
        )
    return check_image_name(unicodedata.normalize("NFC", text))


def _finite(
    array: np.ndarray, names: Sequence[str], findings: Findings
) -> Float[np.ndarray, "image feature"]:
    """The features as float32; rows with others than finite numbers are findings."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.asarray(array, np.float32)
    wrong = ~np.isfinite(single)
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        column = int(wrong[row].argmax())
        findings.add(
            row,
            f"feature {column} of {names[row]!r} is {array[row, column]}; expected a "
            "finite number that float32 holds. Compute the row again, or leave it out",
        )
    return single


def _widths(path: Path, widths: Any, width: int) -> tuple[int, ...]:
    given = np.asarray([] if widths is None else widths)
    if not given.size:
        return (width,)
    whole = given.ndim == 1 and given.dtype.kind in "iu" and given.min() > 0
    if not whole or given.sum() != width:
        raise DataError(
            f"{path}: 'widths' is {given.tolist()!r}; expected whole numbers from 1 "
            f"that add up to {width}, the features' width. Correct it, or leave it out"
        )
    return tuple(given.tolist())
