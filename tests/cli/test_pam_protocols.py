"""PAM's tables and figures on a made-up world: what is measured, and on whom."""

import dataclasses
import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from configs import common
from jiaa.cli import pam_protocols as pam
from jiaa.cli.options import ConfigError
from jiaa.cli.pam_albums import figure3
from jiaa.cli.pam_crowd import table1, worker_qualities
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


def test_albums_are_those_of_most_images_and_are_pictures(features, tmp_path):
    pixels = np.zeros((IMAGES, 8, 8, 3), np.uint8)
    dataset = dataclasses.replace(features.dataset, store=ImageStore(images=pixels))
    method = pam.feature_variants(features, svr={"c": (0.1,)})["pam_aesthetic"]
    rows = figure3(
        method,
        {"params": {}, "batch_stats": {}},
        dataset,
        features.store,
        tmp_path,
        users=2,
        shots=6,
        top=3,
    )
    assert [row["images"] for row in rows] == [8, 8]
    for row in rows:
        assert row["personal"] > row["generic"]
        assert (tmp_path / f"album_{row['user']}.png").stat().st_size > 0


def test_table_1_is_of_all_raters_with_known_quality(features):
    # All three rated image 0; the third, of quality 0, does not count.
    quality = {"rater 0": 1.0, "rater 1": 1.0, "rater 2": 0.0}
    table = table1(features.dataset, quality)
    assert (table["workers"], table["quality"]) == (3, pytest.approx(2 / 3))
    whole, *parts = table["ranges"]
    assert whole["images"] == sum(row["images"] for row in parts) <= IMAGES
    # Everybody gives the same score.
    assert whole["mean"] == pytest.approx(0.0, abs=1e-6)


def test_a_world_without_gold_images_has_no_table_1():
    config: Any = common.base()
    config.data.name = "oasis"
    with pytest.raises(ConfigError, match="known stars, which 'oasis' lacks"):
        worker_qualities(config)


def test_the_synthetic_world_has_gold_images():
    config: Any = common.base()
    config.data.name = "synthetic"
    config.data.train_users, config.data.train_images = 6, 10
    config.data.test_users, config.data.test_ratings = 2, (5, 6)
    found = worker_qualities(config)
    assert len(found) == 8
    assert 0.5 < np.mean(list(found.values())) <= 1.0
