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
SHARES = {0.0: "none", 0.25: "¼", 0.5: "½", 0.75: "¾", 1.0: "all"}


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
        save(figure(found["x"], found["y"]), flags.figure)


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
        own = {k[2:]: v for k, v in vars(flags).items() if k.startswith(f"{side}_")}
        own |= {"root": getattr(flags, side), "cache": flags.cache}
        options = {"repeats": flags.repeats, "seed": flags.seed}
        made[side] = measure(names, log_priors, **own, **options)
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
    by: str | None = None,
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
    told = [
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

    The blend's own row of each folder is marked with a star; ± is its standard error.
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
    return "\n".join(lines)


def figure(x: dict[str, Any], y: dict[str, Any]) -> Figure:
    """A row of panels a number of own ratings, a column a group of `y`."""
    names = list(dict.fromkeys(one["group"] for one in y["groups"]))
    rows = len(x["groups"])
    made = Figure(figsize=(4.2 * len(names) + 0.4, 3.7 * rows), layout="constrained")
    panels = made.subplots(rows, len(names), squeeze=False)
    for line, right in zip(panels, x["groups"], strict=True):
        for axes, name in zip(line, names, strict=True):
            ups = [one for one in y["groups"] if one["group"] == name]
            up = ups[x["groups"].index(right)]
            _panel(axes, right["settings"], up["settings"])
            counts = f"{right['shots']}"
            if right["shots"] != up["shots"]:
                counts += f" / {up['shots']}"
            axes.set_title(f"{name}, {counts} own ratings", fontsize=10)
            axes.set_xlabel(f"{x['root']}: rank correlation (SROCC)")
            axes.set_ylabel(f"{name}: rank correlation (SROCC)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    below = {"loc": "outside lower center", "ncols": 3, "frameon": False}
    made.legend(handles, labels, fontsize=8.5, **below)
    return made


def _panel(
    axes: Axes, right: Sequence[dict[str, Any]], up: Sequence[dict[str, Any]]
) -> None:
    """One line a strength through its shares, exactly the crowd, and the blend."""
    pairs = list(zip(right, up, strict=True))
    strengths = sorted({a["strength"] for a, _ in pairs if a["strength"]})
    for index, strength in enumerate(strengths):
        chosen = [(a, b) for a, b in pairs if a["strength"] == strength]
        across = [a["srocc"] for a, _ in chosen]
        above = [b["srocc"] for _, b in chosen]
        color, marker = series(index + 1)
        look = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1}
        axes.plot(across, above, label=f"own taste {strength:g}", **look)
        for a, b in chosen:
            text = SHARES.get(a["share"], f"{a['share']:g}")
            place = {"xytext": (3, 3), "textcoords": "offset points"}
            axes.annotate(
                text, (a["srocc"], b["srocc"]), color=color, fontsize=7, **place
            )
    ((a, b),) = (pair for pair in pairs if pair[0]["strength"] == 0)
    look = {"color": "0.4", "marker": "x", "linestyle": ""}
    axes.plot([a["srocc"]], [b["srocc"]], label="exactly the crowd", **look)
    (mine,) = (a for a, _ in pairs if a.get("own"))
    (yours,) = (b for _, b in pairs if b.get("own"))
    label = "the blend, ± standard error over raters"
    look = {"color": series(0)[0], "marker": "*", "markersize": 13, "linestyle": ""}
    axes.plot([mine["srocc"]], [yours["srocc"]], label=label, zorder=5, **look)
    for xs, ys in (
        (_around(mine), [yours["srocc"]] * 2),
        ([mine["srocc"]] * 2, _around(yours)),
    ):
        axes.plot(xs, ys, color=series(0)[0], linewidth=1, alpha=0.6, zorder=4)
    tidy(axes)
    axes.grid(axis="x", color="0.9", linewidth=0.8)


def _around(row: dict[str, Any]) -> list[float]:
    return [row["srocc"] - row["error"], row["srocc"] + row["error"]]


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
    add("--also", nargs="*", default=[], help="runs whose log priors are tried as well")
    add("--repeats", type=int, default=10, help="random splits (10)")
    add("--seed", type=int, default=0, help="of the splits (0)")
    add("--cache", type=Path, default=default_folder(), help="of features")
    add("--out", type=Path, help="JSON to write")
    add("--figure", type=Path, help="PNG to write")
    return parser


if __name__ == "__main__":
    main()
