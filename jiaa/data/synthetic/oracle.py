"""What perfect models would reach in the synthetic world, for reports."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from jiaa.data.synthetic.views import SyntheticView


@dataclasses.dataclass(frozen=True, eq=False)
class Oracles:
    """SROCC with the observed stars, per user, over all images that the user rated.

    `ceiling` is that of the user's own noiseless taste, `perfect_generic` that of the
    part of taste that all raters share. A user who gave one constant score has no
    SROCC: `defined` is False and both are 0.
    """

    workers: list[str]
    ceiling: Float[np.ndarray, " user"]
    perfect_generic: Float[np.ndarray, " user"]
    defined: Bool[np.ndarray, " user"]

    @property
    def mean_ceiling(self) -> float:
        """Mean over the users who have an SROCC."""
        return float(self.ceiling[self.defined].mean())

    @property
    def mean_perfect_generic(self) -> float:
        """Mean over the users who have an SROCC."""
        return float(self.perfect_generic[self.defined].mean())


def oracles(view: SyntheticView, *, split: str = "test") -> Oracles:
    """The oracles of every user of a split (`train` or `test`)."""
    splits = set(view.worker_split.values())
    if split not in splits:
        raise ValueError(f"split={split!r} is unknown; this view has {sorted(splits)}.")
    columns = {name: row for row, name in enumerate(view.image_names)}
    image = np.array([columns[name] for name in view.ratings.image])
    names, scores = [], []
    for row, worker in enumerate(view.truth.workers):
        if view.worker_split[worker] != split:
            continue
        mine = view.ratings.worker == worker
        stars, images = view.ratings.stars[mine], image[mine]
        names.append(worker)
        scores.append(
            (
                _srocc(view.truth.unit_scores[row, images], stars),
                _srocc(view.truth.common[images], stars),
                len(np.unique(stars)) > 1,
            )
        )
    ceiling, generic, defined = np.array(scores, float).T
    return Oracles(names, ceiling, generic, defined.astype(bool))


def _srocc(
    truth: Float[np.ndarray, " rating"], stars: Float[np.ndarray, " rating"]
) -> float:
    """Spearman's correlation with average ranks for ties; 0 for constant stars."""
    if len(np.unique(stars)) < 2:
        return 0.0
    # Imported where it is used: it takes longer than all of jiaa.data.
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (truth, stars)]
    return float(np.corrcoef(ranks)[0, 1])
