"""Draws both "Visual results" figures of the slides for a user of two finished runs.

python scripts/visual_results.py --ba runs/table2/ba_piaa_resnet18 \
    --blg runs/table2/blg_piaa_resnet18 --user test_000 test_007 --out runs/visual

visual_scores.png: photographs that the first user rated and no model learned from, with
the user's score beside BA-PIAA's and BLG-PIAA's. visual_gradients.png: on photographs
that all named users rated, where BLG-PIAA's prior looks and where each user's model
does. Models adapt to the ratings of one split of the evaluation. Images are spread
evenly over the user's scores; how well they are predicted plays no part in the choice.
The maps' images are new to the first user's model; another's may have learned from
some, and the figure says of which.
"""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from jiaa.cli import build
from jiaa.cli.finished import Finished, open_run
from jiaa.cli.launch import EXPECTED, in_words
from jiaa.cli.settings import assign, differences, recorded_config
from jiaa.data import Dataset
from jiaa.evaluate.replay import Replay, replay
from jiaa.evaluate.saliency import gradient_maps, pixel_scores
from jiaa.report import figures, visual
from jiaa.report.published import LABELS
from jiaa.report.runs import dataset_label, is_synthetic

USERS_FOUND = 2  # without --user: the first user, and the one with most in common


def pick_users(dataset: Dataset, wanted: Sequence[str]) -> list[int]:
    """Rows of the test users with these names or numbers.

    By default the first, and the user whose images overlap most with theirs.

    Raises:
      ValueError: no such user; says which there are.
    """
    tasks = dataset.split("test")
    names = [dataset.workers[int(number)] for number in tasks.user_id]
    rated = [
        set(ids[mask]) for ids, mask in zip(tasks.image_ids, tasks.mask, strict=True)
    ]
    if not wanted:
        others = sorted(range(1, len(names)), key=lambda u: -len(rated[0] & rated[u]))
        return [0, *others][:USERS_FOUND]
    rows = []
    for user in wanted:
        if user in names:
            rows.append(names.index(user))
        elif user.isdecimal() and int(user) < len(names):
            rows.append(int(user))
        else:
            raise ValueError(
                f"no test user {user!r}; expected a number below {len(names)} or one "
                f"of {', '.join(names)}"
            )
    return rows


def spread_over_scores(
    scores: np.ndarray, image_ids: np.ndarray, *, count: int
) -> np.ndarray:
    """Up to `count` of `image_ids`, from the user's lowest score to the highest."""
    order = np.lexsort((image_ids, scores))
    steps = np.linspace(0, len(order) - 1, min(count, len(order)))
    return image_ids[order[np.round(steps).astype(int)]]


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """Two finished runs on one dataset, and the users to look at.

    `names` are the users', `users` their rows among the test users.
    """

    dataset: Dataset
    ba: Finished
    blg: Finished
    users: list[int]
    names: list[str]


def open_scene(flags: argparse.Namespace) -> Scene:
    """The scene of the command line.

    Raises:
      FileNotFoundError: a run has not finished.
      ValueError: an unknown user, or runs of different data.
    """
    configs = [recorded_config(workdir) for workdir in (flags.ba, flags.blg)]
    for config in configs:
        assign(config, flags.set)
    if wrong := differences(*configs, sections=("data",)):
        raise ValueError(
            f"{flags.ba} (there) and {flags.blg} (here) were trained on other data: "
            f"{'; '.join(wrong)}; expected runs on the same data. Name another run"
        )
    dataset = build.dataset(configs[0])
    tasks = dataset.split("test")
    users = pick_users(dataset, flags.user)
    needed = np.unique(tasks.image_ids[users][tasks.mask[users]])
    ba, blg = (
        open_run(config, workdir, dataset=dataset, image_ids=needed)
        for config, workdir in zip(configs, (flags.ba, flags.blg), strict=True)
    )
    names = [dataset.workers[int(tasks.user_id[user])] for user in users]
    return Scene(dataset, ba, blg, users, names)


def play(scene: Scene, run: Finished, user: int, *, shots: int, repeat: int) -> Replay:
    """A user's model after the split `repeat` of the run's own evaluation."""
    return replay(
        run.personalizer,
        run.problem.prior,
        scene.dataset.split("test")[user],
        run.problem.store,
        shots=shots,
        repeat=repeat,
        names=scene.dataset.workers,
        key=jax.random.key(run.config.evaluate.seed),
    )


def draw_scores(
    scene: Scene, ba: Replay, blg: Replay, *, count: int, heading: str
) -> Figure:
    """The first figure: a user's scores and the methods' on query images."""
    asked = blg.image_ids[blg.query]
    chosen = spread_over_scores(blg.user[blg.query], asked, count=count)
    rows = np.searchsorted(blg.image_ids, chosen)
    return visual.visual_scores(
        np.asarray(scene.dataset.store.content[chosen]),
        blg.user[rows],
        predictions={
            label(scene.ba): ba.scores[rows],
            label(scene.blg): blg.scores[rows],
        },
        scale=scene.dataset.scale,
        heading=heading,
    )


