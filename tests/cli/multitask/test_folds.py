"""Ten folds of trait users: each is held out once, and the table has their means."""

import json

import experiments
import pytest
from experiments_multitask import shrink, tiny_backbone  # noqa: F401

from jiaa.cli import run
from jiaa.cli.multitask import folds
from jiaa.cli.options import ConfigError


@pytest.fixture
def config():
    return shrink(experiments.load("pa_iaa/synthetic_resnet18"))


def test_the_table_has_the_means_of_all_folds(config, tmp_path, monkeypatch):
    trained = []

    def train(config, workdir, *, progress):
        trained.append((config.second.fold, workdir))

    def evaluate(config, workdir, *, progress):
        # A constant column of one fold has no coefficient.
        user = config.second.fold / 10 if config.second.fold else float("nan")
        workdir.mkdir()
        measured = {"traits": {"openness": {"user": user, "image": 0.25}}}
        (workdir / folds.GENERIC_FILE).write_text(json.dumps(measured))

    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(run, "evaluate", evaluate)
    target = folds.ten_folds(config, tmp_path, progress=False)
    assert trained == [(fold, tmp_path / f"fold_{fold}") for fold in range(10)]
    measured = json.loads(target.read_text())
    assert measured["traits"] == {"openness": {"user": 0.5, "image": 0.25}}
    assert len(measured["folds"]) == 10
    report = (tmp_path / "report.md").read_text()
    assert "| PA_IAA | user | 0.500 | 0.500 |" in report


def test_ten_folds_are_of_traits_alone(config, tmp_path):
    config.generic.tasks = ("aesthetics",)
    with pytest.raises(ConfigError, match="ten folds are over the users of 'traits'"):
        folds.ten_folds(config, tmp_path)
    with pytest.raises(ConfigError, match=r"second\.task is None"):
        folds.ten_folds(experiments.load("ba_piaa/oasis_squeezenet"), tmp_path)
