"""Personalized image aesthetics assessment by meta-learning over users, in JAX.

Stages are subpackages and load on first use, so that importing one imports nothing to
its right in the order `types <- data <- models <- losses, metrics <- train <- meta <-
personalize <- evaluate <- report <- serve <- cli`.
"""

import importlib
from typing import Any

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
# Functions for notebooks, and where they live.
SHORTCUTS = {"load": "jiaa.cli.models", "export": "jiaa.serve.export"}
__all__ = ["SHORTCUTS", "STAGES", "__version__", "export", "load"]


def __getattr__(name: str) -> Any:
    if name in STAGES:
        return importlib.import_module(f"jiaa.{name}")
    if name in SHORTCUTS:
        return getattr(importlib.import_module(SHORTCUTS[name]), name)
    known = (*SHORTCUTS, *STAGES)
    raise AttributeError(f"module 'jiaa' has no attribute {name!r}; known: {known}")


def __dir__() -> list[str]:
    return sorted({*globals(), *SHORTCUTS, *STAGES})
