"""An album ranked by the generic and by the personal score: PAM (ICCV 2017), Fig. 3."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

RED = "#d55e00"


def ranked_album(
    images: UInt8[np.ndarray, "image height width 3"],
    stars: Float[np.ndarray, " image"],
    *,
    scores: Mapping[str, Float[np.ndarray, " image"]],
    top: int = 8,
    good: float = 4.0,
    title: str = "",
) -> Figure:
    """A row of the best images by each score, with the user's own stars below.

    Args:
      images: of the album.
      stars: the user's own; those below `good` are red.
      scores: row's name -> scores that rank it, such as "generic" and "personal".
      top: images a row.
      good: what a good image has at least, in stars.
      title: above all.

    Raises:
      ValueError: no scores.
    """
    if not scores:
        raise ValueError("scores is empty; give at least one name with its scores")
    columns = min(top, len(images))
    size = (1.3 * columns, 1.7 * len(scores) + 0.3 * bool(title))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(len(scores), columns, squeeze=False)
    for row, (name, values) in zip(grid, scores.items(), strict=True):
        best = np.argsort(-np.asarray(values), kind="stable")[:columns]
        for axes, image in zip(row, best, strict=True):
            axes.imshow(images[image])
            axes.set_xticks([])
            axes.set_yticks([])
            own = float(stars[image])
            color = RED if own < good else "0.2"
            axes.set_xlabel(f"{own:g}", color=color, fontsize=9)
            axes.spines[:].set_color(color)
        row[0].set_ylabel(name)
    return figure
