"""A folder with several raters against a prior: before, after, and without the prior.

    python scripts/bench_personal.py --root FOLDER --shots 10 50 --repeats 10 --out FILE

For each rater of the split `test` (all, where images.csv has no split) their pictures
are divided at random into so many own ratings and the rest, on which SROCC is measured:
of the prior, of the method, and of the own ratings alone (the blend without a share of
the crowd). `--raters odd` and `even` are of the number at the end of a rater's name.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jiaa.cli import built_in
from jiaa.cli.launch import EXPECTED, in_words
from jiaa.cli.models import METHODS, load
from jiaa.data.folder import Folder, read_folder, select
from jiaa.data.table import DataError, parse_number, read_table
from jiaa.data.tasks import user_ids, user_tasks
from jiaa.evaluate.personalization import personalization
from jiaa.metrics import spearman
from jiaa.personalize import Blend
from jiaa.serve.cache import default_folder
from jiaa.serve.model import Model
from jiaa.types import UserTasks

ALL = "all"
OPTIONS = "The scale of the scores is set by --scale LOW HIGH."
SCALES = ((0, 1), (1, 5), (1, 7), (0, 10), (0, 100))  # the first that holds all scores


@dataclasses.dataclass(frozen=True)
class Group:
    """Some of the raters' pictures, such as those of one theme.

    Attributes:
      name: "all", or the column's value.
      tasks: the raters' ratings of them.
      names: user id -> rater.
    """

    name: str
    tasks: UserTasks
    names: dict[int, str]


def main() -> None:
    """Measures a prior and a method on a folder; writes JSON and prints a table."""
    flags = _parser().parse_args()
    try:
        if flags.out:
            flags.out.parent.mkdir(parents=True, exist_ok=True)
        found = run(flags)
        print(table(found["rows"]))
        if flags.out:
            flags.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except EXPECTED as error:
        sys.exit(in_words(error, options=OPTIONS))


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """What is written: the folder, the prior, the method, and a row a group and shots.

    Raises:
      DataError, ConfigError, ValueError: as the readers of the folder and the prior do.
    """
    if flags.prior is None:
        print(built_in.TOLD)
    scale = tuple(flags.scale) if flags.scale else scale_of(flags.root)
    folder = read_folder(flags.root, scale=scale, max_missing=sys.maxsize)
    model = load(flags.prior, method=flags.method, whole=False, scale=scale)
    content = model.encode(
        list(folder.paths), cache=model.open_cache(flags.cache), progress=True
    )
    options = {"shots": flags.shots, "repeats": flags.repeats, "seed": flags.seed}
    rows = []
    for group in groups(folder, by=flags.group_by, raters=flags.raters):
        rows += measure(model, content, group, **options)
    return {
        "root": str(flags.root),
        "prior": "built in" if flags.prior is None else str(flags.prior),
        "method": model.record["adapt"],
        "rows": rows,
    }


def scale_of(root: Path) -> tuple[float, float]:
    """The first of `SCALES` that holds all scores of ratings.csv.

    Raises:
      DataError: none does, or the file cannot be read.
    """
    path = root / "ratings.csv"
    table = read_table(path, required=("image", "score"))
    scores = [parse_number(row.values["score"]) for row in table.rows]
    known = [x for x in scores if x is not None]
    if not known:
        raise DataError(f"{path}: no score is a number; expected a column of them")
    for low, high in SCALES:
        if low <= min(known) and max(known) <= high:
            return low, high
    raise DataError(f"{path}: scores on none of {SCALES}; name it: --scale LOW HIGH")


def groups(
    folder: Folder, *, by: str | None, raters: str, split: str = "test"
) -> list[Group]:
    """All pictures of a split, and those of each value of the column `by`.

    Pictures without a value are in no group of the column, and a group that none of
    the raters rated is left out.

    Raises:
      ValueError: images.csv has no such column, or nobody is left.
    """
    names = np.asarray(folder.image_names)
    counts = np.asarray([folder.image_split.get(x, split) == split for x in names])
    chosen = [(ALL, counts)]
    if by is not None:
        if by not in folder.metadata:
            known = ", ".join(folder.metadata) or "none"
            raise ValueError(f"--group-by {by}: images.csv has {known}; name one")
        column = np.asarray(folder.metadata[by]).astype(str)
        values = sorted(set(column[counts].tolist()) - {""})
        chosen += [(x, counts & (column == x)) for x in values]
    rows = {name: row for row, name in enumerate(folder.image_names)}
    made = []
    for name, mask in chosen:
        kept = np.isin(folder.ratings.image, names[mask])
        kept &= np.asarray([_counts(str(x), raters) for x in folder.ratings.worker])
        if not kept.any():
            if made:
                print(f"{name}: nobody of --raters {raters} rated one of its pictures")
                continue
            raise ValueError(
                f"nobody of --raters {raters} rated one of {counts.sum()} pictures: "
                "those of the split 'test', or all where images.csv has no split. "
                "Choose other raters, or correct the splits"
            )
        ratings = select(folder.ratings, kept)
        workers = sorted(set(ratings.worker.tolist()))
        ids = {number: worker for worker, number in user_ids(workers).items()}
        made.append(Group(name, user_tasks(ratings, rows), ids))
    return made


def _counts(worker: str, raters: str) -> bool:
    number = re.search(r"\d+$", worker)
    odd = number is not None and int(number[0]) % 2 == 1
    return raters == ALL or (number is not None and odd == (raters == "odd"))


def measure(
    model: Model,
    content: Float[np.ndarray, "image feature"],
    group: Group,
    *,
    shots: Sequence[int],
    repeats: int,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A row for each number of shots; 0 is the prior on all of a rater's pictures.

    Raters need two ratings more than the shots; those with fewer are left out.
    """
    tasks = as_a_person(model, group.tasks)
    counts = np.asarray(tasks.mask).sum(axis=1)
    rows = []
    for count in shots:
        able = tasks[np.flatnonzero(counts >= count + 2)]
        if not len(able):
            print(f"{group.name}: nobody has {count + 2} ratings; no row of {count}")
            continue
        if count:
            options = {"shots": (count,), "repeats": repeats, "names": group.names}
            found = _split(model, content, able, key=jax.random.key(seed), **options)
        else:
            prior = _of_the_prior(model, content, able)
            found = prior, prior, None
        row = _row(*found)
        if row is None:
            print(f"{group.name}: no SROCC is defined; no row of {count}")
            continue
        repeated = {"repeats": repeats if count else 1}
        rows.append({"group": group.name, "shots": count, **repeated, **row})
    return rows


