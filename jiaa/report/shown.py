"""What a multi-task run keeps of its evaluation to be seen, and its figures.

`Shown` is written by the evaluation, so that a report needs neither the database nor
the network: PDMTL's Fig. 4 (weights), PA_IAA's Fig. 5 (distributions beside
photographs) and Fig. 7 (two users' pictures).
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

SHOWN_FILE = "shown.npz"


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """Some test photographs, and some of two users' with what is said of them.

    Attributes:
      images: photographs from the best to the worst by the crowd.
      predicted: their predicted distributions; one column: mean unit scores.
      true: the crowd's.
      second: outputs of the second task; no columns without one.
      outputs: their names.
      users: names of users.
      user_images: some of each user's photographs that the fusion was not fitted to.
      scores: "user", "fused" and "generic" unit scores of these.
      weights: each user's fitted weights.
      high: the highest star.
    """

    images: UInt8[np.ndarray, "image height width 3"]
    predicted: Float[np.ndarray, "image bin"]
    true: Float[np.ndarray, "image bin"]
    second: Float[np.ndarray, "image output"]
    outputs: tuple[str, ...]
    users: tuple[str, ...]
    user_images: UInt8[np.ndarray, "user picture user_height user_width 3"]
    scores: Mapping[str, Float[np.ndarray, "user picture"]]
    weights: Float[np.ndarray, "user output"]
    high: float


SAID = ("user", "fused", "generic")


def write_shown(shown: Shown, path: str | os.PathLike[str]) -> None:
    """One .npz file."""
    arrays: dict[str, Any] = dataclasses.asdict(shown)
    scores = arrays.pop("scores")
    arrays |= {f"score_{name}": scores[name] for name in SAID}
    with Path(path).open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_shown(workdir: str | os.PathLike[str]) -> Shown | None:
    """What a run has kept; None where there is nothing.

    Raises:
      ValueError: the file is damaged.
    """
    path = Path(workdir) / SHOWN_FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            values: dict[str, Any] = dict(arrays)
        values["scores"] = {name: values.pop(f"score_{name}") for name in SAID}
        for name in ("outputs", "users"):
            values[name] = tuple(values[name].tolist())
        values["high"] = float(values["high"])
        return Shown(**values)
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise ValueError(
            f"{path}: no record of what is shown ({error}). Run scripts/evaluate.py on "
            "this workdir again."
        ) from error


def run_figures(found: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Word for a file's name -> (figure, title) of a run's `generic.read_generic`."""
    from jiaa.report import personality  # Matplotlib: only where something is drawn

    drawn: dict[str, tuple[Any, str]] = {}
    of = f"{found['label']} on {found['dataset']}"
    if "inter_task" in found:
        weights = found["inter_task"]["weights"]
        title = f"{of}: weights fitted to the crowd's mean scores"
        values = {found["label"]: np.asarray(list(weights.values()))}
        figure = personality.trait_weights(values, names=list(weights), heading=title)
        drawn["weights"] = figure, title
    shown = read_shown(found["workdir"])
    if shown is None:
        return drawn
    if shown.predicted.shape == shown.true.shape:
        what = "distributions" if shown.predicted.shape[1] > 1 else "scores"
        title = f"{of}: predicted and true {what}"
        drawn[what] = _photographs(shown, title), title
    if shown.users:
        title = f"{of}: users' pictures, which the fusion was not fitted to"
        drawn["pictures"] = _pictures(shown, title), title
    return drawn


def _photographs(shown: Shown, heading: str) -> Any:
    from jiaa.report import personality

    return personality.distributions(
        shown.images,
        shown.predicted,
        shown.true,
        second=shown.second if shown.outputs else None,
        names=shown.outputs,
        heading=heading,
    )


def _pictures(shown: Shown, heading: str) -> Any:
    from jiaa.report import personality

    rows = range(len(shown.users))
    return personality.users_pictures(
        list(shown.user_images),
        [{name: x[row] for name, x in shown.scores.items()} for row in rows],
        weights=list(shown.weights),
        names=shown.outputs,
        users=shown.users,
        high=shown.high,
        heading=heading,
    )
