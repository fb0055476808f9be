"""The slides' two figures "Visual results": scores on images, and gradient maps."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jiaa.report.figures import series


def visual_scores(
    images: UInt8[np.ndarray, "image height width 3"],
    user: Float[np.ndarray, " image"],
    *,
    predictions: Mapping[str, Float[np.ndarray, " image"]],
    scale: tuple[float, float],
    heading: str,
    columns: int = 4,
) -> Figure:
    """Predicted scores beside the user's on images: the slides' "Visual results", 1.

    Args:
      images: query images.
      user: the user's unit scores.
      predictions: method -> predicted unit scores.
      scale: (low, high) stars; the figure shows stars.
      heading: names the user and the dataset.
      columns: images in a row.
    """
    _, high = scale
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.7 * columns, 3.5 * rows + 0.8))
    height = figure.get_figheight()
    edges = {"left": 0.02, "right": 0.98}
    edges |= {"top": 1 - 0.5 / height, "bottom": 0.75 / height}
    grid = figure.add_gridspec(rows, columns, hspace=0.16, wspace=0.12, **edges)
    for index, image in enumerate(images):
        cell = grid[divmod(index, columns)]
        cell = cell.subgridspec(2, 1, height_ratios=[3.0, 1.0], hspace=0.04)
        picture = figure.add_subplot(cell[0])
        picture.imshow(image)
        picture.set_axis_off()
        scores = {"user": user, **predictions}
        stars = {name: float(each[index]) * high for name, each in scores.items()}
        _ruler(figure.add_subplot(cell[1]), stars, scale=scale)
    handles, labels = figure.axes[1].get_legend_handles_labels()
    figure.suptitle(heading, fontsize=12, y=1 - 0.1 / height, va="top")
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    return figure


def _ruler(
    axes: Axes, stars: Mapping[str, float], *, scale: tuple[float, float]
) -> None:
    """A scale of stars with a line at the user's score, and a mark for each method.

    The numbers stand in a column to the right, where nothing covers them.
    """
    low, high = scale
    margin = 0.06 * (high - low)
    user = stars["user"]
    for index, (name, value) in enumerate(stars.items()):
        color, marker = ("black", "|") if name == "user" else series(index - 1)
        axes.plot([user, value], [index, index], color=color, linewidth=1.5)
        (mark,) = axes.plot(value, index, color=color, linestyle="none", label=name)
        mark.set(marker=marker, markersize=13 if name == "user" else 7)
        weight = "bold" if name == "user" else "normal"
        place = high + 2 * margin
        text = {"va": "center", "color": color, "weight": weight, "fontsize": 9}
        axes.text(place, index, f"{value:.1f}", **text)
    axes.axvline(user, color="black", linewidth=1.5, zorder=0)
    axes.set_xlim(low - 2 * margin, high + 5 * margin)
    axes.set_ylim(len(stars) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xticks(np.arange(np.ceil(low), high + 1e-6))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_bounds(low, high)


def visual_gradients(
    images: UInt8[np.ndarray, "image height width 3"],
    prior: Float[np.ndarray, "image height width"],
    *,
    adapted: Mapping[str, Float[np.ndarray, "image height width"]],
    heading: str,
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Gradient maps of prior and user models: the slides' "Visual results", 2.

    One row an image: the photograph, the prior's map and each user model's. A map is
    the size of the score's gradient at every pixel, from 0 to its own 99th percentile,
    so that maps show where a model looks and not how steep it is.

    Args:
      images: photographs.
      prior: gradient magnitudes of the prior, not negative.
      adapted: name of a user model (with the user's score, say) -> its magnitudes.
      heading: names the dataset and the method.
      captions: name of a user model -> a line under each of its maps.
    """
    maps = {"prior": prior, **adapted}
    columns = 1 + len(maps)
    size = (2.3 * columns, 2.3 * len(images) + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(images), columns, squeeze=False)
    drawn = None
    for row, image in enumerate(images):
        grid[row, 0].imshow(image)
        for column, values in enumerate(maps.values(), start=1):
            shown = values[row] / max(float(np.percentile(values[row], 99)), 1e-12)
            drawn = grid[row, column].imshow(shown, cmap="magma", vmin=0, vmax=1)
    for axes, name in zip(grid[0], ("image", *maps), strict=True):
        axes.set_title(name, fontsize=10)
    for axes in grid.flat:
        axes.set_axis_off()
    for name, lines in (captions or {}).items():
        column = grid[:, 1 + list(maps).index(name)]
        for axes, line in zip(column, lines, strict=True):
            place = {"va": "top", "ha": "center", "transform": axes.transAxes}
            axes.text(0.5, -0.03, line, fontsize=8, **place)
    if drawn is not None:
        place = {"location": "bottom", "shrink": 0.4, "aspect": 30, "pad": 0.02}
        bar = figure.colorbar(drawn, ax=grid, **place)
        bar.set_label("gradient of the score, over the map's 99th percentile")
    figure.suptitle(heading, fontsize=12)
    return figure
