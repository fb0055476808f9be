"""Figures of PDMTL and PA_IAA: learned weights, distributions, and two users' pictures.

(PA_IAA's Fig. 6, a bar a user, is `figures.per_user_bars`.)
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jiaa.report.figures import BLUE, GREY, ORANGE, series


def trait_weights(
    weights: Mapping[str, Float[np.ndarray, " trait"]],
    *,
    names: Sequence[str],
    heading: str,
) -> Figure:
    """The weight of each trait in the fused score: PDMTL's Fig. 4, a series a model.

    Args:
      weights: model or user -> its weights; of many users, give means.
      names: of the traits.
      heading: names the dataset and what the weights were fitted to.
    """
    figure = Figure(figsize=(1.2 * len(names) + 2.5, 3.8), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(len(weights), 1)
    for index, (label, values) in enumerate(weights.items()):
        color, _ = series(index)
        place = np.arange(len(names)) + (index - (len(weights) - 1) / 2) * width
        axes.bar(place, values, width=0.92 * width, color=color, label=label)
    axes.axhline(0.0, color="0.2", linewidth=0.8)
    axes.set_xticks(np.arange(len(names)), labels=list(names), rotation=20, ha="right")
    axes.set_ylabel("weight in the fused unit score")
    axes.set_title(heading)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def distributions(
    images: UInt8[np.ndarray, "image height width 3"],
    predicted: Float[np.ndarray, "image bin"],
    true: Float[np.ndarray, "image bin"],
    *,
    second: Float[np.ndarray, "image output"] | None = None,
    names: Sequence[str] = (),
    heading: str,
) -> Figure:
    """Predicted and true distributions of stars beside each photograph (Fig. 5).

    The means are in unit scores, as the paper's. One bin is a unit score instead of a
    distribution (PDMTL's Fig. 5). `second` adds a bar a trait (or another second
    output), `names` are theirs.
    """
    columns = 2 if second is None else 3
    figure = Figure(figsize=(3.0 * columns, 2.1 * len(images) + 0.6))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(images), columns, squeeze=False)
    for row, image in enumerate(images):
        grid[row, 0].imshow(image)
        grid[row, 0].set_axis_off()
        draw = _two_distributions if predicted.shape[1] > 1 else _two_scores
        draw(grid[row, 1], predicted[row], true[row], legend=row == 0)
        if second is not None:
            _signed_bars(grid[row, 2], second[row], names)
    figure.suptitle(heading, fontsize=11)
    return figure


def _two_distributions(axes: Axes, predicted, true, *, legend: bool) -> None:
    stars = np.arange(1, len(true) + 1)
    means = [float(shares @ stars / len(true)) for shares in (predicted, true)]
    axes.bar(stars - 0.2, true, width=0.4, color=GREY, label="true")
    axes.bar(stars + 0.2, predicted, width=0.4, color=BLUE, label="predicted")
    axes.set_title(f"mean {means[0]:.3f} (true {means[1]:.3f})", fontsize=9)
    axes.set_xticks(stars)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def _two_scores(axes: Axes, predicted, true, *, legend: bool) -> None:
    del legend  # the bars' names stand beside them
    values = float(predicted[0]), float(true[0])
    axes.barh((0, 1), values, color=(BLUE, GREY), height=0.6)
    axes.set_title(f"score {values[0]:.3f} (true {values[1]:.3f})", fontsize=9)
    axes.set_yticks((0, 1), labels=("predicted", "true"), fontsize=8)
    axes.set_xlim(0.0, 1.0)
    axes.tick_params(axis="x", labelsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _signed_bars(axes: Axes, values, names: Sequence[str]) -> None:
    color = [BLUE if value >= 0 else ORANGE for value in values]
    axes.barh(np.arange(len(values)), values, color=color)
    axes.set_yticks(np.arange(len(values)), labels=list(names), fontsize=8)
    axes.axvline(0.0, color="0.2", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.tick_params(axis="x", labelsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def users_pictures(
    images: Sequence[UInt8[np.ndarray, "image height width 3"]],
    scores: Sequence[Mapping[str, Float[np.ndarray, " image"]]],
    *,
    weights: Sequence[Float[np.ndarray, " output"]],
    names: Sequence[str],
    users: Sequence[str],
    high: float,
    heading: str,
) -> Figure:
    """Some users' pictures with scores, and each user's fitted weights: Fig. 7.

    One row a user: the weights of the second task's outputs, then the photographs with
    what the user, the fused and the generic model say, in stars.

    Args:
      images: each user's photographs; equally many.
      scores: each user's label -> unit scores, such as "user", "fused", "generic".
      weights: each user's w_b.
      names: of the second task's outputs.
      users: their names.
      high: the highest star.
      heading: names the dataset.
    """
    columns = 1 + len(images[0])
    figure = Figure(figsize=(2.2 * columns + 0.8, 2.7 * len(images) + 0.6))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(images), columns, squeeze=False)
    for row, user in enumerate(users):
        _signed_bars(grid[row, 0], weights[row], names)
        grid[row, 0].set_title(f"{user}: weights", fontsize=9)
        for number, image in enumerate(images[row]):
            stars = {k: float(x[number]) * high for k, x in scores[row].items()}
            _picture(grid[row, 1 + number], image, stars)
    figure.suptitle(heading, fontsize=11)
    return figure


def _picture(axes: Axes, image, stars: Mapping[str, float]) -> None:
    """A photograph below what is said of it."""
    axes.imshow(image)
    axes.set_axis_off()
    said = (f"{label} {value:.1f}" for label, value in stars.items())
    axes.set_title("\n".join(said), fontsize=8)
