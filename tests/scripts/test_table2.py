"""Table II's command: which experiments it runs, what it skips, what it refuses."""

import importlib
import re

import numpy as np
import pytest

from jiaa.cli import build, run
from jiaa.evaluate import results
from jiaa.evaluate.personalization import Results
from jiaa.report import published
from jiaa.train.workdir import Workdir, WorkdirError
from scripts import table2

CELLS = [(method, b) for b in table2.BACKBONES for method in table2.METHODS]


def config_module(method, backbone):
    return importlib.import_module(f"configs.{method}.flickr_aes_{backbone}")


def flags_of(tmp_path, *more, dataset="synthetic"):
    weights = ["--weights", "none"] if dataset == "flickr_aes" else []
    arguments = ["--dataset", dataset, "--runs", str(tmp_path), *weights, *more]
    return table2.parse(arguments)


@pytest.fixture
def ran(monkeypatch):
    """Stages that leave what real ones leave; the list names which ran."""
    done = []

    def train(config, workdir):
        done.append(("train", config.method, config.model.backbone))
        with Workdir(workdir, config=build.plain(config)):
            pass

    def evaluate(config, workdir):
        done.append(("evaluate", config.method, config.model.backbone))
        value = np.full((2, 1, 2), 0.5)
        measured = Results(
            user_id=np.array([1]),
            shots=(10, 100),
            repeat=np.arange(2),
            values={"srocc": value, "generic_srocc": value - 0.1},
            scores={},
            seconds=3.0,
        )
        facts = {"method": config.method, "dataset": config.dataset}
        results.write(measured, workdir, **facts, names={1: "ann"})

    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(run, "evaluate", evaluate)
    return done


@pytest.mark.parametrize("number", published.backbones(), ids=str)
def test_a_config_s_record_tells_its_published_number(number):
    record = config_module(number.method, number.backbone).__doc__
    told = rf"{number.mean:.3f} \+- {number.std:.3f} with {number.shots}"
    assert re.search(told, " ".join(record.split()))
    assert "Never run here" in record


@pytest.mark.parametrize(("method", "backbone"), CELLS)
def test_flickr_aes_experiments_are_those_of_the_released_program(method, backbone):
    config = config_module(method, backbone).get_config()
    assert (config.method, config.model.backbone) == (method, backbone)
    assert config.dataset == config.data.name == "flickr_aes"
    assert (config.model.head, config.model.tap) == ("released", "logits")
    sizes = (342, 299) if backbone == "inception_v3" else (256, 224)
    assert (config.data.image_size, config.view.size) == sizes
    assert not config.trunk.frozen
    assert config.inner.adapts == "all"
    assert config.adapt.rates == ((".*", 1e-5),)
    assert config.adapt.steps == 20
    assert config.evaluate.repeats == 50
    # BLG-PIAA starts from ImageNet's weights, BA-PIAA is never meta-trained.
    assert bool(config.generic.steps) == (method == "ba_piaa")
    assert bool(config.meta.steps) == (method == "blg_piaa")


@pytest.mark.parametrize("backbone", table2.BACKBONES)
def test_the_two_methods_share_all_but_how_the_prior_is_learned(backbone):
    ba, blg = (
        build.plain(config_module(method, backbone).get_config())
        for method in table2.METHODS
    )
    different = {name for name in ba if ba[name] != blg[name]}
    assert different == {"method", "generic", "meta"}


def test_all_six_run_once_and_are_skipped_afterwards(tmp_path, ran, capsys):
    arguments = ["--dataset", "synthetic", "--runs", str(tmp_path)]
    table2.main(arguments)
    stages = [(s, *cell) for cell in CELLS for s in ("train", "evaluate")]
    assert ran == stages
    table = capsys.readouterr().out
    for name in ("AlexNet | BA-PIAA", "ResNet18 | BLG-PIAA", "Inception-v3 | BLG"):
        assert name in table
    assert table.count("0.500 ± 0.000") == 12
    assert "0.669 ± 0.013" in table
    table2.main(arguments)
    assert ran == stages
    page = (tmp_path / "table2.md").read_text()
    assert "These numbers are synthetic" in page
    assert "FLICKR-AES, 100 ratings (published, not rerun here)" in page


