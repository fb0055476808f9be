"""Writes report.md and its figures from evaluated workdirs, and prints the table.

python scripts/report.py runs/quickstart/ba_piaa runs/quickstart/blg_piaa --out DIR
"""

import argparse
from pathlib import Path

from jiaa.report import terminal_summary, write_report


def main() -> None:
    """Reports on the workdirs of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workdir", nargs="+", type=Path, help="an evaluated run")
    parser.add_argument("--out", required=True, type=Path, help="folder to write into")
    flags = parser.parse_args()
    try:
        path = write_report(flags.workdir, flags.out)
        print(terminal_summary(flags.workdir, path))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error


if __name__ == "__main__":
    main()
