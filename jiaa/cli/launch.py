"""Runs a function of (config, workdir) from the command line, with short errors."""

import ast
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from jiaa.cli import devices
from jiaa.data import DataError, ImageError
from jiaa.train import processes
from jiaa.train.checkpoint import CheckpointError
from jiaa.train.workdir import WorkdirBusyError, WorkdirError

# What a user can mend: told in one message, without the stack.
EXPECTED = (
    CheckpointError,
    DataError,
    FloatingPointError,
    OSError,
    ImageError,
    ImportError,
    ValueError,
    WorkdirBusyError,
    WorkdirError,
)


DATASET_OPTIONS = "An option NAME of the dataset is set by --config.data.NAME=VALUE."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WholeOrPair(flags.ArgumentParser):
    """A whole number; or a pair of them, which image sizes may be."""

    def parse(self, argument: Any) -> Any:
        """The number or pair of `argument`."""
        if not isinstance(argument, str):
            return argument
        try:
            return int(argument, 0)
        except ValueError:
            value = AnyValue().parse(argument)
        if isinstance(value, tuple) and all(type(x) is int for x in value):
            return value
        raise ValueError(f"{argument!r} is no whole number, such as 8")

    def flag_type(self) -> str:
        """What absl's help calls it."""
        return "int"


class AnyValue(flags.ArgumentParser):
    """A Python literal, or else a string; "None" and nothing leave a field unset."""

    def parse(self, argument: Any) -> Any:
        """The value of `argument`."""
        if not isinstance(argument, str):
            return argument
        text = argument.strip()
        try:
            return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
        except (SyntaxError, ValueError):
            return text or None

    def flag_type(self) -> str:
        """What absl's help calls it."""
        return "value"


def in_words(error: BaseException, *, options: str = DATASET_OPTIONS) -> str:
    """An expected error as a command tells it, with what can be done there.

    `options` says how the command sets what a `DataError` names.
    """
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.errno in FULL:
        said += ". Make room and give the same command: it takes up what is there"
    if isinstance(error, DataError) and options:
        said += f"\n({options})"
    return said


def _call(function: Callable[..., Any], config: Any, workdir: Any) -> None:
    """Joins the other processes, if there are any, and prints what `function` says."""
    logging.set_verbosity(logging.WARNING)
    try:
        devices.connect()
        if not processes.is_first():
            logging.set_verbosity(logging.ERROR)  # they would all say the same
        result = function(config, workdir)
    except EXPECTED as error:
        if os.environ.get("JIAA_TRACEBACK"):
            raise
        sys.exit(in_words(error))
    if processes.is_first():
        print(result)


def launch(function: Callable[..., Any]) -> None:
    """Runs `function(config, workdir)` on the flags of these names, prints its result.

    Configs import each other from the repository's root, which is put on the path.
    """
    sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[2]))
    config_flags.register_flag_parser_for_type(type(None), AnyValue())
    config_flags.register_flag_parser_for_type(int, WholeOrPair())
    config = config_flags.DEFINE_config_file("config", None, "The experiment.")
    workdir = flags.DEFINE_string("workdir", None, "Where the run lives.")
    flags.mark_flags_as_required(["config", "workdir"])
    parsed = False

    def main(argv: list[str]) -> None:
        nonlocal parsed
        getattr(config.value, "method", None)  # of a config that was not loaded: why
        parsed = True
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {argv[1:]}")
        with devices.failing_at_once():
            _call(function, config.value, workdir.value)

    try:
        app.run(main)
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError) as error:
        # From absl, while it reads the flags: a field or a file that is not there.
        if parsed or os.environ.get("JIAA_TRACEBACK"):
            raise
        if isinstance(error, OSError):
            last = str(error).strip().splitlines()[-1]  # it names the file
            sys.exit(f"--config can't be read: {last.strip()}")
        said = str(error).strip().strip("\"'").replace("\\n", " ").replace("\\", "")
        sys.exit(f"--config can't be read: {said}; configs/common.py lists all fields")
