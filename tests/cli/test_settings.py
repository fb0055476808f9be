"""Settings reach a config or say why not; a record gives its config back."""

import json

import pytest
from ml_collections import ConfigDict

from configs import common
from jiaa.cli import build
from jiaa.cli.options import ConfigError
from jiaa.cli.settings import assign, differences, finished_file, recorded_config
from jiaa.train.workdir import Workdir, WorkdirError


@pytest.fixture
def config():
    return common.base()


@pytest.mark.parametrize(
    ("setting", "read", "expected"),
    [
        ("generic.steps=7", lambda c: c.generic.steps, 7),
        ('meta.rates=((".*", 0.5),)', lambda c: c.meta.rates, ((".*", 0.5),)),
        ("data.image_size=(288, 360)", lambda c: c.data.image_size, (288, 360)),
        ("data.root=some/folder", lambda c: c.data.root, "some/folder"),
        ("data.root=2024", lambda c: c.data.root, "2024"),
        ("data.seed=3", lambda c: c.data.seed, 3),
        ("model.head_options.hidden=(8,)", lambda c: c.model.head_options.hidden, (8,)),
        ("view.augment=False", lambda c: c.view.augment, False),
        ("seed=5", lambda c: c.seed, 5),
    ],
)
def test_a_setting_reaches_its_field(config, setting, read, expected):
    assign(config, [setting])
    assert read(config) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("generic.steps", "sets nothing; expected path=value"),
        (
            "generic.step=7",
            "no 'generic.step'; known: batch_size, .*did you mean 'steps'",
        ),
        ("generics.steps=7", "no section 'generics'"),
        ("seed.x=7", "no section 'seed'"),
        ("generic.steps=many", "expected a value such as 10000"),
        ("view.augment=1", "expected a value such as True"),
        ("model.head_options=7", "expected a value such as"),
        ("model.head_options=(7,)", "expected a value such as"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(config, setting, message):
    with pytest.raises(ValueError, match=message):
        assign(config, [setting])


def test_a_recorded_pair_stays_a_pair():
    recorded = ConfigDict({"data": {"image_size": (288, 360)}})
    with pytest.raises(ConfigError, match=r"image_size=3': .* such as \(288, 360\)"):
        assign(recorded, ["data.image_size=3"])


def test_a_record_gives_back_the_config_with_its_tuples(config, tmp_path):
    assign(config, ['meta.rates=((".*", 0.5),)', "model.head_options.hidden=(8, 4)"])
    with Workdir(tmp_path, config=build.plain(config)):
        pass
    again = recorded_config(tmp_path)
    assert build.plain(again) == build.plain(config)
    hash(build.plain(again.model.head_options)["hidden"])
    assert isinstance(again.trunk, ConfigDict)
    assert json.loads((tmp_path / "config.json").read_text())["config"]


@pytest.mark.parametrize("text", ["[1, 2]", "{}", '{"config": [1]}', "{"])
def test_a_record_of_another_shape_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WorkdirError, match=r"config\.json is not .*Restore it"):
        recorded_config(tmp_path)


def test_differences_name_what_counts_and_nothing_else(config):
    other = config.copy_and_resolve_references()
    assert differences(config, other, sections=("data", "model")) == []
    changes = ["data.root=elsewhere", "data.progress=False", "model.weights=x.pth"]
    assign(other, [*changes, "data.scale=(1, 7)", "model.head=pooled"])
    with other.unlocked():
        del other.data.min_ratings  # as in records of older versions
    assert differences(config, other, sections=("data", "model")) == [
        "data.scale is None there, (1, 7) here",
        "model.head is 'released' there, 'pooled' here",
    ]


def test_an_unfinished_run_is_told_from_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no workdir of a run"):
        finished_file(tmp_path, "prior.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="no training has finished"):
        finished_file(tmp_path, "prior.safetensors")


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no workdir of a run"):
        recorded_config(tmp_path)
