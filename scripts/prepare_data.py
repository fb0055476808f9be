"""Prepares a dataset: raw files to ArrayRecord, photographs made small once.

python scripts/prepare_data.py --dataset flickr_aes --manual_dir RAW --data_dir DATA

A killed run goes on where it stopped when it is started again. `--check` validates the
raw files without building; every wrong row is listed by file and line. With
`--dataset synthetic --format flickr_aes --manual_dir RAW` the synthetic world is
written to RAW in that dataset's raw format.
"""

import argparse
import sys
from pathlib import Path

from jiaa.data.builders import BUILDERS, prepare
from jiaa.data.table import SHOWN, DataError


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
    add("--short_side", type=int, default=256, help="px of stored photographs")
    add("--max_missing", type=int, help="missing or corrupt photographs tolerated")
    add("--workers", type=int, help="processes that decode (default: all cores)")
    add("--check", action="store_true", help="validate the raw files only")
    add("--format", choices=BUILDERS, help="raw format that synthetic is written in")
    add("--seed", type=int, default=0, help="of the synthetic world")
    add("--images", type=int, help="about how many photographs synthetic draws")
    add("--image_size", type=int, default=64, help="px of synthetic photographs")
    flags = parser.parse_args(arguments)
    if (flags.dataset == "synthetic") != (flags.format is not None):
        parser.error("--format says how --dataset synthetic is written; give both")
    if not flags.data_dir and not flags.check and flags.dataset != "synthetic":
        parser.error("where to? Give --data_dir, or --check to validate only")
    return flags


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
    return 0


def run(flags: argparse.Namespace) -> str:
    """What is printed at the end."""
    if flags.dataset == "synthetic":
        from jiaa.data.synthetic import formats

        write = formats.FORMATS[flags.format]
        options = {} if flags.images is None else {"images": flags.images}
        root = write(
            flags.manual_dir, seed=flags.seed, image_size=flags.image_size, **options
        )
        return f"wrote synthetic data in the raw format of {flags.format} to {root}"
    options = {} if flags.max_missing is None else {"max_missing": flags.max_missing}
    if flags.check:
        counts = prepare.check(flags.dataset, flags.manual_dir, **options)
        return prepare.table(counts)
    counts = prepare.prepare(
        flags.dataset,
        flags.manual_dir,
        flags.data_dir,
        short_side=flags.short_side,
        workers=flags.workers,
        **options,
    )
    return prepare.table(counts)


if __name__ == "__main__":
    sys.exit(main())
