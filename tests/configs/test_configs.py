"""Every shipped experiment: its record, its fields, and one step of all it does."""

import json
import logging
import re

import experiments
import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from configs import common
from jiaa.cli import build, learners, run
from jiaa.data import DataError
from jiaa.types import ImageStore, UserTasks

NAMES = experiments.names()
ALL = [(name, variant) for name in NAMES for variant in experiments.variants(name)]
DATASETS = {
    "flickr_aes": "FLICKR-AES",
    "folder": "folder",
    "oasis": "OASIS",
    "synthetic": "synthetic",
}
# Each method that learns a whole network, map of a trunk and family of backbones once.
OWN_BACKBONE = (
    "ba_piaa/oasis_squeezenet",
    "blg_piaa/synthetic_resnet18",
    "blend/oasis_efficientnet_lite2",
    "ridge/folder_features",
)


def test_the_experiments_are_found():
    assert {"ba_piaa/oasis_squeezenet", "blg_piaa/flickr_aes_resnet18"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_names_its_data_and_its_command(name):
    record = experiments.module_of(name).__doc__
    assert DATASETS[experiments.load(name).dataset] in record
    named = re.findall(r"[\w/]+\.py", record)
    folder = experiments.ROOT / "configs" / name.split("/")[0]
    files = [
        path
        for file in named
        for path in (folder / file, experiments.ROOT / file, folder.parent / file)
        if path.exists()
    ]
    # A variant may point to its sibling's commands.
    texts = [record, *(path.read_text() for path in files if path.parent == folder)]
    assert any("python scripts/" in text for text in texts)
    for file in named:
        assert list(experiments.ROOT.glob(f"**/{file}")), f"{file} does not exist"
    for command in re.findall(r"--config (configs/[\w/]+\.py)", record):
        assert (experiments.ROOT / command).exists()


@pytest.mark.parametrize(("name", "variant"), ALL)
def test_a_config_has_the_documented_fields_and_survives_json(name, variant):
    config = experiments.load(name, variant).lock()
    plain = build.plain(config)
    read = json.loads(json.dumps(plain))
    assert json.loads(json.dumps(build.plain(ConfigDict(read)))) == read
    known = common.base()
    assert set(config) == set(known)
    free = ("data",)  # options of its loader
    for section in known:
        if isinstance(known[section], ConfigDict) and section not in free:
            assert set(config[section]) == set(known[section]), section
    method, _, dataset = name.partition("/")
    assert (config.method, dataset.startswith(config.dataset)) == (method, True)
    with pytest.raises(AttributeError):
        config.stepz = 1


def test_users_of_a_whole_network_are_mapped_one_by_one_on_a_cpu(caplog):
    """At its real size, traced only: 80 + 20 ratings on images of 256 pixels."""
    config = experiments.load("blg_piaa/flickr_aes_resnet18")
    assert (config.meta.strategy, config.evaluate.strategy) == ("auto", "auto")
    network = build.model(config)
    view = build.image_view(config)
    loop = learners.inner_loop(config, network, method="__call__", view=view)
    step = learners.meta_step(config, loop, users=4, width=1)
    prior = build.variable_shapes(network)
    rated = (4, 171)

    def iterate(prior, key):
        zeros = jnp.zeros(rated, int)
        tasks = UserTasks(jnp.arange(4), zeros, zeros.astype(float), zeros == 0)
        store = ImageStore(images=jnp.zeros((200, 256, 256, 3), jnp.uint8))
        return step(step.init_state(prior, key=key), jnp.arange(4), tasks, store)

    with caplog.at_level(logging.INFO, "jiaa.meta.task_axis"):
        jax.eval_shape(iterate, prior, jax.random.key(0))
    (record,) = caplog.records
    assert "user axis on cpu: map, 1 of 4 users at once" in record.getMessage()


def train_and_evaluate(config, workdir):
    assert run.train(config, workdir, progress=False).stat().st_size > 0
    if config.data.get("test_users") == ():
        with pytest.raises(DataError, match="no 'test' users"):
            run.evaluate(config, workdir, progress=False)
        return
    summary = json.loads(run.evaluate(config, workdir, progress=False).read_text())
    assert (summary["method"], summary["dataset"]) == (config.method, config.dataset)
    rows = summary["results"]
    assert {row["shots"] for row in rows} == {2}
    assert all(row["repeats"] == 2 for row in rows)
    steps = config.meta.steps
    rows = (workdir / "metrics.jsonl").read_text().splitlines() if steps else []
    assert len(rows) == steps


@pytest.mark.parametrize("name", [x for x in NAMES if x not in OWN_BACKBONE])
def test_a_config_trains_and_evaluates(name, tiny_world, tmp_path):
    with experiments.glancing():
        config = experiments.glance_at(name, tiny_world)
        train_and_evaluate(config, tmp_path / "run")


# With each the layers, taps and rates of its own backbone, fewer of them.
@pytest.mark.parametrize(
    "name",
    [
        x if x in OWN_BACKBONE else pytest.param(x, marks=pytest.mark.slow)
        for x in NAMES
    ],
)
def test_a_config_trains_and_evaluates_its_own_backbone(
    name, tiny_world, shallow, tmp_path
):
    config = experiments.shrink(experiments.load(name), tiny_world)
    train_and_evaluate(config, tmp_path / "run")
