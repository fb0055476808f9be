"""The process that measures: one part after another, as the parent asks for them.

A job is a line of JSON on standard input, and one on standard output answers it. What
libraries print goes to standard error, which the parent keeps in a file.
"""

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from scripts._gpu import standins
from scripts._gpu.lines import Lines

MARGIN = 0.9  # of the limit: when a part that still runs says where it is


def main() -> None:
    """Answers jobs until standard input ends."""
    _end_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    standins.install()
    for text in sys.stdin:
        print(json.dumps(do(json.loads(text))), file=answers, flush=True)


def _end_with_parent() -> None:
    """Linux: the kernel kills this process when its parent is gone, hanging or not."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def do(job: dict[str, Any]) -> tuple[str, str]:
    """("finished", "") after a part, or ("error", why): its traceback is in the log."""
    lines = Lines(Path(job["path"]), common=job["common"])
    ends = time.monotonic() + job["limit_s"]
    with _says_where_it_is(MARGIN * job["limit_s"]):
        try:
            module, _, function = job["function"].partition(":")
            part = getattr(importlib.import_module(module), function)
            part(lines, job, ends)
        except Exception as error:
            traceback.print_exc()
            return "error", brief(error)
    return "finished", ""


@contextlib.contextmanager
def _says_where_it_is(seconds: float):
    """Every thread's traceback goes to the log if this takes longer."""
    try:
        faulthandler.dump_traceback_later(seconds, file=sys.stderr)
    except (AttributeError, OSError, ValueError):  # no file behind it: in a test
        yield
        return
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def brief(error: BaseException) -> str:
    """An error's kind and the first line of its text."""
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0]}"[:300].rstrip(": ")


if __name__ == "__main__":
    main()