def test_a_killed_run_goes_on_with_what_is_missing(tmp_path, ran):
    arguments = ["--dataset", "synthetic", "--runs", str(tmp_path)]
    table2.main([*arguments, "--backbones", "resnet18"])
    (tmp_path / "blg_piaa_resnet18" / "summary.json").unlink()
    ran.clear()
    table2.main([*arguments, "--backbones", "resnet18"])
    stages = [("train", "blg_piaa", "resnet18"), ("evaluate", "blg_piaa", "resnet18")]
    assert ran == stages


def test_finished_runs_of_other_settings_are_not_shown_for_these(tmp_path, ran):
    arguments = ["--dataset", "synthetic", "--runs", str(tmp_path)]
    table2.main([*arguments, "--backbones", "resnet18"])
    changed = ["--backbones", "resnet18", "--set", "evaluate.repeats=3"]
    with pytest.raises(WorkdirError, match=r"evaluate\.repeats was 10 and is 3"):
        table2.main([*arguments, *changed])


def test_on_the_synthetic_world_blg_starts_from_ba_s_network(tmp_path):
    flags = flags_of(tmp_path)
    for backbone in table2.BACKBONES:
        ba, blg = (table2.experiment(flags, m, backbone) for m in table2.METHODS)
        assert blg.prior == str(tmp_path / f"ba_piaa_{backbone}")
        assert blg.model == ba.model
        assert ba.trunk.frozen
        assert blg.trunk.frozen


def test_settings_reach_all_runs_or_those_that_they_name(tmp_path):
    given = ["evaluate.repeats=3", "alexnet:generic.steps=5", "blg_piaa:meta.steps=6"]
    flags = flags_of(tmp_path, *(x for s in given for x in ("--set", s)))
    for method, backbone in CELLS:
        config = table2.experiment(flags, method, backbone)
        assert config.evaluate.repeats == 3
        assert (config.generic.steps == 5) == (backbone == "alexnet")
        assert config.meta.steps == (6 if method == "blg_piaa" else 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("vgg16:generic.steps=5", "'vgg16' is none of ba_piaa, blg_piaa, alexnet"),
        ("meta.steps=5", "ba_piaa, which has no meta-training"),
        ("generic.step=5", "no 'generic.step'"),
    ],
)
def test_a_setting_that_fits_no_run_is_refused(tmp_path, setting, message):
    flags = flags_of(tmp_path, "--set", setting)
    with pytest.raises(ValueError, match=message):
        table2.experiment(flags, "ba_piaa", "resnet18")


def test_a_setting_may_hold_a_colon(tmp_path):
    flags = flags_of(tmp_path, "--set", "model.head_options={'hidden': (8,)}")
    config = table2.experiment(flags, "ba_piaa", "resnet18")
    assert config.model.head_options.hidden == (8,)


def test_flickr_aes_asks_for_weights_or_a_word(tmp_path, capsys):
    with pytest.raises(SystemExit):
        table2.parse(["--dataset", "flickr_aes", "--runs", str(tmp_path)])
    assert "--weights none to start at random" in capsys.readouterr().err
    flags = flags_of(tmp_path, dataset="flickr_aes")
    assert table2.experiment(flags, "ba_piaa", "alexnet").model.weights == ""


def test_each_backbone_finds_its_file_of_weights(tmp_path):
    names = ("alexnet-owt-7be5be79.pth", "resnet18-f37072fd.pth", "resnet18.md")
    for name in names:
        (tmp_path / name).touch()
    flags = flags_of(tmp_path, "--weights", str(tmp_path), dataset="flickr_aes")
    config = table2.experiment(flags, "blg_piaa", "resnet18")
    assert config.model.weights == str(tmp_path / names[1])
    with pytest.raises(ValueError, match="holds nothing for inception_v3"):
        table2.experiment(flags, "ba_piaa", "inception_v3")
    (tmp_path / "resnet18.safetensors").touch()
    with pytest.raises(ValueError, match=r"'resnet18-f37072fd\.pth', 'resnet18\.saf"):
        table2.weights_file(tmp_path, "resnet18")
