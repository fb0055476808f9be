"""PA_IAA, MT_IAA and the single-task rows on synthetic worlds: one table with spreads.

    python scripts/personality_table.py --out runs/personality --seeds 0 1 2

For each seed: trains and measures the shipped configs of both methods, and PA_IAA's two
tasks alone. Finished runs in `--out` are kept, so a second call goes on. Prints SROCC
on the 37 test users, generic SROCC and EMD against the test images' own ratings, the
traits of held-out users, and the correlation of fitted weights with the generator's:
the mean over seeds, its spread, and each seed's number.
"""

import argparse
import json
import sys
from pathlib import Path

# `configs` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np

from jiaa.data import synthetic

ROWS = {
    "pa_iaa": ("pa_iaa", ("aesthetics", "second")),
    "mt_iaa": ("mt_iaa", ("aesthetics", "second")),
    "aesthetics alone": ("pa_iaa", ("aesthetics",)),
    "traits alone": ("pa_iaa", ("second",)),
}


def config_of(row: str, seed: int):
    """The shipped config of a row, on the world of a seed."""
    import importlib

    method, tasks = ROWS[row]
    module = importlib.import_module(f"configs.{method}.synthetic_resnet18")
    config = module.get_config()
    config.generic.tasks = tasks
    config.data.seed = config.second.seed = seed
    return config


def predicted(workdir: Path, config):
    """(dataset, a run's outputs for its test images, their ids)."""
    from jiaa.cli import build
    from jiaa.cli.multitask.measure import OUTPUTS_FILE

    with np.load(workdir / OUTPUTS_FILE) as found:
        outputs = dict(found)
    return build.dataset(config, progress=False), outputs, outputs.pop("ids")


def generic_users(workdir: Path, config) -> dict[str, float]:
    """SROCC on the test users of a single task's scores, on the other rows' splits."""
    from jiaa import evaluate, metrics
    from jiaa.evaluate.results import summarise
    from jiaa.personalize import RidgeFusion
    from jiaa.personalize.fusion import fusion_prior, output_store

    dataset, outputs, ids = predicted(workdir, config)
    outputs["nothing"] = np.zeros((len(ids), 1), np.float32)
    store = output_store(len(dataset.image_names), outputs, ids, second="nothing")
    section = config.evaluate
    measured = evaluate.personalization(
        RidgeFusion(1),
        fusion_prior(1),
        dataset.split("test"),
        store,
        shots=tuple(section.shots),
        repeats=section.repeats,
        strategy=section.strategy,
        metrics={"srocc": metrics.METRICS["srocc"]},
        names=dataset.workers,
        key=jax.random.key(section.seed),
    )
    return {f"users {x['shots']}": x["mean"] for x in summarise(measured)}


def weight_correlation(workdir: Path, config) -> float:
    """Correlation of w_b, fitted to all of a test user's ratings, with the truth.

    The generator's taste of a rater has, for each trait, a coefficient: the trait times
    the rater's spread of stars. Pooled over raters and traits, each trait less its mean
    over raters.
    """
    from jiaa.personalize import RidgeFusion
    from jiaa.personalize.fusion import fusion_prior, output_store
    from jiaa.types import Episode, Examples

    dataset, outputs, ids = predicted(workdir, config)
    store = output_store(len(dataset.image_names), outputs, ids, second="traits")
    tasks = dataset.split("test")
    method = RidgeFusion(5, config.fusion.strength, config.fusion.offset)

    def fit(task):
        rated = Examples(task.image_ids, task.scores, task.mask)
        episode = Episode(task.user_id, rated, rated)
        adapted = method.adapt(fusion_prior(), episode, store, key=jax.random.key(0))
        return adapted["weights"]

    weights = np.asarray(jax.vmap(fit)(jax.tree.map(jax.numpy.asarray, tasks)))
    seed, users = config.data.seed, len(tasks)
    people = synthetic.raters.draw_raters(users, seed=seed, group="test")
    names = synthetic.raters.rater_names(people)
    row = {name: number for number, name in enumerate(names)}
    order = [row[dataset.workers[int(user)]] for user in tasks.user_id]
    truth = (people.traits * people.spread[:, None])[order]
    centred = [x - x.mean(axis=0) for x in (weights, truth)]
    return float(np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1])


def measure(row: str, seed: int, out: Path) -> dict[str, float]:
    """Column -> number of one row on one seed; trains what is not there."""
    from jiaa.cli import run

    config = config_of(row, seed)
    workdir = out / f"{row.replace(' ', '_')}_{seed}"
    if not (workdir / "generic.json").is_file():
        run.train(config, workdir)
        run.evaluate(config, workdir)
    found = json.loads((workdir / "generic.json").read_text())
    numbers = {}
    for metric in ("srocc", "emd"):
        if "generic" in found:
            numbers[f"generic {metric}"] = found["generic"][metric]
    if "traits" in found:
        for over in ("user", "image"):
            each = [x[over] for x in found["traits"].values()]
            numbers[f"traits by {over}"] = float(np.mean(each))
    if (workdir / "summary.json").is_file():
        summary = json.loads((workdir / "summary.json").read_text())["results"]
        for x in summary:
            if x["metric"] == "srocc":
                numbers[f"users {x['shots']}"] = x["mean"]
                numbers[f"users {x['shots']} before"] = x["generic"]
        if row == "pa_iaa":
            numbers["weights' correlation"] = weight_correlation(workdir, config)
    elif row == "aesthetics alone":
        numbers |= generic_users(workdir, config)
    return numbers


def main() -> None:
    """Runs what is missing, and prints the table: mean and spread over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/personality"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    options = parser.parse_args()
    for row in options.rows:
        each = [measure(row, seed, options.out) for seed in options.seeds]
        for column in each[0]:
            values = [x[column] for x in each]
            mean, spread = np.mean(values), np.std(values)
            seeds = " ".join(f"{x:.3f}" for x in values)
            line = f"{row:18} {column:22} {mean:.3f} ± {spread:.3f}  ({seeds})"
            print(line, flush=True)


if __name__ == "__main__":
    main()
