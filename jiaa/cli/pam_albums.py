"""Test users' albums, ranked by the generic and by the personal score: PAM, Fig. 3."""

import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jiaa.data import Dataset
from jiaa.data.tasks import episode_key, sample_episode
from jiaa.metrics import spearman
from jiaa.report.albums import ranked_album
from jiaa.report.figures import save
from jiaa.types import ImageStore, Personalizer


def figure3(
    method: Personalizer,
    prior: PyTree,
    dataset: Dataset,
    store: ImageStore,
    out: str | os.PathLike[str],
    *,
    users: int = 3,
    shots: int = 100,
    top: int = 8,
    good: float = 4.0,
    split: str = "test",
) -> list[dict[str, Any]]:
    """album_USER.png of the users with most images; those they were not asked about.

    Args:
      method: learns each user from `shots` ratings drawn at random.
      prior: what all users share.
      dataset: its store has the photographs.
      store: what the method reads of them.
      out: folder of the pictures.
      users: how many.
      shots: ratings that the method learns from.
      top: images a row.
      good: what a good image has at least, in stars; the others are red.
      split: whose users.

    Returns:
      A row a user: "user", "images" ranked, and for both scores the SROCC and how many
      of the `top` are good.
    """
    tasks, rows = dataset.split(split), []
    both = jax.jit(functools.partial(_both, method, prior, store))
    counts = np.asarray(tasks.mask).sum(axis=1)
    for index in np.argsort(-counts, kind="stable")[:users]:
        task = tasks[index]
        key = episode_key(jax.random.key(0), repeat=0, user_id=task.user_id)
        episode = sample_episode(task, shots=shots, key=key)
        query = episode.query
        said = dict(zip(("generic", "personal"), both(episode, key=key), strict=True))
        mask = np.asarray(query.mask)
        stars = np.asarray(query.scores)[mask] * dataset.scale[1]
        scores = {name: np.asarray(x)[mask] for name, x in said.items()}
        user = dataset.workers[int(task.user_id)]
        truth = jnp.asarray(query.scores), jnp.asarray(query.mask)
        row: dict[str, Any] = {"user": user, "images": len(stars)}
        for name, values in said.items():
            best = np.argsort(-scores[name], kind="stable")[:top]
            row[f"{name}_good"] = int((stars[best] >= good).sum())
            row[name] = float(spearman(values, *truth).value)
        rows.append(row)
        pictures = np.asarray(dataset.store.content[np.asarray(query.image_ids)[mask]])
        title = f"{user}: best of {len(stars)} images, own stars below"
        figure = ranked_album(
            pictures, stars, scores=scores, top=top, good=good, title=title
        )
        save(figure, Path(out) / f"album_{user}.png")
    return rows


def _both(method, prior, store, episode, *, key):
    """The query's generic scores and personal ones."""
    adapted = method.adapt(prior, episode, store, key=key)
    before = method.predict(prior, method.init(prior), episode.query, store)
    return before, method.predict(prior, adapted, episode.query, store)
