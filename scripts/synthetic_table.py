"""Generic, BA-PIAA and BLG-PIAA on seeds of the synthetic world, and its ceiling.

python scripts/synthetic_table.py --seeds 0 1 2 --runs runs/synthetic

Trains and evaluates what is not there yet. The numbers are synthetic: generated
photographs, generated raters. "Perfect generic" is what a model would reach that knows
the part of taste which all raters share, "ceiling" what each rater's true taste
reaches; both against the rater's own stars, which carry noise.
"""

import argparse
import json
from pathlib import Path

from configs.ba_piaa import synthetic_resnet18 as ba_piaa
from configs.blg_piaa import synthetic_resnet18 as blg_piaa
from jiaa.cli import run
from jiaa.data import synthetic


def measure(seed: int, runs: Path) -> dict[str, dict]:
    """Method -> its summary on one seed of the world."""
    summaries = {}
    for module in (ba_piaa, blg_piaa):
        config = module.get_config()
        config.data.seed = config.seed = seed
        workdir = runs / f"{config.method}_{seed}"
        if config.meta.steps:
            config.prior = str(runs / f"ba_piaa_{seed}")
        if not (workdir / "summary.json").is_file():
            run.train(config, workdir)
            run.evaluate(config, workdir)
        summaries[config.method] = json.loads((workdir / "summary.json").read_text())
    return summaries


def rows(seed: int, runs: Path) -> list[str]:
    """Lines of the table for one seed, a number of ratings each."""
    oracles = synthetic.oracles(synthetic.flickr_aes_view(seed=seed, render=False))
    ends = f"{oracles.mean_perfect_generic:.3f} | {oracles.mean_ceiling:.3f}"
    summaries = measure(seed, runs)
    lines = []
    for ba, blg in zip(
        *(summaries[method]["results"] for method in ("ba_piaa", "blg_piaa")),
        strict=True,
    ):
        if ba["metric"] != "srocc":
            continue
        means = (f"{row['mean']:.3f} ± {row['std']:.3f}" for row in (ba, blg))
        cells = [str(seed), str(ba["shots"]), f"{ba['generic']:.3f}", *means, ends]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/synthetic"))
    flags = parser.parse_args()
    lines = [line for seed in flags.seeds for line in rows(seed, flags.runs)]
    names = ("seed", "ratings", "generic", "BA-PIAA", "BLG-PIAA")
    print(f"| {' | '.join((*names, 'perfect generic', 'ceiling'))} |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
