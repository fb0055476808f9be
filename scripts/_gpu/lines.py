"""Figures as lines of JSON, each on the disk before the next one is measured."""

import json
import os
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Lines:
    """The end of a file of lines; every line holds the fields of `common`."""

    def __init__(self, path: Path, *, common: Line):
        """Nothing is written yet."""
        self.path, self.common = path, common

    def write(self, **fields: Any) -> Line:
        """Adds a line, and waits until it is on the disk.

        Raises:
          ValueError: a number is not finite; nothing is written.
        """
        line = {**self.common, **fields}
        text = json.dumps(line, allow_nan=False)
        with self.path.open("ab+") as file:
            # A process that was killed may have left half a line.
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")
            file.write(f"{text}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        return line


def _ends_a_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read(path: Path, *, run: str) -> list[Line]:
    """The lines of one run, without those that a kill cut in half."""
    if not path.is_file():
        return []
    found = []
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if line.get("run") == run:
            found.append(line)
    return found
