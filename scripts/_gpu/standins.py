"""Stand-ins for packages that jiaa's modules import and no figure needs.

Pillow reads photographs, safetensors reads weights, tqdm draws bars. A machine that is
lent for an hour has JAX and PyTorch, and often none of these. What is installed is
used; what is not gets a module whose names exist, and whose use is an ImportError. Bars
are not drawn.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

NAMES = ("PIL", "safetensors", "tqdm")


class _Absent(type):
    """Classes that stand where an absent package's would; calling one is an error."""

    def __getattr__(cls, name: str) -> Any:
        return _absent(f"{cls.__qualname__}.{name}", name)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        raise ImportError(
            f"{cls.__qualname__} was used, and its package is not installed. The "
            "benchmark needs none of it: install it, or report this as a fault"
        )


def _absent(where: str, name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(f"{where}: not installed")
    # An exception, so that `except` may name it.
    return _Absent(where, (Exception,), {})


class Bar:
    """`tqdm.tqdm` that draws nothing."""

    def __init__(self, values: Any = (), **options: Any):
        """`values`: to go through; all options are for drawing."""
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        """The values."""
        return iter(self.values)

    def __enter__(self) -> "Bar":
        """The bar itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def update(self, count: int = 1) -> None:
        """Nothing to move."""


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: whoever asks it for one of `NAMES` found no such package."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """A package of stand-ins, or None for any other name."""
        if name.partition(".")[0] not in NAMES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module every name that is asked of it."""
        name = module.__name__
        if name == "tqdm":
            vars(module)["tqdm"] = Bar
        vars(module)["__getattr__"] = lambda attribute: _absent(
            f"{name}.{attribute}", attribute
        )


def install() -> None:
    """From here on absent packages among `NAMES` have stand-ins."""
    if not any(isinstance(finder, StandIns) for finder in sys.meta_path):
        sys.meta_path.append(StandIns())
