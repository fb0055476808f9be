"""Prepares a dataset: raw files to ArrayRecord, photographs made small once.

python scripts/prepare_data.py --dataset flickr_aes --manual_dir RAW --data_dir DATA

A killed run goes on where it stopped when it is started again. `--check` validates the
raw files without building; every wrong row is listed by file and line. With
`--dataset synthetic --format flickr_aes --manual_dir RAW` the synthetic world is
written to RAW in that dataset's raw format.
"""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jiaa.data.builders import BUILDERS, builder_class
from jiaa.data.table import SHOWN, DataError

# Flags that only one kind of command reads.
SYNTHETIC = ("format", "images", "image_size")
RAW = ("max_missing", "image_folder", "test_workers")
BUILDING = ("data_dir", "short_side", "workers")


def whole(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least`."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            message = f"{text!r}; expected a whole number from {least}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return number


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Without --max_missing, a dataset's own tolerance holds.",
    )
    add = parser.add_argument
    add("--dataset", required=True, choices=[*BUILDERS, "synthetic"])
    add("--manual_dir", type=Path, required=True, help="folder of the raw files")
    add("--data_dir", type=Path, help="folder of prepared datasets")
    add("--short_side", type=whole(1), help="px of stored photographs (256)")
    add("--max_missing", type=whole(0), help="missing or corrupt ones tolerated")
    add("--workers", type=whole(1), help="processes that decode (default: all cores)")
    add("--check", action="store_true", help="validate the raw files only")
    add("--image_folder", help="where photographs are, below manual_dir")
    add("--test_workers", type=Path, help="flickr_aes: the list, if it is elsewhere")
    add("--seed", type=whole(0), help="draws splits without lists; the synthetic world")
    add("--format", choices=BUILDERS, help="raw format that synthetic is written in")
    add(
        "--images",
        type=whole(1),
        help="about how many synthetic draws (flickr_aes: to train on)",
    )
    add("--image_size", type=whole(1), help="px of synthetic photographs (64)")
    flags = parser.parse_args(arguments)
    if (flags.dataset == "synthetic") != (flags.format is not None):
        parser.error("--format says how --dataset synthetic is written; give both")
    if not flags.data_dir and not flags.check and flags.dataset != "synthetic":
        parser.error("where to? Give --data_dir, or --check to validate only")
    for name, beside in _idle(flags):
        value = getattr(flags, name)
        if value is not None and value is not False:  # 0 has been given
            parser.error(f"--{name} does nothing with {beside}; leave it out")
    return flags


def _idle(flags: argparse.Namespace) -> list[tuple[str, str]]:
    """The flags that this command does not read, and beside which other flag."""
    idle = [*RAW, *BUILDING, "check"]
    if flags.dataset != "synthetic":
        takes = inspect.signature(builder_class(flags.dataset).read_raw).parameters
        idle = [*SYNTHETIC, *(name for name in (*RAW, "seed") if name not in takes)]
    found = [(name, f"--dataset {flags.dataset}") for name in idle]
    return found + [(name, "--check") for name in BUILDING if flags.check]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 1 if the data is wrong."""
    flags = parse(arguments)
    try:
        print(run(flags))
    except DataError as error:
        if len(error.faults) > SHOWN:  # the message has the first of them only
            print("\n".join(error.faults), end="\n\n", file=sys.stderr)
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        from jiaa.cli.launch import in_words  # JAX and more: only when needed

        print(
            f"{flags.data_dir or flags.manual_dir}: {in_words(error)}", file=sys.stderr
        )
        return 1
    return 0


def run(flags: argparse.Namespace) -> str:
    """What is printed at the end."""
    if flags.dataset == "synthetic":
        return write_synthetic(flags)
    from jiaa.data.builders import prepare  # TFDS: workers import this file

    options = chosen(flags, *RAW, "seed")
    if flags.check:
        counts = prepare.check(flags.dataset, flags.manual_dir, **options)
        return prepare.table(counts)
    options |= chosen(flags, "short_side", "workers")
    counts = prepare.prepare(flags.dataset, flags.manual_dir, flags.data_dir, **options)
    return prepare.table(counts)


def write_synthetic(flags: argparse.Namespace) -> str:
    """Draws the world and writes its raw files, but never over others.

    Raises:
      DataError: the folder is not empty, or the sizes are too small.
    """
    from jiaa.data.synthetic import formats

    folder = flags.manual_dir
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: not empty; expected a new folder to write to")
    options = {"image_size": 64, "seed": 0}
    options |= chosen(flags, "images", "image_size", "seed")
    try:
        root = formats.FORMATS[flags.format](folder, **options)
    except ValueError as error:
        raise DataError(f"--images={flags.images}: {error}") from error
    return f"wrote synthetic data in the raw format of {flags.format} to {root}"


def chosen(flags: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The flags of these names that were given."""
    return {x: getattr(flags, x) for x in names if getattr(flags, x) is not None}


if __name__ == "__main__":
    sys.exit(main())
