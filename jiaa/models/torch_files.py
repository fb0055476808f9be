"""PyTorch's weights files without PyTorch: names and arrays, and no code.

`torch.save` writes a pickle, which `torch_pickles` interprets, and the numbers of the
storages that it refers to: as members of a zip archive or, before PyTorch 1.6 and today
on request, behind the pickle in one stream. Nothing is allocated by a size that the
file merely states.
"""

import io
import math
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.models.torch_pickles import Storage, Tensor, TorchFileError, Unpickler

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
ZIP_START = b"PK\x03\x04"

# What reading a damaged file may raise on the way.
DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile),
)


def read_torch(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Names and arrays of a state dict that `torch.save` wrote, in either form.

    A state dict under "state_dict" or "model", as training programs save it, is found;
    the prefix "module." of parallel training is removed. Arrays are read-only views of
    what was read, in the file's dtypes (bfloat16 is that of ml_dtypes).

    Raises:
      FileNotFoundError: there is no such file.
      TorchFileError: the file is damaged, holds anything but tensors and plain values,
        or no state dict.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        if content.startswith(ZIP_START):
            state, storages = _from_zip(content, path)
        else:
            state, storages = _from_stream(content, path)
        for key in ("state_dict", "model"):
            if isinstance(state, dict) and isinstance(state.get(key), dict):
                state = state[key]
        if not isinstance(state, dict) or not all(
            isinstance(value, Tensor) for value in state.values()
        ):
            raise TorchFileError(
                f"{path} is no state dict: save it with "
                "torch.save(model.state_dict(), ...)"
            )
        return {
            str(name).removeprefix("module."): _array(tensor, storages)
            for name, tensor in state.items()
        }
    except TorchFileError:
        raise
    except DAMAGED as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise TorchFileError(
            f"{path} is no complete torch file ({reason:.200}): fetch or copy it again"
        ) from error


def _from_zip(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    """The pickled object, and the bytes of each storage of the archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        packed = any(x.compress_type != zipfile.ZIP_STORED for x in members.values())
        if packed or sum(x.file_size for x in members.values()) > len(content):
            raise ValueError("members compressed, or larger than the file")
        names = [name for name in members if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} members named data.pkl instead of one")
        root = names[0].removesuffix("data.pkl")
        if f"{root}byteorder" in members:
            order = archive.read(f"{root}byteorder")
            _check_byte_order(path, little=order == b"little")
        state, storages = _unpickle(io.BytesIO(archive.read(names[0])), path)
        return state, {key: archive.read(f"{root}data/{key}") for key in storages}


def _from_stream(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    """The pickled object, and the bytes of each storage of the older form.

    Five pickles (magic number, protocol, system, object, keys); then for each key the
    count of numbers, 64 bits, and the numbers.
    """
    file = io.BytesIO(content)
    if [_unpickle(file, path)[0] for _ in range(2)] != [MAGIC, PROTOCOL]:
        raise ValueError("another magic number or protocol version")
    _check_byte_order(path, little=_unpickle(file, path)[0]["little_endian"])
    state, storages = _unpickle(file, path)
    keys, _ = _unpickle(file, path)
    rest, found = memoryview(content)[file.tell() :], {}
    for key in keys:
        (numel,) = struct.unpack_from("<q", rest)
        storage = storages[key]
        if numel != storage.numel or len(rest) < 8 + storage.nbytes:
            raise ValueError(f"{storage} has {numel} numbers, or ends behind the file")
        found[key], rest = rest[8 : 8 + storage.nbytes], rest[8 + storage.nbytes :]
    return state, found


def _check_byte_order(path: Path, *, little: bool) -> None:
    if not little:
        raise TorchFileError(
            f"{path} was written on a big-endian machine: load it there and save it as "
            ".safetensors"
        )


def _unpickle(file: io.BytesIO, path: Path) -> tuple[Any, dict[str, Storage]]:
    """The next pickle of the stream, and the storages that it refers to."""
    unpickler = Unpickler(file, path)
    return unpickler.load(), unpickler.storages


def _array(tensor: Tensor, content: dict[str, Any]) -> np.ndarray:
    """The view that `tensor` describes, read-only."""
    storage, size = tensor.storage, tensor.size
    if len(content[storage.key]) != storage.nbytes:
        raise ValueError(f"{storage} has {len(content[storage.key])} bytes")
    if not math.prod(size):
        return np.empty(size, storage.dtype)
    last = sum((n - 1) * s for n, s in zip(size, tensor.strides, strict=True))
    if tensor.offset + last >= storage.numel:
        raise ValueError(f"{tensor} reaches behind its storage")
    numbers = np.frombuffer(content[storage.key], storage.dtype)[tensor.offset :]
    strides = tuple(storage.dtype.itemsize * stride for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(numbers, size, strides, writeable=False)
