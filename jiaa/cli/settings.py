"""Configs outside of absl: that of a finished run, and path=value settings.

For commands that need several configs at once, which flags named `--config` can't give.
"""

import ast
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jiaa.cli.options import Config, ConfigError, expected
from jiaa.train.workdir import CONFIG, read_record

# Files may move, and the work be shared out otherwise: nothing that is learned changes.
FREE = {
    "data": (
        "root",
        "cache_dir",
        "features",
        "image_folder",
        "test_workers",
        "progress",
        "images",
        "decode_workers",
        "workers",
    ),
    "model": ("weights",),
    "trunk": ("beside.weights",),  # of each encoder
    "second": ("root", "cache_dir", "stream"),
}


def finished_file(workdir: str | os.PathLike[str], name: str) -> Path:
    """The path of a file that a run leaves in its workdir.

    Raises:
      FileNotFoundError: it is not there; says how far the run has come.
    """
    workdir = Path(workdir)
    path = workdir / name
    if path.is_file():
        return path
    if (workdir / CONFIG).is_file():
        found = "no training has finished in this workdir"
        remedy = "Run scripts/train.py with the same --config and --workdir first."
    else:
        found = f"{workdir} is no workdir of a run"
        remedy = "Name the folder that was scripts/train.py's --workdir."
    raise FileNotFoundError(f"{path} does not exist: {found}. {remedy}")


def recorded_config(workdir: str | os.PathLike[str]) -> ConfigDict:
    """The config that a run was trained with, command-line settings included.

    Raises:
      FileNotFoundError: the folder holds no run.
      WorkdirError: its record is damaged.
    """
    path = finished_file(workdir, CONFIG)
    return ConfigDict(hashable(read_record(path)["config"]))


def differences(one: Config, other: Config, *, sections: Collection[str]) -> list[str]:
    """What two configs choose otherwise in these sections, a phrase each.

    Where files lie, and how the work is shared out, does not count (`FREE`). A field
    that one of them lacks, and the other leaves at None or (), was chosen by neither.
    """
    said = []
    for section in sections:
        ours, theirs = (
            _bound(section, dict(x.get(section) or {})) for x in (one, other)
        )
        for name in sorted(ours.keys() | theirs.keys()):
            pair = ours.get(name), theirs.get(name)
            if pair[0] != pair[1] and any(x not in (None, ()) for x in pair):
                said.append(f"{section}.{name} is {pair[0]!r} there, {pair[1]!r} here")
    return said


def _bound(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a section without those that are `FREE`."""
    kept = hashable(values)
    for path in FREE.get(section, ()):
        field, _, name = path.partition(".")
        if not name:
            kept.pop(field, None)
        elif field in kept:
            kept[field] = tuple(
                {k: x for k, x in entry.items() if k != name} for entry in kept[field]
            )
    return kept


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
            raise ConfigError(f"{setting!r} sets nothing; expected path=value")
        *sections, name = path.split(".")
        section: Any = config
        for step in sections:
            section = section.get(step) if isinstance(section, ConfigDict) else None
        if not isinstance(section, ConfigDict):
            raise ConfigError(f"the config has no section {'.'.join(sections)!r}")
        if name not in section and not _is_open(sections):
            known = expected(name, sorted(section.keys()))
            raise ConfigError(f"the config has no {path!r}; {known}")
        old = section.get(name)
        try:
            section[name] = _parsed(text, old, setting)
        except TypeError as error:  # a ConfigDict keeps its fields' types
            raise _other_type(setting, old) from error


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
        raise _other_type(setting, old)
    return value


def _other_type(setting: str, old: Any) -> ConfigError:
    return ConfigError(f"{setting!r}: expected a value such as {old!r}")


def _is_open(sections: Sequence[str]) -> bool:
    """Whether a section's names are a constructor's options, which it checks itself."""
    return bool(sections) and (sections == ["data"] or sections[-1].endswith("options"))


def hashable(value: Any) -> Any:
    """JSON's lists as tuples, as configs are written: they become static under jit."""
    if isinstance(value, ConfigDict | dict):
        return {name: hashable(x) for name, x in value.items()}
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value
