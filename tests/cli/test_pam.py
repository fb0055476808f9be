"""PAM's protocols as a command: what is refused, and what a stopped run takes up."""

import json

import pytest

from configs import common
from jiaa.cli import pam
from jiaa.cli.options import ConfigError
from jiaa.train.workdir import WorkdirError


def test_unknown_protocols_and_a_missing_prior_are_refused(tmp_path):
    config = common.base()
    config.pam.protocols = ("table3",)
    with pytest.raises(ConfigError, match=r"config\.prior is empty"):
        pam.run(config, tmp_path)
    config.pam.protocols = ("table9",)
    with pytest.raises(ConfigError, match="table9"):
        pam.run(config, tmp_path)


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("svr", {"nus": (0.5,)}, r"config\.pam\.svr has no 'nus'; .* mean 'nu'"),
        ("svr", {"nu": (1.5,)}, r"config\.pam\.svr: nu="),
        ("fpmf", {"key": 1}, r"config\.pam\.fpmf has no 'key'"),
        ("figure4", {"noise": 0.1}, r"config\.pam\.figure4 has no 'noise'"),
        ("active", {"machine": {"nu": 2.0}, "album": {}}, r"pam\.active\.machine: c="),
        ("active", {"machine": {}, "album": {"kind": "cubic"}}, "no 'cubic'"),
        ("active", {"machine": {}, "album": {}, "lst": 9}, "mean 'last'"),
        ("protocols", ("figure7",), r"config\.pam\.databases is empty"),
        ("databases", {"aadb": 3}, r"config\.pam\.databases\.aadb is 3; expected"),
        (
            "active",
            {"machine": {}, "album": {}, "strategies": ("best",)},
            r"config\.pam\.active\.strategies has no 'best'",
        ),
    ],
)
def test_options_are_checked_before_anything_is_read(section, value, message, tmp_path):
    config = common.base()
    config.prior = str(tmp_path / "nowhere")
    with config.unlocked():
        config.pam[section] = value
    with pytest.raises(ConfigError, match=message):
        pam.run(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stopped_run_goes_on_and_another_config_is_refused(tmp_path, monkeypatch):
    config, ran = common.base(), []

    def stops(features, out, settings):
        ran.append("stops")
        raise KeyboardInterrupt

    protocols = {"first": lambda *_: ran.append("first") or 1, "second": stops}
    monkeypatch.setattr(pam, "PROTOCOLS", protocols)
    monkeypatch.setattr(pam, "load_features", lambda *_, **__: None)
    config.pam.protocols, config.prior = ("first", "second"), "runs/ba"
    with pytest.raises(KeyboardInterrupt):
        pam.run(config, tmp_path)
    protocols["second"] = lambda *_: ran.append("second") or 2
    target = pam.run(config, tmp_path)
    assert json.loads(target.read_text()) == {"first": 1, "second": 2}
    assert ran == ["first", "stops", "second"]
    config.pam.svr = {"c": (0.3,)}
    with pytest.raises(WorkdirError, match="svr"):
        pam.run(config, tmp_path)
