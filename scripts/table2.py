"""Runs the slides' Table II: AlexNet, ResNet18, Inception-v3 x BA/BLG x 10/100 ratings.

python scripts/table2.py --dataset synthetic --runs runs/table2
python scripts/table2.py --dataset flickr_aes --root FOLDER --weights FOLDER \
    --runs runs/table2_flickr_aes

Trains and measures the six experiments, each in RUNS/METHOD_BACKBONE; what is finished
is skipped, what was killed goes on. Then prints the table beside the published one and
writes it to RUNS/table2.md. On flickr_aes these are the configs of that name; on the
synthetic world, small relatives of theirs for a CPU, from random weights.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Configs are imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ml_collections import ConfigDict

from jiaa.cli import build, run
from jiaa.cli.launch import EXPECTED
from jiaa.cli.settings import assign
from jiaa.report import Run, published, read_run, tables
from jiaa.report.runs import dataset_label, is_synthetic
from jiaa.report.write import METHOD_NOTE, SYNTHETIC_NOTE
from jiaa.train.workdir import Workdir

BACKBONES = ("alexnet", "resnet18", "inception_v3")
METHODS = ("ba_piaa", "blg_piaa")  # in this order: BLG may start from BA's network
DATASETS = ("flickr_aes", "synthetic")

OUTLINE = """\
# Table II: backbones on {label}

{note}{method}

{table}

Left: measured here. Right: the slides' numbers, on FLICKR-AES' 37 test users.{seconds}
"""


def experiment(flags: argparse.Namespace, method: str, backbone: str) -> ConfigDict:
    """The config of one cell's run.

    Raises:
      ValueError: a setting that the config does not take.
    """
    if flags.dataset == "synthetic":
        module = importlib.import_module(f"configs.{method}.synthetic_table2")
        config = module.get_config(backbone)
        if method == "blg_piaa":
            config.prior = str(flags.runs / f"ba_piaa_{backbone}")
    else:
        name = f"configs.{method}.{flags.dataset}_{backbone}"
        config = importlib.import_module(name).get_config()
    config.data.root = flags.root
    if flags.weights not in ("", "none"):
        config.model.weights = str(weights_file(Path(flags.weights), backbone))
    assign(config, settings_of(flags.set, method, backbone))
    if method == "ba_piaa" and config.meta.steps:
        raise ValueError(
            f"meta.steps={config.meta.steps} for ba_piaa, which has no meta-training; "
            f"set it for the other alone: --set blg_piaa:meta.steps={config.meta.steps}"
        )
    return config


def settings_of(settings: Sequence[str], method: str, backbone: str) -> list[str]:
    """The settings without a prefix, or with this method's or backbone's."""
    chosen = []
    for setting in settings:
        prefix, colon, rest = setting.partition(":")
        if not colon or "=" in prefix:
            chosen.append(setting)
        elif prefix not in (*METHODS, *BACKBONES):
            known = ", ".join((*METHODS, *BACKBONES))
            raise ValueError(f"{setting!r}: {prefix!r} is none of {known}")
        elif prefix in (method, backbone):
            chosen.append(rest)
    return chosen


def weights_file(folder: Path, backbone: str) -> Path:
    """The one file of `folder` whose name begins with the backbone's, as torchvision's.

    Raises:
      ValueError: there is none, or more than one.
    """
    suffixes = (".pth", ".pt", ".safetensors")
    files = sorted(folder.glob(f"{backbone}*"))
    found = [path for path in files if path.suffix in suffixes]
    if len(found) != 1:
        names = [path.name for path in found]
        raise ValueError(
            f"{folder} holds {names or 'nothing'} for {backbone}; expected one file "
            f"{backbone}*.pth or .safetensors. Add torchvision's file, or remove some."
        )
    return found[0]


def finish(config: ConfigDict, workdir: Path) -> Run:
    """Trains and measures one experiment, unless its workdir has both.

    Raises:
      WorkdirError: the workdir is that of another config.
    """
    if (workdir / "summary.json").is_file():
        with Workdir(workdir, config=build.plain(config)):
            print(f"[table2] {workdir}: finished before")
        return read_run(workdir)
    seconds = []
    for stage in (run.train, run.evaluate):
        start = time.perf_counter()
        stage(config, workdir)
        seconds.append(time.perf_counter() - start)
    took = f"trained in {seconds[0]:.0f} s, measured in {seconds[1]:.0f} s"
    print(f"[table2] {workdir}: {took}", flush=True)
    return read_run(workdir)


def write_table(runs: dict[tuple[str, str], Run], path: Path) -> str:
    """Writes the page to `path`; returns the table alone."""
    dataset = next(iter(runs.values())).dataset
    table = tables.backbone_table(runs)
    times = [
        f"{published.BACKBONE_LABELS[backbone]} {run.label} {run.seconds:.0f} s"
        for (backbone, _), run in runs.items()
    ]
    path.write_text(
        OUTLINE.format(
            label=dataset_label(dataset),
            note=f"{SYNTHETIC_NOTE}\n\n" if is_synthetic(dataset) else "",
            method=METHOD_NOTE,
            table=table,
            seconds=f" Wall time of the evaluations: {', '.join(times)}.",
        ),
        encoding="utf-8",
    )
    return table


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="folder of workdirs")
    parser.add_argument("--root", default="", help="the dataset's folder")
    parser.add_argument(
        "--weights",
        default="",
        help="folder of torchvision's ImageNet weights, one file a backbone; 'none': "
        "start at random. Needed for flickr_aes",
    )
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[NAME:]PATH=VALUE",
        help="a setting of all configs, such as evaluate.repeats=10, or of those of a "
        "method or backbone NAME, such as blg_piaa:meta.steps=500; may be repeated",
    )
    flags = parser.parse_args(arguments)
    if flags.dataset == "flickr_aes" and not flags.weights:
        parser.error(
            "flickr_aes starts from ImageNet's weights: pass --weights FOLDER, or "
            "--weights none to start at random"
        )
    return flags


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, then prints the table."""
    flags = parse(arguments)
    runs = {}
    for backbone in flags.backbones:
        for method in METHODS:
            workdir = flags.runs / f"{method}_{backbone}"
            config = experiment(flags, method, backbone)
            runs[backbone, method] = finish(config, workdir)
    path = flags.runs / "table2.md"
    print(f"\n{write_table(runs, path)}\n\nTable: {path}")


if __name__ == "__main__":
    try:
        main()
    except EXPECTED as error:
        sys.exit(f"{type(error).__name__}: {error}")
