"""Collaborative experiments made small: each trains a step and is measured."""

import json
import re

import drawn
import experiments
import pytest
from ml_collections import ConfigDict

from configs.cfan import _common
from jiaa.cli import build, run
from jiaa.cli.collaborative import networks
from jiaa.cli.collaborative import run as collaborative
from jiaa.report import figures
from jiaa.train.collaborative import Objective

NAMES = experiments.names("collaborative")
LABELS = {"oasis": "OASIS", "synthetic_reviews": "synthetic", "ava_reviews": "AVA"}
WORLD = {"seed": 0, "images": 24, "users": 8, "reviews_per_image": 4, "image_size": 32}
OPEN = {"data", "world", "model"}  # their fields are their readers' own
# Each config once, with one of its methods: both protocols, maps and a learning trunk.
RUNS = [
    ("cfan/oasis", "cfn_1"),
    ("cfan/oasis_cold", "vbpr"),
    ("cfan/synthetic_reviews", "cfan_3"),
    ("cfan/ava_vgg16", "mtrlcnn"),
]


def shrunk(name, method, tiny_world, cache):
    config = experiments.load(name, method)
    config.data.cache_dir = str(cache)
    config.data.image_size = 32
    config.trunk.backbone_options = {"num_classes": 2}
    if config.trunk.backbone == "vgg16":
        config.trunk.backbone_options = {"width": 2, "dense": 0, "num_classes": 2}
    config.trunk.grid = min(config.trunk.grid, 2)
    config.model.width = 4
    config.reviews.length = 6
    config.train.steps = 2
    config.train.batch_size = 8
    config.train.save_every = 2
    config.evaluate.shots = (2,)
    config.evaluate.repeats = 2
    config.adapt.steps = 3
    if config.data.name == "oasis":
        config.data.name, config.data.root = "folder", str(tiny_world)
        config.pairs.tag = ""
        config.pairs.good_above = 0.6
    else:
        config.world = WORLD
        config.pairs.least_images = 1
    return config.lock()


@pytest.mark.parametrize("name", NAMES)
def test_a_record_names_its_data_and_its_command(name):
    module = experiments.module_of(name)
    record = module.__doc__
    assert LABELS[module.get_config().dataset] in record
    assert "python scripts/train.py" in record
    for script in re.findall(r"(scripts/\w+\.py)", record):
        assert (experiments.ROOT / script).exists()
    for command in re.findall(r"--config (configs/[\w/]+\.py)", record):
        assert (experiments.ROOT / command).exists()


@pytest.mark.parametrize("name", NAMES)
def test_every_method_of_a_config_has_the_documented_fields(name):
    module = experiments.module_of(name)
    for method in module.VARIANTS:
        config = module.get_config(method)
        base = _common.base(method)
        assert set(config) == set(base)
        for section in set(base) - OPEN:
            if isinstance(base[section], ConfigDict):
                assert set(config[section]) == set(base[section])
        assert config.method == method
        assert json.loads(json.dumps(build.plain(config)))
    with pytest.raises(ValueError, match="'svd' is no method"):
        module.get_config("svd")


def test_the_documented_objective_is_the_default_one():
    assert Objective(**_common.base("cfn_1").objective) == Objective()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def little_compiled(monkeypatch):
    """Parameters are drawn, but for MTRLCNN's; no figures are, but for CFAN-3's."""
    first_params, save = collaborative.first_params, figures.save
    methods = []

    def draw(problem):
        methods.append(problem.config.method)
        if problem.config.method == "mtrlcnn":
            return first_params(problem)
        return drawn.params(problem.network, *collaborative.one_pair(problem))

    def initialise(backbone, images, *, key):
        return {"params": drawn.params(backbone, images)}

    monkeypatch.setattr(collaborative, "first_params", draw)
    monkeypatch.setattr(networks.generic, "initialise", initialise)
    monkeypatch.setattr(
        figures, "save", lambda *given: save(*given) if "cfan_3" in methods else None
    )


@pytest.mark.usefixtures("little_compiled")
@pytest.mark.parametrize(("name", "method"), RUNS)
def test_a_method_trains_and_is_measured(
    name, method, tiny_world, cache, shallow, tmp_path
):
    config = shrunk(name, method, tiny_world, cache)
    assert run.train(config, tmp_path, progress=False).stat().st_size > 0
    summary = json.loads(run.evaluate(config, tmp_path, progress=False).read_text())
    assert (summary["method"], summary["dataset"]) == (method, config.dataset)
    known = {row["metric"] for row in summary["results"]}
    expected = {"srocc", "auc"} if config.protocol == "users" else {"auc", "accuracy"}
    assert expected <= known
    assert (tmp_path / "report.md").read_text().count("#") > 2
