"""Personalized image aesthetics assessment by meta-learning over users, in JAX.

Stages are subpackages and load on first use, so that importing one imports nothing to
its right in the order `types <- data <- models <- losses, metrics <- train <- meta <-
personalize <- evaluate <- report <- serve <- cli`.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
STAGES = (
    "types",
    "data",
    "models",
    "losses",
    "metrics",
    "train",
    "meta",
    "personalize",
    "evaluate",
    "report",
    "serve",
    "cli",
)
__all__ = ["STAGES", "__version__"]


def __getattr__(name: str) -> ModuleType:
    if name in STAGES:
        return importlib.import_module(f"jiaa.{name}")
    raise AttributeError(f"module 'jiaa' has no attribute {name!r}; stages: {STAGES}")


def __dir__() -> list[str]:
    return sorted({*globals(), *STAGES})
