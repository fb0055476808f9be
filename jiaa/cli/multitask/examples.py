"""Which of a run's test photographs and users its report shows (`report.shown`)."""

from typing import Any

import numpy as np

from jiaa.cli.multitask.network import Problem
from jiaa.cli.multitask.users import fused
from jiaa.cli.options import Config
from jiaa.data.distributions import crowd
from jiaa.models.personality import AESTHETICS
from jiaa.personalize import RidgeFusion
from jiaa.report.shown import SAID, Shown
from jiaa.types import Episode, Examples, ImageStore

PICTURES, USERS, SIDE = 4, 2, 128


def chosen(
    config: Config,
    found: Problem,
    outputs: dict[str, np.ndarray],
    ids: np.ndarray,
    *,
    columns: ImageStore | None,
) -> Shown:
    """Photographs from the crowd's best to its worst, and of the first two test users.

    Args:
      config: its fusion by ridge is what users' pictures are scored by.
      found: of the run.
      outputs: what was predicted of the photographs `ids`.
      ids: the test photographs.
      columns: of `output_store`; None where no user is measured.
    """
    truth = crowd(found.dataset, "test")
    order = np.argsort(-truth.scores[ids], kind="stable")
    rows = order[_spread(len(order))]
    second = found.second.name if found.second is not None else None
    predicted = outputs[AESTHETICS][rows]
    true = truth.scores[:, None]
    if truth.shares is not None and predicted.shape[1] > 1:
        true = truth.shares
    names = found.second.outputs if found.second is not None else ()
    users = _nobody(len(names))
    if columns is not None:
        users = _users(config, found, columns)
    return Shown(
        images=_pictures(found, ids[rows]),
        predicted=predicted,
        true=true[ids[rows]],
        second=outputs[second][rows] if second else np.zeros((len(rows), 0)),
        outputs=names,
        high=float(found.dataset.scale[1]),
        **users,
    )


def _users(config: Config, found: Problem, columns: ImageStore) -> dict[str, Any]:
    """The fields of `Shown` that are about users."""
    assert found.second is not None
    tasks, width = found.dataset.split("test"), len(found.second.outputs)
    section = config.fusion
    method = RidgeFusion(width, section.strength, section.offset)
    parts: dict[str, list[Any]] = {name: [] for name in (*SAID, "weights", "images")}
    names = []
    rated = np.flatnonzero(np.asarray(tasks.mask).sum(axis=1) > PICTURES)
    if not len(rated):
        return _nobody(width)
    for task in (tasks[int(row)] for row in rated[:USERS]):
        scores, real = np.asarray(task.scores), np.flatnonzero(task.mask)
        order = real[np.argsort(-scores[real], kind="stable")]
        kept = order[_spread(len(order))]
        others = np.asarray(task.mask).copy()
        others[kept] = False
        ids = np.asarray(task.image_ids)
        support = Examples(ids, scores, others)
        query = Examples(ids[kept], scores[kept], np.ones(len(kept), bool))
        user = np.asarray(task.user_id)
        said = fused(method, Episode(user, support, query), columns)
        for name, values in said.items():
            parts[name].append(np.asarray(values))
        parts["user"].append(scores[kept])
        parts["images"].append(_pictures(found, ids[kept]))
        names.append(found.dataset.workers[int(task.user_id)])
    stacked = {name: np.stack(values) for name, values in parts.items()}
    return {
        "users": tuple(names),
        "user_images": stacked["images"],
        "weights": stacked["weights"],
        "scores": {name: stacked[name] for name in SAID},
    }


def _nobody(width: int) -> dict[str, Any]:
    return {
        "users": (),
        "user_images": np.zeros((0, PICTURES, 1, 1, 3), np.uint8),
        "weights": np.zeros((0, width)),
        "scores": {name: np.zeros((0, PICTURES)) for name in SAID},
    }


def _spread(count: int) -> np.ndarray:
    """Places of so many pictures in an order, from its first to its last."""
    return np.linspace(0, count - 1, min(PICTURES, count)).astype(int)


def _pictures(found: Problem, ids: np.ndarray) -> np.ndarray:
    """Photographs by every so many pixels, no longer than `SIDE`."""
    whole = np.asarray(found.dataset.store.content[np.asarray(ids)])
    step = -(-max(whole.shape[1:3]) // SIDE)
    return whole[:, ::step, ::step]
