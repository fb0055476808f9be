"""Fig. 4 of PAM: noise correlates less with features than taste does."""

import jax
import numpy as np
import pytest

from jiaa.evaluate.fake_workers import fake_worker_ranks
from jiaa.types import UserTasks

WORKERS, IMAGES, FAKES = 6, 60, 4


def world(*, taste):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(IMAGES, 3)).astype(np.float32)
    crowd = rng.uniform(0.3, 0.9, IMAGES).astype(np.float32)
    own = taste * rng.normal(size=(WORKERS, 3)) @ features.T
    scores = crowd + own + 0.05 * rng.normal(size=(WORKERS, IMAGES))
    ids = np.tile(np.arange(IMAGES, dtype=np.int32), (WORKERS, 1))
    tasks = UserTasks(
        np.arange(WORKERS), ids, scores.astype(np.float32), np.ones(ids.shape, bool)
    )
    options = {"images": 50, "noise": 0.1, "fakes": FAKES, "repeats": 6}
    return fake_worker_ranks(features, crowd, tasks, key=jax.random.key(0), **options)


def test_fake_workers_come_last_where_there_is_taste():
    np.testing.assert_allclose(world(taste=0.2), (FAKES + 1) / 2)


def test_they_cannot_be_told_apart_where_there_is_none():
    expected = (WORKERS + FAKES + 1) / 2
    assert world(taste=0.0).mean() == pytest.approx(expected, abs=1.5)
