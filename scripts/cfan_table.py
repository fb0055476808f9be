"""All methods of a collaborative config on several seeds, and their report.

python scripts/cfan_table.py --config oasis --root FOLDER --weights FILE.safetensors
python scripts/cfan_table.py --config synthetic_reviews --leak

Trains and measures what is not there yet. A seed draws the held-out pairs and the
initial weights; the world is the same. MTRLCNN learns from no user's rating and takes
longest: it runs on the first seed alone, and its trunk serves all others of a synthetic
world. With --leak, networks that read reviews are trained a second time with the
attention of the pair's own review.
"""

import argparse
import importlib
from pathlib import Path

from jiaa.cli import run
from jiaa.report import collaborative as report


def prepared(flags: argparse.Namespace, method: str, seed: int, *, own: bool):
    """The config of one run, and its workdir."""
    module = importlib.import_module(f"configs.cfan.{flags.config}")
    config = module.get_config(method)
    config.seed = seed
    if flags.root:
        config.data.root = flags.root
    config.data.cache_dir = flags.cache
    config.trunk.weights = flags.weights
    first = flags.runs / f"mtrlcnn_{flags.seeds[0]}"
    if len(config.world) and method != "mtrlcnn" and not flags.weights:
        config.trunk.run = str(first)
    if own:
        config.objective.attends_to = "own"
    name = f"{method}{'_own' if own else ''}_{seed}"
    return config, flags.runs / name


def measured(flags: argparse.Namespace, method: str, seed: int, *, own: bool) -> Path:
    """The workdir of one run, trained and measured."""
    config, workdir = prepared(flags, method, seed, own=own)
    if not (workdir / "summary.json").is_file():
        run.train(config, workdir)
        run.evaluate(config, workdir)
    return workdir


def main() -> None:
    """Writes the report and prints its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="synthetic_reviews", help="in configs/cfan")
    parser.add_argument("--methods", nargs="+", help="default: all of the config")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--leak", action="store_true", help="own reviews as well")
    parser.add_argument("--root", default="", help="the dataset's folder")
    parser.add_argument("--weights", default="", help="of the trunk")
    parser.add_argument("--cache", default="runs/cache")
    parser.add_argument("--runs", type=Path, default=Path("runs/cfan"))
    flags = parser.parse_args()
    module = importlib.import_module(f"configs.cfan.{flags.config}")
    methods = flags.methods or module.VARIANTS
    # MTRLCNN comes first: the others may need its trunk.
    methods = sorted(methods, key=lambda method: method != "mtrlcnn")
    workdirs = []
    for own in (False, True)[: 1 + flags.leak]:
        for method in methods:
            if own and not method.startswith(("cfan", "review")):
                continue
            for seed in flags.seeds[: 1 if method == "mtrlcnn" else None]:
                workdirs.append(measured(flags, method, seed, own=own))
    print(report.write_pairs_report(workdirs, flags.runs))
    print(report.methods_table([report.read_summary(x) for x in workdirs]))


if __name__ == "__main__":
    main()
