"""The `jiaa` command, and experiments from their configs.

jiaa train    --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg
jiaa evaluate --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg
"""

import sys

COMMANDS = ("train", "evaluate")


def main() -> None:
    """Runs the command that the first argument names; the rest are its flags."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(__doc__)
        return
    if name not in COMMANDS:
        sys.exit(f"jiaa: unknown command {name!r}; known: {', '.join(COMMANDS)}")
    # Imported here: `jiaa --help` should not wait for JAX.
    from jiaa.cli import run
    from jiaa.cli.launch import launch

    del sys.argv[1]
    launch(getattr(run, name))
