"""A person's taste as a small file: what their ratings changed in a prior, no more.

A `.safetensors` file, which holds arrays and text and nothing executable. Each array
must have the name, type and shape that the prior's method gives it and hold finite
numbers: a taste file from elsewhere can be wrong, and can do nothing else.
"""

import dataclasses
import json
import math
import os
import shlex
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jiaa.data.store import replacing
from jiaa.serve.model import Model, Scale

FORMAT = "jiaa taste 1"
HEADER_LIMIT = 1 << 20  # bytes of names and text; a taste has a few hundred
ROOM_LIMIT = 1 << 15  # ratings of one person
# Of an optimizer, to go on from; all ratings are learned again instead.
LEFT_OUT = ("moments",)
DEFAULT_METHOD = "blend"  # of `jiaa personalize`


@dataclasses.dataclass(frozen=True)
class Info:
    """What a taste file tells about itself.

    Attributes:
      prior: `Model.identity` of the prior that it was learned on.
      method: word of `config.adapt.kind`.
      whole: whether the whole network may adapt.
      scale: (low, high) stars of the person's ratings.
      ratings: how many were learned from.
      room: `Model.room`.
      learned_from: the ratings' file, the photographs' folder and, where the file has
        several people, the person, as they were given; (): not told. An export's taste
        does not tell.
    """

    prior: str
    method: str
    whole: bool
    scale: Scale
    ratings: int
    room: int
    learned_from: tuple[str, ...] = ()


def save(
    path: str | os.PathLike[str], model: Model, *, learned_from: Sequence[str] = ()
) -> Path:
    """Writes the taste of an adapted model; what equals the prior's is left out.

    Args:
      path: of the file.
      model: adapted to a person.
      learned_from: `Info.learned_from`.

    Raises:
      ValueError: the model is adapted to nobody.
    """
    if model.adapted is None:
        raise ValueError("this model is nobody's yet; call adapt(photos, stars) first")
    start = _named(model.start(model.room))
    arrays = {
        name: np.asarray(leaf, order="C")
        for name, leaf in _named(model.adapted).items()
        if name not in start or not np.array_equal(leaf, start[name])
    }
    info = Info(
        prior=model.identity,
        method=model.record["adapt"],
        whole=not model.encoder.width,
        scale=model.scale,
        ratings=model.ratings,
        room=model.room,
        learned_from=tuple(learned_from),
    )
    text = {"format": FORMAT, "taste": json.dumps(dataclasses.asdict(info))}
    path = Path(path)
    with replacing(path) as partial:
        save_file(arrays, partial, metadata=text)
    return path


