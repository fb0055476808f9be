"""A slow preparation for the tests to kill: RAW DATA_DIR PIDS, as arguments.

What stands at the top runs in the worker processes too: small packs, a pause for each
photograph, and a file that tells each worker's process id.
"""

import os
import sys
import time
from pathlib import Path

from jiaa.data.builders import prepare, shrink

RAW, DATA_DIR, PIDS = map(Path, sys.argv[1:4])
_shrink = shrink.shrink


def slow_shrink(path, *, short_side):
    """`shrink` after a moment."""
    (PIDS / str(os.getpid())).touch()
    time.sleep(0.1)
    return _shrink(path, short_side=short_side)


shrink.PACK = 4
shrink.shrink = slow_shrink

if __name__ == "__main__":
    options = {"workers": 2, "short_side": 8, "progress": False}
    prepare.prepare("real_cur", RAW, DATA_DIR, **options)