def draw_gradients(
    scene: Scene, played: dict[str, Replay], *, count: int, blur: float, heading: str
) -> Figure:
    """The second figure: where BLG-PIAA's prior and the users' models look.

    Raises:
      ValueError: the users have no such image in common.
    """
    run = scene.blg
    first = next(iter(played.values()))
    common = shared_images(played)
    scores = first.user[np.searchsorted(first.image_ids, common)]
    chosen = spread_over_scores(scores, common, count=count)
    images = np.asarray(scene.dataset.store.content[chosen])

    def maps(adapted):
        scored = pixel_scores(
            run.personalizer,
            run.problem.prior,
            adapted,
            store=run.problem.store,
            content=run.content,
        )
        return gradient_maps(scored, images, blur=blur)

    high = scene.dataset.scale[1]
    return visual.visual_gradients(
        images,
        maps(run.personalizer.init(run.problem.prior)),
        adapted={name: maps(one.adapted) for name, one in played.items()},
        captions={name: captions(one, chosen, high) for name, one in played.items()},
        heading=heading,
    )


def captions(one: Replay, image_ids: np.ndarray, high: float) -> list[str]:
    """What the user and their model say of each image, in stars."""
    lines = []
    for row in np.searchsorted(one.image_ids, image_ids):
        user, score = one.user[row] * high, one.scores[row] * high
        known = "" if one.query[row] else " (learned from)"
        lines.append(f"rated {user:.0f}{known}, model {score:.1f}")
    return lines


def shared_images(played: dict[str, Replay]) -> np.ndarray:
    """Ids of the first user's query images that all the others have rated too.

    Raises:
      ValueError: there is none.
    """
    first, *others = played.values()
    ids = [first.image_ids[first.query], *(other.image_ids for other in others)]
    common = functools.reduce(np.intersect1d, ids)
    if not len(common):
        raise ValueError(
            f"users {', '.join(played)} have rated no image in common that is new to "
            "the first; name others, one alone, or another --repeat"
        )
    return common


def label(run: Finished) -> str:
    """The method's name in the papers."""
    return LABELS.get(run.config.method, run.config.method)


def draw(flags: argparse.Namespace) -> list[Path]:
    """Writes both figures; returns their paths."""
    scene = open_scene(flags)
    split = {"shots": flags.shots, "repeat": flags.repeat}
    ba = play(scene, scene.ba, scene.users[0], **split)
    played = {
        name: play(scene, scene.blg, user, **split)
        for name, user in zip(scene.names, scene.users, strict=True)
    }
    first = scene.names[0]
    place = dataset_label(scene.ba.config.dataset)
    if is_synthetic(place):
        place += ": generated photographs and raters"
    how = f"{flags.shots} ratings learned from, split {flags.repeat}"
    scores = draw_scores(
        scene,
        ba,
        played[first],
        count=flags.images,
        heading=f"{place}\n{first}, {how}",
    )
    gradients = draw_gradients(
        scene,
        played,
        count=flags.maps,
        blur=flags.blur,
        heading=f"{place}\n{label(scene.blg)}, {how}",
    )
    for run, one in ((scene.ba, ba), (scene.blg, played[first])):
        gap = (one.scores - one.user)[one.query] * scene.dataset.scale[1]
        said = f"{len(gap)} query images of {first}"
        print(f"{label(run)}: RMSE {np.sqrt(np.mean(gap**2)):.2f} stars on {said}")
    return [
        figures.save(scores, flags.out / "visual_scores.png"),
        figures.save(gradients, flags.out / "visual_gradients.png"),
    ]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ba", type=Path, required=True, help="BA-PIAA's workdir")
    parser.add_argument("--blg", type=Path, required=True, help="BLG-PIAA's workdir")
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument(
        "--user", nargs="+", default=[], help="names, or numbers from 0"
    )
    parser.add_argument("--shots", type=int, default=100, help="ratings to learn from")
    parser.add_argument("--repeat", type=int, default=0, help="which random split")
    parser.add_argument("--images", type=int, default=8, help="of visual_scores.png")
    parser.add_argument("--maps", type=int, default=5, help="rows of the other figure")
    parser.add_argument(
        "--blur", type=float, default=0.0, help="of the maps, in pixels"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting of both configs, such as data.root=FOLDER if the data moved",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws, and says where."""
    for path in draw(parse(arguments)):
        print(path)


if __name__ == "__main__":
    try:
        main()
    except EXPECTED as error:
        sys.exit(in_words(error))