def read_info(path: str | os.PathLike[str]) -> Info:
    """What a taste file tells; its arrays are not read.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no taste file.
    """
    path = Path(path)
    _check_header(path)
    try:
        with safe_open(path, "numpy") as file:
            text = file.metadata() or {}
    except SafetensorError as error:
        raise _refused(path, f"it is no whole safetensors file ({error})") from error
    if text.get("format") != FORMAT:
        raise _refused(path, f"its format is {text.get('format')!r}, not {FORMAT!r}")
    try:
        return _info(json.loads(text["taste"]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _refused(path, f"its description is damaged ({error})") from error


def load(path: str | os.PathLike[str], model: Model) -> Model:
    """`model` with the taste of a file, and its scale.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no taste file, was learned on another prior or by another
        method, or holds what this method has not.
    """
    path, info = Path(path), read_info(path)
    if info.prior != model.identity:
        raise _refused(
            path,
            f"it was learned on another prior ({info.prior}; this is {model.identity})",
            info,
        )
    if info.method != model.record["adapt"]:
        raise _refused(
            path, f"it was learned by {info.method!r}, not {model.record['adapt']!r}"
        )
    shapes = model.adapted_shapes(info.room)
    expected = _shapes(shapes)
    sizes = (math.prod(x.shape) * x.dtype.itemsize for x in expected.values())
    limit = sum(sizes) + HEADER_LIMIT
    if path.stat().st_size > limit:
        raise _refused(path, f"{path.stat().st_size} bytes, more than all that adapts")
    found = {}
    with safe_open(path, "numpy") as file:
        for name in file.keys():
            found[name] = file.get_tensor(name)
    for name, array in found.items():
        _check_array(path, name, array, expected)
    return model.replace(
        adapted=_filled(path, shapes, found, model.start(info.room)),
        ratings=info.ratings,
        room=info.room,
        scale=info.scale,
    )


def _filled(path: Path, shapes: PyTree, found: dict, start: PyTree) -> PyTree:
    """The adapted state of these shapes: what the file has, else that of nobody."""
    prior = {
        _name(key): leaf for key, leaf in jax.tree_util.tree_leaves_with_path(start)
    }
    flat, structure = jax.tree_util.tree_flatten_with_path(shapes)
    leaves = []
    for key, shape in flat:
        name = _name(key)
        leaf = found.get(name, prior.get(name))
        if leaf is None or np.shape(leaf) != shape.shape:
            raise _refused(path, f"{name!r} is missing")
        leaves.append(leaf)
    return jax.tree.unflatten(structure, leaves)


def _check_header(path: Path) -> None:
    """Refuses a header that would fill the memory."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist, or is no file; expected a taste file, which `jiaa "
            "personalize` writes"
        )
    with path.open("rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 0 < length <= HEADER_LIMIT:
        raise _refused(path, f"its header has {length} bytes")


def _info(found: dict[str, Any]) -> Info:
    low, high = (float(end) for end in found["scale"])
    if not 0 <= low < high < float("inf"):
        raise ValueError(f"scale {found['scale']}")
    ratings, room = int(found["ratings"]), int(found["room"])
    if not 0 < ratings <= room <= ROOM_LIMIT:
        raise ValueError(f"{ratings} ratings in {room} rows")
    return Info(
        prior=str(found["prior"]),
        method=str(found["method"]),
        whole=bool(found["whole"]),
        scale=(low, high),
        ratings=ratings,
        room=room,
        learned_from=tuple(str(x) for x in found.get("learned_from", ())),
    )


def _check_array(path: Path, name: str, array: np.ndarray, expected: dict) -> None:
    if name not in expected:
        raise _refused(path, f"it holds {name!r}, which this method does not adapt")
    wanted = expected[name]
    if array.shape != wanted.shape or array.dtype != wanted.dtype:
        raise _refused(
            path,
            f"{name!r} is {array.dtype} of shape {array.shape}, not {wanted.dtype} of "
            f"shape {wanted.shape}",
        )
    if not np.isfinite(array).all():
        raise _refused(path, f"{name!r} holds numbers that are not finite")


def _named(adapted: PyTree) -> dict[str, np.ndarray]:
    """What is kept of an adapted state, by name."""
    return {name: np.asarray(leaf) for name, leaf in _shapes(adapted).items()}


def _shapes(adapted: PyTree) -> dict[str, Any]:
    """The leaves that are kept, by name; arrays or shapes."""
    flat = jax.tree_util.tree_leaves_with_path(adapted)
    named = {_name(path): leaf for path, leaf in flat}
    return {k: v for k, v in named.items() if k.split("/")[0] not in LEFT_OUT}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _refused(path: Path, why: str, info: Info | None = None) -> ValueError:
    again = "jiaa personalize"
    if info is not None and len(info.learned_from) in (2, 3):
        flags = ("--ratings", "--photos", "--worker")[: len(info.learned_from)]
        pairs = zip(flags, info.learned_from, strict=True)
        words = [word for pair in pairs for word in pair]
        words += ["--scale", *(f"{end:g}" for end in info.scale), "-o", str(path)]
        if info.method != DEFAULT_METHOD:
            words += ["--method", info.method]
        again = f"{again} {shlex.join(words)}"
    return ValueError(
        f"{path} is not a taste of this prior: {why}. Learn it again from the ratings, "
        f"with the --prior of today: {again}"
    )
