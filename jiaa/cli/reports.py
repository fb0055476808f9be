"""`jiaa report`: one HTML page of evaluated runs, with maps of where they look."""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from jiaa.cli import build
from jiaa.cli.finished import Finished, open_run
from jiaa.cli.launch import EXPECTED
from jiaa.cli.options import ConfigError
from jiaa.cli.run import is_multitask
from jiaa.cli.settings import assign, recorded_config
from jiaa.data import Dataset
from jiaa.evaluate.replay import Replay, replay
from jiaa.evaluate.saliency import gradient_maps, pixel_scores
from jiaa.report.page import write_page
from jiaa.report.runs import dataset_label
from jiaa.report.visual import visual_gradients


def report(arguments: Sequence[str]) -> int:
    """`jiaa report`: writes the page; returns the exit code."""
    flags = _parser().parse_args(arguments)
    pictures: dict[str, Figure] = {}
    notes = []
    for workdir in flags.workdir if flags.maps else ():
        try:
            caption, figure = maps(
                workdir, settings=flags.set, count=flags.maps, blur=flags.blur
            )
            pictures[caption] = figure
        except EXPECTED as error:
            notes.append(f"No maps of {workdir.name}: {error}")
    path = write_page(flags.workdir, flags.out, pictures=pictures, notes=notes)
    for note in notes:
        print(note)
    print(path)
    return 0


@dataclasses.dataclass(frozen=True, eq=False)
class _Scene:
    run: Finished
    dataset: Dataset
    user: int


def maps(
    workdir: str | os.PathLike[str],
    *,
    settings: Sequence[str] = (),
    count: int = 4,
    blur: float = 2.0,
) -> tuple[str, Figure]:
    """Caption and figure: gradient maps of a run's prior and of one test user's model.

    The user is the first, the split the evaluation's first with the most ratings; the
    photographs are `count` of those that the user's model did not learn from, spread
    evenly over the user's scores.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: its data is not at hand, or other than it was; or the run has several
        tasks.
    """
    scene = _open(workdir, settings)
    run, tasks = scene.run, scene.dataset.split("test")
    shots = max(run.config.evaluate.shots)
    played = replay(
        run.personalizer,
        run.problem.prior,
        tasks[scene.user],
        run.problem.store,
        shots=shots,
        names=scene.dataset.workers,
        key=jax.random.key(run.config.evaluate.seed),
    )
    rows = _spread(played, count)
    images = np.asarray(scene.dataset.store.content[played.image_ids[rows]])
    drawn = [
        gradient_maps(_scorer(run, adapted), images, blur=blur)
        for adapted in (run.personalizer.init(run.problem.prior), played.adapted)
    ]
    high = scene.dataset.scale[1]
    name = scene.dataset.workers[int(tasks.user_id[scene.user])]
    pairs = zip(played.user[rows] * high, played.scores[rows] * high, strict=True)
    said = [f"rated {given:.0f}, model {score:.1f}" for given, score in pairs]
    where = dataset_label(run.config.dataset)
    heading = f"{run.config.method} on {where}: {name}, {shots} ratings"
    figure = visual_gradients(
        images,
        drawn[0],
        adapted={name: drawn[1]},
        heading=heading,
        captions={name: said},
    )
    return f"{Path(workdir).name}: {heading}", figure


def _spread(played: Replay, count: int) -> np.ndarray:
    """Rows of up to `count` query images, from the user's lowest score up."""
    new = np.flatnonzero(played.query)
    order = new[np.argsort(played.user[new], kind="stable")]
    places = np.linspace(0, len(order) - 1, min(count, len(order)))
    return order[places.round().astype(int)]


def _open(workdir: str | os.PathLike[str], settings: Sequence[str]) -> _Scene:
    config = recorded_config(workdir)
    assign(config, settings)
    if is_multitask(config):
        raise ConfigError("maps are drawn of runs with one task; this one has several")
    if config.data.get("features"):
        raise ConfigError("maps are drawn of runs that see pixels; this reads features")
    dataset = build.dataset(config, progress=False)
    tasks = dataset.split("test")
    needed = np.asarray(tasks.image_ids[0])[np.asarray(tasks.mask[0])]
    run = open_run(config, workdir, dataset=dataset, image_ids=needed, progress=False)
    return _Scene(run, dataset, user=0)


def _scorer(run: Finished, adapted):
    return pixel_scores(
        run.personalizer,
        run.problem.prior,
        adapted,
        store=run.problem.store,
        content=run.content,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jiaa report", description="One HTML page of evaluated runs."
    )
    parser.add_argument("workdir", nargs="+", type=Path, help="an evaluated run")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("report.html"),
        help="page to write (%(default)s)",
    )
    parser.add_argument(
        "--maps",
        type=int,
        default=4,
        metavar="N",
        help="photographs with gradient maps, 0 for none (%(default)s)",
    )
    parser.add_argument(
        "--blur", type=float, default=2.0, help="of the maps, in pixels (%(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting of all configs, such as data.root=FOLDER if the data moved",
    )
    return parser
