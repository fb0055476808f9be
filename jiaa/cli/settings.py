"""Configs outside of absl: that of a finished run, and path=value settings.

For commands that need several configs at once, which flags named `--config` can't give.
"""

import ast
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jiaa.train.workdir import CONFIG


def recorded_config(workdir: str | os.PathLike[str]) -> ConfigDict:
    """The config that a run was trained with, command-line settings included.

    Raises:
      FileNotFoundError: the folder holds no run.
    """
    path = Path(workdir) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: {workdir} is no workdir of a run. Name the folder "
            "that was scripts/train.py's --workdir."
        )
    return ConfigDict(_hashable(json.loads(path.read_text(encoding="utf-8"))["config"]))


def assign(config: ConfigDict, settings: Sequence[str]) -> None:
    """Sets "path=value" in `config`; values are Python literals, or else strings.

    Options of the dataset's loader ("data.seed") and of constructors
    ("model.head_options.hidden") may be new, all other paths must be there.

    Raises:
      ValueError: no "=", a path that the config lacks, or a value of another type.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"{setting!r} sets nothing; expected path=value")
        *sections, name = path.split(".")
        section: Any = config
        for step in sections:
            section = section.get(step) if isinstance(section, ConfigDict) else None
        if not isinstance(section, ConfigDict):
            raise ValueError(f"the config has no section {'.'.join(sections)!r}")
        if name not in section and not _is_open(sections):
            fields = ", ".join(sorted(section.keys()))
            raise ValueError(f"the config has no {path!r}; known there: {fields}")
        section[name] = _parsed(text, section.get(name), setting)


def _parsed(text: str, old: Any, setting: str) -> Any:
    """The value of `text`, of a kind that can stand where `old` stands."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    if isinstance(old, str):
        return value if isinstance(value, str) else text
    fits = True
    if isinstance(old, bool):
        fits = isinstance(value, bool)
    elif isinstance(old, int | float):
        # A pair may replace a number: image sizes are either.
        fits = not isinstance(value, str | bool)
    elif isinstance(old, ConfigDict):
        fits = isinstance(value, dict)
    if not fits:
        raise ValueError(f"{setting!r}: expected a value such as {old!r}")
    return value


def _is_open(sections: Sequence[str]) -> bool:
    """Whether a section's names are a constructor's options, which it checks itself."""
    return bool(sections) and (sections == ["data"] or sections[-1].endswith("options"))


def _hashable(value: Any) -> Any:
    """JSON's lists as tuples, as configs are written: they become static under jit."""
    if isinstance(value, dict):
        return {name: _hashable(x) for name, x in value.items()}
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
