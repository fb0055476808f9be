"""What a config is refused for before anything is read, written or trained."""

import experiments
import pytest

from configs import common
from jiaa.cli import check as checks
from jiaa.cli.check import check
from jiaa.cli.options import WORDS, ConfigError
from jiaa.cli.unused import NEUTRAL, field_of

BA, BLG = "ba_piaa/oasis_squeezenet", "blg_piaa/oasis_squeezenet"
TRAINED = "ba_piaa/synthetic_resnet18"  # its generic prior is trained by steps
IMAGES = "blg_piaa/flickr_aes_resnet18"  # nothing is frozen
SEQUENTIAL = {"meta.mode": "sequential"}


@pytest.mark.parametrize("name", experiments.names())
def test_shipped_experiments_choose_nothing_that_does_nothing(name):
    for variant in experiments.variants(name):
        check(experiments.load(name, variant))


def test_neutral_values_are_the_documented_defaults():
    defaults = common.base()
    for path, value in NEUTRAL.items():
        assert field_of(defaults, path) == value, path
    for path in (*WORDS, *checks.LEAST):
        field_of(defaults, path)  # every one of them exists


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (IMAGES, SEQUENTIAL | {"meta.outer": "maml"}, "meta.outer='maml' does nothing"),
        (IMAGES, SEQUENTIAL | {"meta.optimizer": "adam"}, "meta.optimizer='adam'"),
        (IMAGES, SEQUENTIAL | {"meta.pull": (("head/.*", 1.0),)}, "meta.pull="),
        (IMAGES, SEQUENTIAL | {"meta.schedule": "cosine"}, "meta.schedule='cosine'"),
        (IMAGES, SEQUENTIAL | {"meta.strategy": "vmap"}, "meta.strategy='vmap'"),
        (IMAGES, SEQUENTIAL | {"meta.query.adapts": "head"}, "meta.query="),
        (IMAGES, {"meta.keep": "last_user"}, r"meta\.keep='last_user'.*'parallel'"),
        (IMAGES, {"meta.outer_loss": "rank"}, r"outer_loss='rank'.*'blg'.*'mse'"),
        (IMAGES, {"inner.remat": True}, "inner.remat=True does nothing"),
        (IMAGES, {"trunk.map": "kernel"}, r"trunk\.map='kernel'.*trunk\.frozen"),
        (IMAGES, {"trunk.flip": True}, r"trunk\.flip=True"),
        (IMAGES, {"adapt.strength": 3.0}, r"adapt\.strength=3\.0.*'finetune'"),
        (IMAGES, {"meta.strategy": "vmap", "meta.chunk": 2}, r"meta\.chunk=2.*'vmap'"),
        ("maml/oasis_squeezenet", {"meta.inner_steps": 3}, r"inner_steps=3.*adapt"),
        (BA, {"generic.rates": ((".*", 0.5),)}, r"generic\.rates=.*trains='ridge'"),
        (BA, {"generic.loss": "rank"}, r"generic\.loss='rank'.*least squares"),
        (TRAINED, {"generic.refit": False}, r"generic\.strength=3000\.0"),
        (TRAINED, {"trunk.map_options.gamma": 1.0}, r"map_options=.*'standardise'"),
        (TRAINED, {"inner.optimizer_options.b1": 0.5}, r"b1 does nothing .*'sgd'"),
        (
            TRAINED,
            {"data.scale": (1, 7)},
            r"data\.scale=\(1, 7\) does nothing for .*'sy",
        ),
    ],
)
def test_a_choice_that_would_do_nothing_is_refused(small, name, changes, expected):
    if name == IMAGES:
        changes = {"meta.inner_steps": 5, **changes}
    if name == TRAINED:
        changes = {"data.name": "synthetic", **changes}
    with pytest.raises(ConfigError, match=expected):
        check(small(name, **changes))


