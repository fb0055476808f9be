"""Runs scripts one after another, each in a fork of one process that imported jiaa.

python forks.py '[["script.py", "--flag", ...], ...]' prints [[exit code, output], ...]:
importing takes longer than what a wrong command does.
"""

import json
import os
import runpy
import sys
import tempfile

from cli import sketch  # noqa: F401

# The scripts' and the config's imports; no device is touched, so that a fork is safe.
import jiaa.cli.launch
import jiaa.cli.run  # noqa: F401


def run(command):
    """The exit code of one command and all that it said."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
            sys.exit()
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode()


if __name__ == "__main__":
    print(json.dumps([run(command) for command in json.loads(sys.argv[1])]))
