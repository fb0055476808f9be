"""The blend against every fixed share of the crowd, on two folders at once.

    python scripts/bench_frontier.py --x OASIS --x-prior RUN --x-shots 10 100 \
        --y VESSEL --y-by theme --y-raters even --y-shots 10 50 \
        --out FILE.json --figure FILE.png

A fixed setting is a share of the crowd and a strength of the own taste that hold for
all raters; the blend weighs them by each rater's evidence, with the log prior that a
run has learned (that of the folder's own prior, and for comparison those of the other
one and of each --also). Splits are those of bench_personal.py. A panel of the figure is
a group of --y at one number of own ratings: further to the right is better on --x,
further up is better on --y.

--x-split train takes the photographs that the prior learned from; the crowd's score of
each is then learned without it. To choose settings: that, and --y-raters odd.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jiaa.cli.launch import EXPECTED, in_words
from jiaa.cli.models import load
from jiaa.data.folder import Folder, read_folder
from jiaa.data.tasks import mean_scores
from jiaa.personalize import Blend
from jiaa.personalize.blend import LOG_PRIOR
from jiaa.personalize.residual import generic_scores
from jiaa.report.figures import save, series, tidy
from jiaa.serve.cache import default_folder
from jiaa.serve.model import Model
from jiaa.train.ridge import held_out_scores
from scripts._frontier import srocc_of_settings
from scripts.bench_personal import ALL, as_a_person, groups, scale_of

BUILT_IN = "built-in"


def main() -> None:
    """Measures both folders; prints a table, writes JSON and the figure."""
    flags = _parser().parse_args()
    try:
        found = run(flags)
    except EXPECTED as error:
        sys.exit(in_words(error))
    print(table(found["x"], found["y"]))
    if flags.out:
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        flags.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if flags.figure:
        _small(save(figure(found["x"], found["y"]), flags.figure))


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """What is written: for each folder its groups, numbers of ratings and settings.

    Raises:
      DataError, ConfigError, ValueError: as the readers of the folders and priors do;
        or the priors' blends are of different hypotheses.
    """
    if len(flags.x_shots) != len(flags.y_shots):
        raise ValueError(
            f"--x-shots {flags.x_shots} and --y-shots {flags.y_shots} go in pairs; "
            "give as many of each"
        )
    names = list(dict.fromkeys([flags.x_prior, flags.y_prior, *flags.also]))
    models = {name: _model(name, scale=None) for name in names}
    blends = {one.personalizer.hypotheses for one in models.values()}  # pyright: ignore
    if len(blends) != 1:
        raise ValueError(f"the blends of {names} average different hypotheses")
    log_priors = np.stack([_log_prior(name, one) for name, one in models.items()])
    made = {}
    for side in ("x", "y"):
        own = {
            name: getattr(flags, f"{side}_{name}")
            for name in ("prior", "raters", "split", "shots")
        }
        own |= {"root": getattr(flags, side), "cache": flags.cache}
        own["by"] = flags.y_by if side == "y" else None
        options = {"repeats": flags.repeats, "seed": flags.seed}
        made[side] = measure(names, log_priors, **own, **options)
    made["x"]["root"] = flags.x_name or made["x"]["root"]
    shown = dict(text.split("=", 1) for text in flags.y_names)
    for row in made["y"]["groups"]:
        row["group"] = shown.get(row["group"], row["group"])
    return {"hypotheses": list(blends.pop()), **made}


def _model(name: str, *, scale: tuple[float, float] | None) -> Model:
    path = None if name == BUILT_IN else name
    return load(path, method="blend", whole=False, scale=scale)


def _log_prior(name: str, model: Model) -> Float[np.ndarray, " hypothesis"]:
    learned = model.prior["params"].get("inner", {}).get(LOG_PRIOR)
    if learned is None:
        raise ValueError(
            f"{name} has learned no prior probabilities of a blend's hypotheses; train "
            "it with config.adapt.kind blend and config.adapt.learned True"
        )
    return np.asarray(learned)


def measure(
    names: Sequence[str],
    log_priors: Float[np.ndarray, "blend hypothesis"],
    *,
    root: Path,
    prior: str,
    raters: str,
    split: str,
    shots: Sequence[int],
    cache: Path,
    repeats: int,
    seed: int,
    by: str | None,
) -> dict[str, Any]:
    """All settings on a folder: of all its pictures, or of each value of column `by`.

    Raters need two ratings more than the shots; those with fewer are left out.

    Raises:
      ValueError: nobody has so many.
    """
    scale = scale_of(root)
    folder = read_folder(root, scale=scale, max_missing=sys.maxsize)
    model = _model(prior, scale=scale)
    blend: Any = model.personalizer
    content = model.encode(list(folder.paths), cache=model.open_cache(cache))
    features = model.store(content).features
    directions = blend.directions(model.prior, features)
    kernel = blend.kernel(directions, directions)
    crowd = generic_scores(blend.model, model.prior, jnp.asarray(features))
    if split == "train":
        crowd = crowd_left_out(model, folder, np.asarray(features))
    rows = []
    for group in groups(folder, by=by, raters=raters, split=split):
        if by is not None and group.name == ALL:
            continue
        tasks = as_a_person(model, group.tasks)
        counts = np.asarray(tasks.mask).sum(axis=1)
        for count in shots:
            able = tasks[np.flatnonzero(counts >= count + 2)]
            if not len(able):
                raise ValueError(f"{group.name}: nobody has {count + 2} ratings")
            options = {"repeats": repeats, "key": jax.random.key(seed)}
            values = srocc_of_settings(
                blend, kernel, crowd, able, log_priors, shots=count, **options
            )
            settings = settings_of(blend, names, values, own=names.index(prior))
            users = int(np.isfinite(values).all(axis=1).sum())
            head = {"group": group.name, "shots": count, "users": users}
            rows.append({**head, "settings": settings})
    told = {"prior": prior, "raters": raters, "split": split, "repeats": repeats}
    return {"root": root.name, **told, "groups": rows}


def crowd_left_out(
    model: Model, folder: Folder, features: Float[np.ndarray, "image feature"]
) -> Float[np.ndarray, " image"]:
    """Unit scores of the training photographs, each learned from the others.

    The regression that the run's config tells; other photographs have 0.
    """
    names = folder.image_names
    ids = np.asarray([folder.image_split.get(x, "train") == "train" for x in names])
    means, raters = mean_scores(folder.ratings, names)
    ids = np.flatnonzero(ids & (raters > 0))
    config = model.record["config"]
    spread = config["model"]["head_options"].get("spread", 1.0)
    crowd = np.zeros(len(names), np.float32)
    crowd[ids] = spread * held_out_scores(
        features[ids], means[ids] / spread, strength=config["generic"]["strength"]
    )
    return crowd


def settings_of(
    blend: Blend,
    names: Sequence[str],
    values: Float[np.ndarray, "user setting"],
    *,
    own: int,
) -> list[dict[str, Any]]:
    """Each setting's mean SROCC over raters and its standard error.

    `behind` is how much less it is than that of the blend number `own`, rater by rater.
    Raters without a coefficient count nowhere.
    """
    kept = values[np.isfinite(values).all(axis=1)]
    mine = kept[:, len(blend.hypotheses) + own]
    told: list[dict[str, Any]] = [
        {"name": f"{share:g} of the crowd, own taste {strength:g}"}
        | {"share": share, "strength": strength}
        for share, strength in blend.hypotheses
    ]
    for name in names:
        name = BUILT_IN if name == BUILT_IN else Path(name).name
        told.append({"name": f"blend, {name}", "share": None, "strength": None})
    for row, column in zip(told, kept.T, strict=True):
        row |= dict(zip(("srocc", "error"), _mean_error(column), strict=True))
        behind = _mean_error(mine - column)
        row |= dict(zip(("behind", "behind_error"), behind, strict=True))
    told[len(blend.hypotheses) + own]["own"] = True
    return told


def _mean_error(values: Float[np.ndarray, " user"]) -> tuple[float, float]:
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    error = spread / np.sqrt(len(values))
    return round(float(values.mean()), 4), round(float(error), 4)


def table(x: dict[str, Any], y: dict[str, Any]) -> str:
    """A row a setting, a column a group and number of ratings; best in a column bold.

    A star marks the blend with the log prior of the folder's own prior; ± is its
    standard error over raters, and in the last row that of the difference.
    """
    columns = [(x["root"], one) for one in x["groups"]]
    columns += [(one["group"], one) for one in y["groups"]]
    heads = [f"{name}, {one['shots']}" for name, one in columns]
    best = [max(row["srocc"] for row in one["settings"]) for _, one in columns]
    lines = ["| setting | " + " | ".join(heads) + " |"]
    lines.append("|:--|" + "--:|" * len(columns))
    for number, row in enumerate(columns[0][1]["settings"]):
        cells = []
        for (_, one), most in zip(columns, best, strict=True):
            this = one["settings"][number]
            text = f"{this['srocc']:.3f}"
            text = f"**{text}**" if this["srocc"] == most else text
            blended = this["share"] is None
            text += f" ± {this['error']:.3f}" if blended else ""
            cells.append(text + (" ★" if this.get("own") else ""))
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    ahead = []
    for _, one in columns:
        fixed = [row for row in one["settings"] if row["share"] is not None]
        found = max(fixed, key=lambda row: row["srocc"])
        ahead.append(f"{-found['behind']:+.3f} ± {found['behind_error']:.3f}")
    lines.append(f"| best fixed setting of the column over ★ | {' | '.join(ahead)} |")
    return "\n".join(lines)


def figure(x: dict[str, Any], y: dict[str, Any]) -> Figure:
    """A row of panels a number of own ratings, a column a group of `y`."""
    names = list(dict.fromkeys(one["group"] for one in y["groups"]))
    rows = len(x["groups"])
    made = Figure(figsize=(3.9 * len(names) + 0.4, 3.3 * rows), layout="constrained")
    panels = made.subplots(rows, len(names), squeeze=False)
    for line, right in zip(panels, x["groups"], strict=True):
        for axes, name in zip(line, names, strict=True):
            ups = [one for one in y["groups"] if one["group"] == name]
            up = ups[x["groups"].index(right)]
            _panel(axes, right["settings"], up["settings"])
            for told, side, one in (
                (axes.set_xlabel, x["root"], right),
                (axes.set_ylabel, name, up),
            ):
                told(f"{side}: SROCC with {one['shots']} own ratings", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    below = {"loc": "outside lower center", "ncols": 4, "frameon": False}
    said = "beside the dots: the share of the crowd"
    legend = made.legend(handles, labels, fontsize=9, title=said, **below)
    legend.get_title().set_fontsize(9)
    return made


def _panel(
    axes: Axes, right: Sequence[dict[str, Any]], up: Sequence[dict[str, Any]]
) -> None:
    """A line a strength through its shares of the crowd, and the blend.

    The shares are written beside the first line and, at its ends, the last. Exactly the
    crowd, far below, is told in a corner.
    """
    pairs = list(zip(right, up, strict=True))
    strengths = sorted({a["strength"] for a, _ in pairs if a["strength"]})
    for index, strength in enumerate(strengths):
        chosen = [(a, b) for a, b in pairs if a["strength"] == strength]
        places = [(a["srocc"], b["srocc"]) for a, b in chosen]
        color, marker = series(index + 1)
        look = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1}
        label = f"own taste {strength:g}"
        axes.plot(*np.transpose(places), label=label, **look)
        if index in (0, len(strengths) - 1):
            left = index > 0
            for place, (a, _) in zip(places, chosen, strict=True):
                offset = (-5, -8) if left else (5, 1)
                where = {"xytext": offset, "textcoords": "offset points"}
                where |= {"ha": "right" if left else "left", "fontsize": 7}
                axes.annotate(f"{a['share']:g}", place, color=color, **where)
    (mine,) = (a["srocc"] for a, _ in pairs if a.get("own"))
    (yours,) = (b["srocc"] for _, b in pairs if b.get("own"))
    look = {"color": series(0)[0], "marker": "*", "markersize": 13, "linestyle": ""}
    axes.plot([mine], [yours], label="the blend", zorder=5, **look)
    ((a, b),) = (pair for pair in pairs if pair[0]["strength"] == 0)
    told = f"exactly the crowd: {a['srocc']:.3f}, {b['srocc']:.3f}"
    axes.text(0.03, 0.03, told, transform=axes.transAxes, fontsize=7.5, color="0.35")
    axes.margins(0.1, 0.14)
    tidy(axes)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", color="0.9", linewidth=0.8)


def _small(path: Path) -> None:
    """The picture again in 48 colours: a third of the bytes."""
    with Image.open(path) as opened:
        reduced = opened.convert("RGB").quantize(48, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    for side, shots in (("x", [10, 100]), ("y", [10, 50])):
        folder = f"--{side}"
        add(folder, type=Path, required=True, help="images/, ratings.csv, images.csv")
        add(f"{folder}-prior", default=BUILT_IN, help="a run or an export (built-in)")
        add(f"{folder}-raters", choices=(ALL, "odd", "even"), default=ALL)
        add(f"{folder}-split", choices=("train", "test"), default="test")
        add(f"{folder}-shots", type=int, nargs="+", default=shots, help="own ratings")
    add("--y-by", metavar="COLUMN", help="of images.csv: a panel for each value")
    add("--x-name", help="in the figure and the table (the folder's)")
    add(
        "--y-names",
        nargs="*",
        default=[],
        metavar="VALUE=NAME",
        help="of groups, such as a=art",
    )
    add("--also", nargs="*", default=[], help="runs whose log priors are tried as well")
    add("--repeats", type=int, default=10, help="random splits (10)")
    add("--seed", type=int, default=0, help="of the splits (0)")
    add("--cache", type=Path, default=default_folder(), help="of features")
    add("--out", type=Path, help="JSON to write")
    add("--figure", type=Path, help="PNG to write")
    return parser


if __name__ == "__main__":
    main()
