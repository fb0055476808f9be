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
from jiaa.cli.multitask import check, measure
from jiaa.report.shown import read_shown
from jiaa.train.workdir import WorkdirError

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


def test_the_papers_numbers_are_the_configs():
    """PDMTL, Sec. 4.1; PA_IAA, Sec. IV-A3 and eq. 8; batches of 50."""
    flickr, ava, pdmtl = (
        experiments.load(name)
        for name in (
            "pa_iaa/flickr_aes_inception_v3",
            "pa_iaa/ava_inception_v3",
            "pdmtl/ava_densenet121",
        )
    )
    for config in (flickr, ava, pdmtl):
        generic = config.generic
        assert dict(generic.rates) == {"backbone/.*": 1e-5, ".*": 1e-4}
        assert build.plain(generic.optimizer_options) == {
            "momentum": 0.9,
            "weight_decay": 1e-5,
        }
        assert (generic.optimizer, generic.schedule) == ("sgd", "exponential_epochs")
        assert tuple(config.model.hidden) == (1024, 512)
        assert config.fusion.rate == 1e-4
    assert flickr.generic.steps_per_epoch == 35_263 // 50
    assert ava.generic.steps_per_epoch == pdmtl.generic.steps_per_epoch == 230_000 // 50
    for config, epochs in ((flickr, 50), (ava, 50), (pdmtl, 20)):
        assert config.generic.steps == epochs * config.generic.steps_per_epoch
        assert config.fusion.epochs == epochs
    assert (flickr.generic.mode, flickr.generic.gamma) == ("joint", 1.0)
    assert (flickr.model.batch_norm, pdmtl.model.batch_norm) == (True, False)
    assert pdmtl.generic.mode == "alternating"


# One a method; the others differ in backbone, database and numbers of steps alone.
# PA_IAA's is in tests/cli/multitask, from raw files; OASIS' has NIMA's loss.
# With what each does besides.
SMALL = {
    "kong/synthetic_resnet18": {"evaluate.databases": {"other": {"seed": 5}}},
    "mt_iaa/synthetic_resnet18": {},
    "pa_iaa/oasis_squeezenet": {},
    "pdmtl/synthetic_resnet18": {"fusion.kind": "steps", "fusion.epochs": 2},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_config_trains_and_evaluates(name, tmp_path, monkeypatch):
    if name != "pdmtl/synthetic_resnet18":  # drawing takes longer than the rest
        monkeypatch.setattr(measure, "write_report", lambda *paths: None)
    variants = getattr(experiments.module_of(name), "VARIANTS", None)
    config = shrink(experiments.load(name, variants and "rank_att_cont"))
    with config.unlocked():
        config.update_from_flattened_dict(SMALL[name])
    assert run.train(config, tmp_path, progress=False).stat().st_size > 0
    run.evaluate(config, tmp_path, progress=False)
    measured = json.loads((tmp_path / measure.GENERIC_FILE).read_text())
    assert 0 <= measured["generic"]["acc"] <= 1
    two = "second" in config.generic.tasks
    assert ("inter_task" in measured, "correlations" in measured) == (two, two)
    assert (tmp_path / "summary.json").exists() == two
    if two:
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert {row["shots"] for row in summary["results"]} == {2}
    # What is particular to one of them:
    if name.startswith("kong"):
        assert measured["cross"]["other"]["rmse"] != measured["generic"]["rmse"]
        config.data.seed = 7
        with pytest.raises(WorkdirError, match=r"data\.seed is None there, 7 here"):
            run.evaluate(config, tmp_path, progress=False)
    if name.startswith("pdmtl"):
        text = (tmp_path / "report.md").read_text()
        assert "Fused generic scores, and the weights" in text
        for figure in ("weights", "scores", "pictures", "users"):
            assert list(tmp_path.glob(f"{figure}_synthetic_PDMTL*.png")), figure
    if name.startswith("mt_iaa"):
        shown = read_shown(tmp_path)
        assert shown.images.shape == (4, 24, 24, 3)
        assert (np.diff(shown.true @ np.arange(1, 6)) <= 0).all()
        assert shown.user_images.shape[:2] == shown.scores["fused"].shape == (2, 4)


def test_every_shipped_config_is_in_order(monkeypatch):
    for name in NAMES:
        config = experiments.load(name)
        with config.unlocked():
            config.model.backbone, config.model.backbone_options = "tiny", {}
        check.check(config)