def test_a_section_that_is_not_used_may_hold_anything(small):
    leftovers = {"generic.loss": "rank", "generic.rates": ((".*", 0.5),)}
    check(small(BLG, prior="runs/ba", **leftovers))
    check(small(BA, **{"meta.keep": "last_user", "meta.outer_loss": "rank"}))


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (BLG, {"meta.mode": "paralel"}, r"known: parallel.*mean 'parallel'"),
        (BLG, {"inner.loss": "mes"}, r"inner\.loss is 'mes'.*mean 'mse'"),
        (BLG, {"model.backbone": "resnet"}, r"model\.backbone.*mean 'resnet18'"),
        (BLG, {"meta.steps": 0, "generic.steps": 0}, "nothing to do"),
        (BLG, {"meta.iterations_per_dispatch": 0}, "dispatch is 0; expected a whole"),
        (BLG, {"meta.users_per_step": 2.5}, "whole number from 1"),
        (BLG, {"generic.batch_size": (2, 3)}, r"batch_size is \(2, 3\)"),
        (BLG, {"meta.log_every": 0}, "log_every is 0"),
        (BLG, {"evaluate.shots": ()}, r"evaluate\.shots is \(\)"),
        (BLG, {"evaluate.repeats": 0}, r"evaluate\.repeats is 0"),
        (BLG, {"data.image_size": 0}, r"data\.image_size is 0"),
        (BLG, {"data.max_missing": "x"}, r"data\.max_missing is 'x'; .* number from 0"),
        (BLG, {"data.scale": 7}, r"data\.scale is 7; expected the lowest and the"),
        (BLG, {"data.scale": (1, "5")}, r"data\.scale is \(1, '5'\)"),
        (BLG, {"data.scale": (1, 2, 3)}, r"data\.scale is \(1, 2, 3\)"),
        (BLG, {"data.share_images": "x"}, r"share_images is 'x'; expected True or F"),
        (BLG, {"view.size": "224"}, r"view\.size is '224'"),
        (BLG, {"trunk.sizes": (224, "x")}, r"trunk\.sizes"),
        (BLG, {"meta.iterations_per_dispatch": 3}, "dispatch=3 does not divide"),
        (BLG, {"inner.adapts": "haed"}, r"config\.inner: the pattern 'haed'"),
        (BLG, {"inner.rates": (("haed", 0.1),)}, r"config\.inner: .*'haed'"),
        (BLG, {"meta.rates": (("haed", 0.1),)}, r"config\.meta: .*'haed'"),
        (BLG, {"meta.pull": (("haed", 0.1),)}, r"config\.meta: .*'haed'"),
        (TRAINED, {"generic.rates": (("haed", 0.1),)}, r"generic\.rates: .*'haed'"),
        (BLG, {"meta.sampling.fraction": 2.0}, r"config\.meta\.sampling: .*fraction"),
        (BLG, {"inner.optimizer_options.learned": True}, r"meta\.outer='maml'"),
        (BLG, {"adapt.kind": "ridge", "adapt.learned": True}, r"adapt\.learned=True"),
        (IMAGES, {"adapt.kind": "ridge"}, r"trunk\.frozen=True"),
        (
            BLG,
            {"adapt.kind": "blend", "adapt.options": {"strangers": 3}},
            "strangers is 3; expected a dict of share, episodes",
        ),
        (IMAGES, {"generic.trains": "ridge"}, r"a head of \('linear', 'warped'\)"),
        (IMAGES, {"generic.trains": "head"}, r"trunk\.frozen=True"),
    ],
)
def test_what_would_fail_later_is_refused_now(small, name, changes, expected):
    with pytest.raises(ConfigError, match=expected):
        check(small(name, **changes))


def test_every_option_of_every_loader_is_a_field(small):
    from jiaa import data

    fields = set(common.base().data)
    for name in data.DATASETS:
        # Without images there is nothing to learn from: not an experiment's choice.
        assert set(data.loader_options(name)) - {"render"} <= fields, name
