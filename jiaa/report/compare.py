"""Two methods on the same users and splits: what the difference is, and how sure."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import stats

from jiaa.report.figures import LOWER_IS_BETTER
from jiaa.report.runs import Run
from jiaa.report.tables import run_labels


@dataclasses.dataclass(frozen=True)
class Paired:
    """`second` against `first`, user by user (each user's mean over repeats).

    Attributes:
      first: label of a run.
      second: label of another.
      shots: ratings learned from.
      users: how many users both were measured on.
      difference: mean over users of second - first.
      error: its standard error over users.
      better: share of users for whom `second` is better; ties count half.
      p: two-sided, of Wilcoxon's signed-rank test (Biometrics Bulletin 1, 1945), by
        Holm's correction for all pairs of one call; 1 where no user differs.
    """

    first: str
    second: str
    shots: int
    users: int
    difference: float
    error: float
    better: float
    p: float


def paired_tests(runs: Sequence[Run], *, metric: str = "srocc") -> list[Paired]:
    """All pairs of runs on one dataset, at each number of ratings that both have.

    Users that only one of the two was measured on are left out.
    """
    found = []
    labelled = list(zip(run_labels(runs), runs, strict=True))
    for (one, first), (other, second) in itertools.combinations(labelled, 2):
        for shots in sorted(set(first.shots) & set(second.shots)):
            if (metric, shots) in first.values and (metric, shots) in second.values:
                gap = _gaps(first, second, metric=metric, shots=shots)
                if len(gap) > 1:
                    found.append(_paired(one, other, shots, gap, metric=metric))
    return _holm(found)


def _gaps(first: Run, second: Run, *, metric: str, shots: int) -> np.ndarray:
    """Second - first of each common user."""
    rows = {user: row for row, user in enumerate(first.users)}
    common = [(rows[u], row) for row, u in enumerate(second.users) if u in rows]
    if not common:
        return np.zeros(0)
    left, right = np.asarray(common).T
    before = first.per_user(metric, shots)[1][left]
    after = second.per_user(metric, shots)[1][right]
    gap = after - before
    return gap[np.isfinite(gap)]


def _paired(
    first: str, second: str, shots: int, gap: np.ndarray, *, metric: str
) -> Paired:
    better = -gap if metric in LOWER_IS_BETTER else gap
    p = float(stats.wilcoxon(gap).pvalue) if np.any(gap) else 1.0  # pyright: ignore
    return Paired(
        first=first,
        second=second,
        shots=shots,
        users=len(gap),
        difference=float(gap.mean()),
        error=float(gap.std(ddof=1) / np.sqrt(len(gap))),
        better=float(np.mean(better > 0) + np.mean(better == 0) / 2),
        p=p,
    )


def _holm(found: list[Paired]) -> list[Paired]:
    """The same with p-values that hold for all of them together (Holm 1979)."""
    order = sorted(range(len(found)), key=lambda i: found[i].p)
    corrected, running = list(found), 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(found) - place) * found[index].p))
        corrected[index] = dataclasses.replace(found[index], p=running)
    return corrected