def as_a_person(model: Model, tasks: UserTasks) -> UserTasks:
    """Unit scores on the prior's scale, as the model has a person's."""
    mask = np.asarray(tasks.mask)
    stars = (np.asarray(tasks.scores)[mask] * model.scale[1]).astype(np.float32)
    scores = np.zeros(mask.shape, np.float32)
    scores[mask] = model.to_unit(stars, count=len(stars))
    return dataclasses.replace(tasks, scores=scores)


def _split(
    model: Model,
    content: Float[np.ndarray, "image feature"],
    tasks: UserTasks,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each rater's mean SROCC over splits: of the prior, the method, the own alone."""
    store = model.store(content)
    method, without = (
        personalization(one, model.prior, tasks, store, **options).values
        for one in (model.personalizer, alone(model))
    )
    found = method["generic_srocc"], method["srocc"], without["srocc"]
    prior, own, own_alone = (_of_users(values[0]) for values in found)
    return prior, own, own_alone


def _of_the_prior(
    model: Model, content: Float[np.ndarray, "image feature"], tasks: UserTasks
) -> Float[np.ndarray, " user"]:
    """SROCC of the un-adapted prior on all of each rater's pictures."""
    crowd = jnp.asarray(model.replace(adapted=None).score(content))
    columns = (tasks.image_ids, tasks.scores, tasks.mask)
    ids, scores, mask = map(jnp.asarray, columns)
    found = jax.vmap(spearman)(crowd[ids], scores, mask)
    return np.where(found.defined, found.value, np.nan)


def _of_users(
    values: Float[np.ndarray, "user repeat"],
) -> Float[np.ndarray, " user"]:
    """The mean over the splits where the coefficient exists; else NaN."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0).sum(axis=1)
    return np.where(defined.any(1), total / np.maximum(defined.sum(1), 1), np.nan)


def alone(model: Model) -> Blend:
    """The own ratings alone: a blend without any share of the crowd."""
    personalizer: Any = model.personalizer
    network = getattr(personalizer, "model", None)
    network = network if network is not None else personalizer.loop.model
    width = model.store(np.zeros((1, model.encoder.width), np.float32)).content.shape[1]
    impossible = -1e9  # exactly the crowd
    return Blend(network, width, shares=(0.0,), log_prior=(0.0, 0.0, 0.0, impossible))


def _row(
    prior: Float[np.ndarray, " user"],
    own: Float[np.ndarray, " user"],
    without: Float[np.ndarray, " user"] | None,
) -> dict[str, Any] | None:
    """Means over the raters whose coefficients exist; None: there is none."""
    kept = np.isfinite(prior) & np.isfinite(own)
    if not kept.any():
        return None
    without = None if without is None else without[kept]
    gain = (own - prior)[kept]
    return {
        "users": int(kept.sum()),
        "prior_srocc": _mean(prior[kept]),
        "srocc": _mean(own[kept]),
        "alone_srocc": _mean(without),
        "worse_share": round(float((gain < 0).mean()), 4),
        "srocc_error": _error(own[kept]),
        "gain_error": _error(gain),
        "alone_error": _error(without),
    }


def _mean(values: np.ndarray | None) -> float | None:
    values = _defined(values)
    return round(float(values.mean()), 4) if len(values) else None


def _error(values: np.ndarray | None) -> float | None:
    values = _defined(values)
    if len(values) < 2:
        return None
    return round(float(values.std(ddof=1) / np.sqrt(len(values))), 4)


def _defined(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if values is None else values[np.isfinite(values)]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown; ± is the standard error over raters."""
    lines = [
        "| group | ratings | raters | prior | method | own alone | worse |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [
            f"{row['srocc']:.3f} ± {row['srocc_error'] or 0:.3f}",
            "" if row["alone_srocc"] is None else f"{row['alone_srocc']:.3f}",
            f"{100 * row['worse_share']:.0f} %",
        ]
        head = f"| {row['group']} | {row['shots']} | {row['users']} "
        lines.append(f"{head}| {row['prior_srocc']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--root", type=Path, required=True, help="images/, ratings.csv, images.csv")
    add("--prior", type=Path, help="a run or an export (the built-in prior)")
    add("--method", choices=METHODS, help="how it adapts (blend)")
    add("--group-by", metavar="COLUMN", help="of images.csv: a group for each value")
    add("--shots", type=int, nargs="+", default=[10, 50], help="own ratings (10 50)")
    add("--repeats", type=int, default=10, help="random splits (10)")
    add("--raters", choices=(ALL, "odd", "even"), default=ALL)
    add("--scale", type=float, nargs=2, metavar=("LOW", "HIGH"))
    add("--seed", type=int, default=0, help="of the splits (0)")
    add("--cache", type=Path, default=default_folder(), help="of features")
    add("--out", type=Path, help="JSON to write")
    return parser


if __name__ == "__main__":
    main()
