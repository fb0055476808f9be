"""A trunk taught the training raters' tastes, and what is refused."""

import numpy as np
import pytest

from jiaa.cli import build, run
from jiaa.cli.options import ConfigError
from jiaa.cli.tune import tune
from jiaa.models import pretrained, torch_names
from jiaa.train.workdir import WorkdirError

TRUNK, BA = "ba_piaa/_oasis_squeezenet_trunk", "ba_piaa/oasis_squeezenet"


@pytest.fixture
def tiny(small, monkeypatch):
    """The shipped experiment with the quick backbone, tuned for three steps."""
    names = (("classifier.1", "dense", "dense"),)
    monkeypatch.setitem(torch_names.LAYERS, "glance", names)
    changes = {"steps": 3, "warmup_steps": 1, "size": 32, "batch_size": 6}
    return small(TRUNK, **{f"tune.{name}": value for name, value in changes.items()})


def test_the_tuned_trunk_is_a_weights_file_of_the_experiment(tiny, small, tmp_path):
    path = tune(tiny, tmp_path / "trunk", progress=False)
    network = build.model(tiny)
    tuned = pretrained.load_pretrained(path, network.backbone)
    assert np.isfinite(tuned["params"]["dense"]["kernel"]).all()
    config = small(BA, **{"model.weights": str(path)})
    run.train(config, tmp_path / "ba", progress=False)
    assert run.evaluate(config, tmp_path / "ba", progress=False).is_file()


def test_tuning_moves_the_trunk_and_the_same_seed_moves_it_alike(tiny, tmp_path):
    one, two = (tune(tiny, tmp_path / x, progress=False) for x in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    with tiny.unlocked():
        tiny.tune.rate = 0.03
    far = tune(tiny, tmp_path / "c", progress=False)
    assert far.read_bytes() != one.read_bytes()


def test_a_finished_tuning_is_kept(tiny, tmp_path):
    path = tune(tiny, tmp_path, progress=False)
    written = path.stat().st_mtime_ns
    tune(tiny, tmp_path, progress=False)
    assert path.stat().st_mtime_ns == written


def test_another_recipe_in_the_same_workdir_is_refused(tiny, tmp_path):
    tune(tiny, tmp_path, progress=False)
    with tiny.unlocked():
        tiny.tune.crowd = 7.0
    with pytest.raises(WorkdirError, match="crowd"):
        tune(tiny, tmp_path, progress=False)


def test_a_config_without_a_kernel_is_refused(tiny, tmp_path):
    with tiny.unlocked():
        tiny.trunk.map = "standardise"
    with pytest.raises(ConfigError, match="expected the map 'kernel'"):
        tune(tiny, tmp_path, progress=False)


def test_a_config_that_does_not_say_how_is_refused(small, tmp_path):
    with pytest.raises(ConfigError, match=r"without config\.tune"):
        tune(small(BA), tmp_path, progress=False)
