"""PAM's tables and figures on a made-up world: what is measured, and on whom."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.cli import pam_protocols as pam
from jiaa.cli.pam_features import Features
from jiaa.data import Dataset
from jiaa.types import ImageStore, UserTasks

USERS, IMAGES, WIDTH = 3, 14, 4


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    columns = rng.uniform(0.2, 1.0, (IMAGES, WIDTH + 1)).astype(np.float32)
    ids = np.tile(np.arange(IMAGES, dtype=np.int32), (USERS, 1))
    mask = np.arange(IMAGES) < np.array([[14], [14], [9]])
    scores = (columns[ids, -1] + 0.8 * columns[ids, 0]).astype(np.float32)
    tasks = UserTasks(np.arange(USERS), ids, scores, mask)
    names = tuple(f"{number}.jpg" for number in range(IMAGES))
    store = ImageStore(features=jnp.asarray(columns))
    dataset = Dataset(
        name="made up",
        store=store,
        image_names=names,
        tasks={"train": tasks, "test": tasks},
        workers={number: f"rater {number}" for number in range(USERS)},
        scale=(1.0, 5.0),
        mean_scores=columns[:, -1],
        raters=np.ones(IMAGES, int),
        image_split=np.full(IMAGES, "test"),
    )
    return Features(dataset, store, {"aesthetic": (0, WIDTH)})


def test_curves_are_of_users_with_enough_images_and_are_files(features, tmp_path):
    measured = pam.figure6(
        features,
        tmp_path,
        machine={"c": 0.1},
        album={},
        strategies=("random",),
        first=5,
        last=8,
        held_out=4,
        trials=2,
    )
    assert measured.values["random"].shape == (USERS - 1, 2, 4)
    assert (tmp_path / "curves.png").stat().st_size > 0
    rows = json.loads((tmp_path / "curves.json").read_text())
    assert [(row["strategy"], row["ratings"]) for row in rows] == [
        ("random", 5),
        ("random", 8),
    ]


def test_likeness_is_by_the_block_that_is_named(features):
    store, spans = features.store, {"attributes": (0, 2), "aesthetic": (2, WIDTH)}
    spans |= {"content": (1, 2), "both": (0, 2)}
    described = Features(features.dataset, store, spans)
    tasks = features.dataset.split("test")
    content, ids = np.asarray(store.content), np.asarray(tasks.image_ids[0])
    for visual in ("aesthetic", "both"):
        found = pam.albums_of(described, tasks, visual=visual, visual_weight=2.0)
        seen = 2.0 * content[ids][:, slice(*spans[visual])]
        seen = np.concatenate([seen, content[ids, -1:]], axis=1)
        expected = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        np.testing.assert_allclose(found.distances[0], expected, atol=2e-3)


def test_methods_are_measured_on_the_same_splits(features, tmp_path):
    options = {"weight": 10.0, "noise": 0.03, "prior": 0.01}
    chosen = pam.methods(features, svr={"c": (0.1,)}, ridge=options)
    ridge = {"bayesian_ridge": chosen["bayesian_ridge"]}
    prior = {"params": {}, "batch_stats": {}}
    found = pam.table4(
        features, ridge, tmp_path, prior=prior, shots=(5,), repeats=2, progress=False
    )
    (row,) = (x for x in found["bayesian_ridge"] if x["metric"] == "srocc")
    assert row["mean"] > row["generic"]
    assert (tmp_path / "bayesian_ridge" / "results.csv").exists()


def test_a_world_without_attributes_has_no_table_3(features):
    with pytest.raises(ValueError, match="'made up' has no attributes"):
        pam.table3(features)


def test_where_nobody_rated_enough_the_error_says_how_many_did(features, tmp_path):
    with pytest.raises(ValueError, match=r"at least 102 ratings, .* is 14"):
        pam.figure6(features, tmp_path, machine={}, album={})
    tasks = features.dataset.split("test")
    with pytest.raises(ValueError, match=r"visual='both'; expected .*'aesthetic'"):
        pam.albums_of(features, tasks, visual="both")
    with pytest.raises(ValueError, match="above=150; expected fewer than 14"):
        pam.figure4(features, images=(5,), noises=(0.1,))
