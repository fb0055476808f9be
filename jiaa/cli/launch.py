"""Runs a function of (config, workdir) from the command line, with short errors."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from jiaa.data import DataError, ImageError
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


def launch(function: Callable[..., Any]) -> None:
    """Runs `function(config, workdir)` on the flags of these names, prints its result.

    Configs import each other from the repository's root, which is put on the path.
    """
    sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[2]))
    config = config_flags.DEFINE_config_file("config", None, "The experiment.")
    workdir = flags.DEFINE_string("workdir", None, "Where the run lives.")
    flags.mark_flags_as_required(["config", "workdir"])

    def main(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {argv[1:]}")
        logging.set_verbosity(logging.WARNING)
        try:
            result = function(config.value, workdir.value)
        except EXPECTED as error:
            if os.environ.get("JIAA_TRACEBACK"):
                raise
            sys.exit(f"{type(error).__name__}: {error}")
        print(result)

    try:
        app.run(main)
    except (AttributeError, KeyError, OSError) as error:
        # From absl, while it reads the flags: a field or a file that is not there.
        if os.environ.get("JIAA_TRACEBACK"):
            raise
        sys.exit(f"--config: {str(error).strip()}; configs/common.py lists all fields")
