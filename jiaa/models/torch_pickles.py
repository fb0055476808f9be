"""The pickles inside PyTorch's files, interpreted without being able to run anything.

A pickle is a program for a stack machine; Python's own may call whatever a file names.
This machine knows the opcodes that a state dict needs, the names that rebuild tensors,
and nothing else. A tensor comes out as a view of a storage that the file names by a
persistent id; `torch_files` has the numbers.
"""

import io
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

STORAGES: dict[str, np.dtype] = {
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "BoolStorage": np.dtype(np.bool_),
    "ByteStorage": np.dtype(np.uint8),
    "CharStorage": np.dtype(np.int8),
    "ComplexDoubleStorage": np.dtype(np.complex128),
    "ComplexFloatStorage": np.dtype(np.complex64),
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "IntStorage": np.dtype(np.int32),
    "LongStorage": np.dtype(np.int64),
    "ShortStorage": np.dtype(np.int16),
}


class TorchFileError(ValueError):
    """A file that is not read; the message names it, the reason and the remedy."""


class Storage(NamedTuple):
    """A persistent id: `numel` numbers of `dtype` under `key`."""

    dtype: np.dtype
    key: str
    numel: int

    @property
    def nbytes(self) -> int:
        """How many bytes the numbers take."""
        return self.numel * self.dtype.itemsize


class Tensor(NamedTuple):
    """A strided view of a storage; `offset` and `strides` count numbers, not bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]


def _ordered_dict(pairs=()):
    result = {}
    for key, value in pairs:
        _set_item(result, key, value)
    return result


def _rebuild_tensor(storage, offset, size, strides, *options):
    numbers = (offset, *size, *strides)
    if type(storage) is not Storage or not all(type(n) is int for n in numbers):
        raise TypeError("a tensor that is no view of a storage")
    if min(numbers) < 0 or len(size) != len(strides):
        raise ValueError(f"a tensor of offset {offset}, size {size}, strides {strides}")
    return Tensor(storage, offset, tuple(size), tuple(strides))


def _rebuild_parameter(tensor, *options):
    if type(tensor) is not Tensor:
        raise TypeError("a parameter that is no tensor")
    return tensor


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}
ADMITTED: dict[tuple[str, str], Any] = {
    **FUNCTIONS,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}


def _set_item(target, key, value):
    # Nothing nested: the hash of a tuple a million deep would end the process.
    if type(target) is not dict or type(key) not in (str, int, float, bool):
        raise TypeError(f"a key of type {type(key).__name__}, or no dictionary")
    target[key] = value


class Unpickler:
    """Reads one pickle of `file`; `storages` are those that it refers to, by key."""

    def __init__(self, file: io.BytesIO, path: Path):
        """`path` is for messages."""
        self.file, self.path = file, path
        self.storages: dict[str, Storage] = {}
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The pickled object; the file stands behind it.

        Raises:
          TorchFileError: a name or an opcode that is not admitted.
          Exception: of many kinds, from a damaged pickle.
        """
        for opcode, argument, _ in pickletools.genops(self.file):
            if opcode.name in LITERALS:
                self.stack.append(argument)
            elif opcode.name in VALUES:
                self.stack.append(VALUES[opcode.name](self))
            elif opcode.name in ACTIONS:
                ACTIONS[opcode.name](self, argument)
            elif opcode.name not in NO_ACTION:
                raise self._more_than_tensors(f"it has the opcode {opcode.name}")
        return self.stack.pop()

    def take(self, count: int) -> list[Any]:
        """The last `count` of the stack, taken off."""
        start = len(self.stack) - count
        if start < 0:
            raise IndexError("the stack is empty")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def take_from_mark(self) -> list[Any]:
        """What was pushed since the last mark, taken off."""
        return self.take(len(self.stack) - self.marks.pop())

    def push_global(self, module: str, name: str) -> None:
        """What stands for a name, if that is admitted."""
        if (str(module), str(name)) not in ADMITTED:
            raise self._more_than_tensors(f"it names {module}.{name}")
        self.stack.append(ADMITTED[module, name])

    def call(self) -> Any:
        """What an admitted function makes of its arguments."""
        function, arguments = self.take(2)
        if not any(function is known for known in FUNCTIONS.values()):
            raise TypeError("a call of something that is no function")
        return function(*arguments)

    def unadorned(self) -> Any:
        """A dictionary without the attributes that are set on it.

        A state dict has `_metadata`, the versions of its layers.
        """
        target, _ = self.take(2)
        if type(target) is not dict:
            raise TypeError(f"attributes of {type(target).__name__}")
        return target

    def storage(self) -> Storage:
        """The storage that a persistent id names."""
        word, dtype, key, _, numel, *view = self.take(1)[0]
        if word != "storage" or not isinstance(dtype, np.dtype) or any(view):
            raise ValueError("a persistent id that names no storage")
        if type(key) is not str or type(numel) is not int or numel < 0:
            raise ValueError(f"storage {key!r:.40} of {numel!r:.40} numbers")
        storage = Storage(dtype, key, numel)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key} is two things, one of them {storage}")
        return storage

    def append(self, items: list[Any]) -> None:
        """Items for the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise TypeError(f"items for {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Keys and values in turn, for the dictionary on top of the stack."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set_item(self.stack[-1], key, value)

    def remember(self, index: int) -> None:
        """Keeps the top of the stack under that number."""
        self.memo[index] = self.stack[-1]

    def _more_than_tensors(self, reason: str) -> TorchFileError:
        return TorchFileError(
            f"{self.path} holds more than tensors: {reason}, which is not run because "
            "it could be any code. Save it again with "
            "torch.save(model.state_dict(), ...)"
        )


NO_ACTION = frozenset(("PROTO", "FRAME", "STOP"))
# Opcodes whose argument is the value.
LITERALS = frozenset(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING
    SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE""".split()
)
# Opcodes that push a value.
VALUES: dict[str, Callable[[Unpickler], Any]] = {
    "NONE": lambda machine: None,
    "NEWTRUE": lambda machine: True,
    "NEWFALSE": lambda machine: False,
    "EMPTY_TUPLE": lambda machine: (),
    "EMPTY_LIST": lambda machine: [],
    "EMPTY_DICT": lambda machine: {},
    "TUPLE": lambda machine: tuple(machine.take_from_mark()),
    "TUPLE1": lambda machine: tuple(machine.take(1)),
    "TUPLE2": lambda machine: tuple(machine.take(2)),
    "TUPLE3": lambda machine: tuple(machine.take(3)),
    "LIST": Unpickler.take_from_mark,
    "REDUCE": Unpickler.call,
    "BUILD": Unpickler.unadorned,
    "BINPERSID": Unpickler.storage,
}
ACTIONS: dict[str, Callable[[Unpickler, Any], Any]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "GLOBAL": lambda machine, name: machine.push_global(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.push_global(*machine.take(2)),
    "APPEND": lambda machine, _: machine.append(machine.take(1)),
    "APPENDS": lambda machine, _: machine.append(machine.take_from_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.take_from_mark()),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    **dict.fromkeys(
        ("PUT", "BINPUT", "LONG_BINPUT"),
        lambda machine, index: machine.remember(int(index)),
    ),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"),
        lambda machine, index: machine.stack.append(machine.memo[int(index)]),
    ),
}
