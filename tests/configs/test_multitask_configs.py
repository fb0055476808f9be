"""Every shipped multi-task experiment: its record, its fields, and a step of it all."""

import json
import re

import experiments
import numpy as np
import pytest
from experiments_multitask import shrink, tiny_backbone  # noqa: F401
from ml_collections import ConfigDict

from configs import common_multitask
from jiaa.cli import build, run
from jiaa.cli.multitask import measure

NAMES = experiments.names("multitask")
RECORDED = {
    "aadb": "AADB",
    "ava": "AVA",
    "flickr_aes": "FLICKR-AES",
    "oasis": "OASIS",
    "synthetic": "synthetic",
}


def test_the_experiments_are_found():
    assert {"pa_iaa/synthetic_resnet18", "nima/ava_vgg16"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_names_its_data_and_its_command(name):
    config, record = experiments.load(name), experiments.module_of(name).__doc__
    assert RECORDED[config.dataset] in record
    assert f"--config configs/{name}.py" in record
    for file in re.findall(r"[\w/]+\.py", record):
        assert (experiments.ROOT / file).exists(), file


@pytest.mark.parametrize("name", NAMES)
def test_a_config_has_the_documented_fields_and_survives_json(name):
    config = experiments.load(name).lock()
    plain = build.plain(config)
    read = json.loads(json.dumps(plain))
    assert json.loads(json.dumps(build.plain(ConfigDict(read)))) == read
    known = common_multitask.base()
    assert set(config) == set(known)
    for section in known:
        if isinstance(known[section], ConfigDict) and section != "data":
            assert set(config[section]) == set(known[section]), section
    method, _, dataset = name.partition("/")
    assert (config.method, dataset.startswith(config.dataset)) == (method, True)


# One a method: the others differ in backbone, database and numbers of steps alone.
@pytest.mark.parametrize("name", [x for x in NAMES if "synthetic" in x or "oasis" in x])
def test_a_config_trains_and_evaluates(name, tmp_path):
    variants = getattr(experiments.module_of(name), "VARIANTS", None)
    config = shrink(experiments.load(name, variants and "rank_att_cont"))
    assert run.train(config, tmp_path, progress=False).stat().st_size > 0
    run.evaluate(config, tmp_path, progress=False)
    measured = json.loads((tmp_path / "generic.json").read_text())
    assert 0 <= measured["generic"]["acc"] <= 1
    two = "second" in config.generic.tasks
    assert ("inter_task" in measured, "correlations" in measured) == (two, two)
    if two:
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert {row["shots"] for row in summary["results"]} == {2}
        assert "Generic scores" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("kind", ["steps", "released"])
def test_other_ways_of_fusion_start_at_the_same_generic_score(kind, tmp_path):
    config = shrink(experiments.load("pa_iaa/synthetic_resnet18"))
    run.train(config, tmp_path, progress=False)
    generic = {}
    for way in ("ridge", kind):
        config.fusion.kind = way
        summary = json.loads(run.evaluate(config, tmp_path, progress=False).read_text())
        generic[way] = [row["generic"] for row in summary["results"]]
    np.testing.assert_allclose(generic[kind], generic["ridge"], atol=1e-5)


def test_another_database_is_measured_too(tmp_path):
    config = shrink(experiments.load("nima/synthetic_resnet18"))
    with config.unlocked():
        config.evaluate.databases = {"other": {"seed": 5}}
    run.train(config, tmp_path, progress=False)
    run.evaluate(config, tmp_path, progress=False)
    measured = json.loads((tmp_path / measure.GENERIC_FILE).read_text())
    assert measured["cross"]["other"]["rmse"] != measured["generic"]["rmse"]
