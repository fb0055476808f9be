"""Multi-task configs that cannot work are refused by field, value and remedy."""

import experiments
import pytest
from experiments_multitask import shrink, tiny_backbone  # noqa: F401

from jiaa.cli import run
from jiaa.cli.multitask import check
from jiaa.cli.options import ConfigError

TWO = {"model.kong": ("rank",), "model.aesthetics": "sigmoid"}
WRONG = [
    ({"generic.gamma": 0.0}, "generic.gamma is 0.0; expected a number above 0"),
    ({"generic.gamma": float("nan")}, "generic.gamma is nan"),
    ({"generic.gamma": "1"}, "generic.gamma is '1'"),
    ({"fusion.strength": -1.0}, "fusion.strength is -1.0"),
    ({"generic.mode": "jiont"}, r"generic.mode is 'jiont'.*did you mean 'joint'"),
    ({"fusion.kind": "rigde"}, "did you mean 'ridge'"),
    ({"second.fold": 10}, "second.fold is 10; expected 0 to 9"),
    ({"second.fold": True}, "second.fold is True"),
    ({"second.name": "aadb"}, "'aadb', which has no traits; known: synthetic, psycho"),
    ({"second.name": "psycho_flikr"}, "did you mean 'psycho_flickr'"),
    ({"second.task": "none"}, "there is no second task"),
    ({"second.likes": 0}, "second.likes is 0; expected a whole number from 1"),
    ({"generic.second_loss": "cross_entropy"}, "compares probabilities"),
    ({"generic.tasks": ()}, r"generic.tasks is \(\); expected one or more"),
    ({"generic.tasks": ("taste",)}, "generic.tasks is"),
    ({"generic.tasks": "second"}, "generic.tasks is 'second'; expected one or more"),
    ({"generic.tasks": 5}, "generic.tasks is 5"),
    ({"generic.tasks": (["second"],)}, "generic.tasks is"),
    ({"generic.batch_size": 1}, "batch_size is 1; expected a whole number from 2"),
    ({"generic.trains": "branches"}, "expected 'branches' with a frozen trunk"),
    ({"generic.loss": "emd", "model.aesthetics": "sigmoid"}, "compares distributions"),
    ({"generic.rates": ()}, r"rates is \(\), which trains nothing"),
    ({"second.image_size": 0}, "second.image_size is 0; expected a side"),
    ({"generic.rates": (("head/.*", 1e-3),)}, "generic.rates: .*head"),
    ({"model.hidden": (0,)}, r"model.hidden is \(0,\); expected the layers' widths"),
    ({"model.batch_norm": "yes"}, "batch_norm is 'yes'; expected True or False"),
    ({"model.dropout": 1.0}, "model.dropout is 1.0"),
    ({"model.backbone_options": {"widht": 4}}, "backbone_options has no 'widht'"),
    ({"model.kong": ("rnak",)}, "expected some or none of"),
    ({"model.kong": None}, "model.kong is None"),
    (TWO, r"kong=\('rank',\) needs config.generic.tasks"),
    ({**TWO, "generic.tasks": ("aesthetics",)}, "batch_norm=True does nothing"),
    ({"evaluate.threshold": 5}, "threshold is 5; expected a unit score"),
    ({"evaluate.databases": {"x": {"nmae": "ava"}}}, "databases.x: .*'nmae'"),
    ({"evaluate.databases": {"x": "ava"}}, "databases.x is 'ava'"),
    ({"evaluate.databases": 5}, "evaluate.databases is 5; expected a name"),
    (
        {"generic.tasks": ("second",), "evaluate.databases": {"x": {"seed": 5}}},
        "databases=.* does nothing with config.generic.tasks",
    ),
    ({"evaluate.shots": (0,)}, r"evaluate.shots is \(0,\)"),
    ({"trunk.five_crops": 8}, "does nothing without config.trunk.frozen"),
]


@pytest.fixture
def config():
    return shrink(experiments.load("pa_iaa/synthetic_resnet18"))


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_what_cannot_work_is_refused(config, changes, said):
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    with pytest.raises(ConfigError, match=said):
        check.check(config)


def test_nothing_is_left_behind_by_a_refused_run(config, tmp_path):
    config.generic.gamma = -1.0
    with pytest.raises(ConfigError, match="gamma"):
        run.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
