"""Several encoders side by side: blocks, weights, what trains and what is served."""

import dataclasses

import experiments
import jax
import numpy as np
import pytest
from experiments import glancing, shallow

import jiaa
from jiaa.cli import build, problem, run, trunks
from jiaa.cli.check import check
from jiaa.cli.options import ConfigError
from jiaa.models import export
from jiaa.models.backbones import create_backbone
from jiaa.models.pretrained import variable_shapes
from jiaa.models.trunk import tapped
from jiaa.train.workdir import WorkdirError

__all__ = ["shallow"]

BA, TRAINED = "ba_piaa/oasis_squeezenet", "ba_piaa/synthetic_resnet18"
STAGE = ("fire.mean", "fire.std")
OTHER = {"backbone": "glance", "taps": (STAGE,), "sizes": (32,), "flip": True}
LAST = {"backbone": "glance", "backbone_options": {"num_classes": 3}}
MAP = {"trunk.map_options.weights": (1.0, 0.5, 0.5, 0.2)}
BESIDE = {"trunk.beside": (OTHER, LAST), **MAP}


@pytest.fixture(scope="module")
def beside(tiny_world, tmp_path_factory):
    """The workdir of a run with two encoders beside the main one, and its config."""
    with glancing():
        config = experiments.glance_at(BA, tiny_world, **BESIDE)
        workdir = tmp_path_factory.mktemp("beside") / "run"
        run.train(config, workdir, progress=False)
        yield config, workdir


def features_of(config, learned):
    dataset = build.dataset(config, progress=False)
    ids = np.arange(4)
    return problem.compute_features(
        config,
        build.model(config),
        dataset.store,
        learned,
        image_ids=ids,
        progress=False,
    )


def test_the_blocks_are_those_of_each_encoder_alone(beside, small):
    config, workdir = beside
    learned = problem.load(workdir)
    found, widths = features_of(config, learned)
    assert widths == (8, 6, 6, 3)
    alone = [features_of(small(BA), dataclasses.replace(learned, beside=()))[0]]
    for entry, variables in zip((OTHER, LAST), learned.beside, strict=True):
        changes = {f"model.{k}": x for k, x in entry.items() if k.startswith("back")}
        changes |= {
            "trunk.taps": entry.get("taps", (("pooled",),)),
            "trunk.sizes": entry.get("sizes", ()),
            "trunk.flip": entry.get("flip", False),
            "trunk.five_crops": 0,
        }
        whole = {name: {"backbone": tree} for name, tree in variables.items()}
        alone.append(features_of(small(BA, **changes), problem.Learned(whole))[0])
    np.testing.assert_allclose(found, np.concatenate(alone, axis=1), atol=1e-5)


def test_a_run_is_evaluated_and_served_from_its_file_alone(beside, tiny_world):
    config, workdir = beside
    run.evaluate(config, workdir, progress=False)
    model = jiaa.load(workdir)
    photos = sorted((tiny_world / "images").rglob("*.*"))[:4]
    dataset = build.dataset(config, progress=False)
    rows = [dataset.image_names.index(photo.name) for photo in photos]
    learned = problem.load(workdir)
    trained_on = problem.compute_features(
        config,
        build.model(config),
        dataset.store,
        learned,
        image_ids=np.asarray(rows),
        progress=False,
    )[0][rows]
    np.testing.assert_allclose(model.encode(photos), trained_on, atol=1e-4)
    assert len(model.encoder.identity) == len(model.identity)


def test_other_weights_beside_are_another_encoder_and_another_prior(beside, tmp_path):
    _, workdir = beside
    learned = problem.load(workdir)
    moved = jax.tree.map(lambda x: x + 1, learned.beside[1])
    other = dataclasses.replace(learned, beside=(learned.beside[0], moved))
    problem.save(other, tmp_path / "prior.safetensors")
    (tmp_path / "config.json").write_bytes((workdir / "config.json").read_bytes())
    models = [jiaa.load(folder) for folder in (workdir, tmp_path)]
    assert models[0].identity != models[1].identity
    assert models[0].encoder.identity != models[1].encoder.identity


def test_training_a_trunk_moves_the_main_encoder_alone(small, tmp_path):
    config = small(TRAINED, **{"trunk.beside": (LAST,)})
    run.train(config, tmp_path, progress=False)
    learned = problem.load(tmp_path)
    network = build.model(config)
    key = jax.random.key(config.seed)
    start = build.initial_variables(config, network, key=key)
    moved = jax.tree.map(
        lambda old, new: float(np.abs(old - new).max()),
        start["params"]["backbone"],
        learned.variables["params"]["backbone"],
    )
    assert max(jax.tree.leaves(moved)) > 0
    assert "beside" not in learned.variables["params"]
    jax.tree.map(
        np.testing.assert_array_equal,
        learned.beside[0]["params"],
        jax.device_get(trunks.initial_beside(config)[0]["params"]),
    )


def test_weights_come_from_a_file_that_may_move_afterwards(small, shallow, tmp_path):
    module = create_backbone("squeezenet", num_classes=2)
    shapes = variable_shapes(module)
    drawn = jax.tree.map(lambda x: np.full(x.shape, 0.01, np.float32), shapes)
    path = tmp_path / "weights.safetensors"
    export.save_state_dict(path, drawn, module)
    entry = {"backbone": "squeezenet", "backbone_options": {"num_classes": 2}}
    chosen = {"trunk.beside": ({**entry, "weights": str(path)},)}
    config = small(TRAINED, **chosen)
    (found,) = trunks.initial_beside(config)
    jax.tree.map(np.testing.assert_array_equal, found["params"], drawn["params"])
    run.train(config, tmp_path / "run", progress=False)
    path.unlink()
    moved = small(TRAINED, **{"trunk.beside": ({**entry, "weights": "gone.pth"},)})
    run.evaluate(moved, tmp_path / "run", progress=False)
    with pytest.raises(WorkdirError, match=r"trained otherwise: trunk\.beside is"):
        run.evaluate(small(TRAINED), tmp_path / "run", progress=False)
    with pytest.raises(ConfigError, match=r"beside\[0\]\.weights='gone.pth' is no"):
        run.train(moved, tmp_path / "new", progress=False)


def test_a_prior_with_other_encoders_beside_does_not_fit(beside, small):
    _, workdir = beside
    config = small(BA, prior=str(workdir / "prior.safetensors"))
    with pytest.raises(ConfigError, match=r"trunk\.beside is not what it has"):
        problem.borrowed(config, build.model(config))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("glance", r"beside is 'glance'; expected a dictionary for each"),
        (("glance",), r"beside is \('glance',\)"),
        (({},), r"beside\[0\]\.backbone is ''; known: .*squeezenet"),
        ((OTHER, {"backbone": "glanse"}), r"beside\[1\]\.backbone.*mean 'glance'"),
        (({**OTHER, "tap": 1},), r"beside\[0\] has no 'tap'.*mean 'taps'"),
        (({**OTHER, "taps": ("fire.mean",)},), r"\.taps is \('fire.mean',\).*blocks"),
        (({**OTHER, "taps": ()},), r"beside\[0\]\.taps is \(\)"),
        (({**OTHER, "sizes": 224},), r"beside\[0\]\.sizes is 224; expected sides"),
        (({**OTHER, "five_crops": -1},), r"five_crops is -1; expected a whole"),
        (({**OTHER, "flip": 1},), r"flip is 1; expected True or False"),
        (({**OTHER, "weights": None},), r"weights is None; expected a file"),
        (({**OTHER, "backbone_options": {"x": 1}},), r"backbone_options has no 'x'"),
    ],
)
def test_what_is_no_encoder_is_told_by_its_field(small, given, said):
    with pytest.raises(ConfigError, match=rf"config\.trunk\..*{said}"):
        check(small(BA, **{"trunk.beside": given}))


def test_encoders_beside_a_trunk_that_adapts_do_nothing(small):
    with pytest.raises(ConfigError, match=r"beside=.* does nothing without .*frozen"):
        check(small("blg_piaa/flickr_aes_resnet18", **{"trunk.beside": (OTHER,)}))


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "squeezenet"])
def test_mean_and_spread_of_every_stage_are_a_block_of_any_backbone(name):
    module = create_backbone(name)
    side = max(module.minimum_size, 64)
    images = jax.ShapeDtypeStruct((2, side, side, 3), np.float32)

    def blocks(images):
        variables = module.init(jax.random.key(0), images)
        outputs = module.apply(variables, images)
        stages = outputs["stages"]
        taps = tuple((f"{stage}.mean", f"{stage}.std") for stage in stages)
        found = tapped(outputs, taps)
        for block, maps in zip(found, stages.values(), strict=True):
            assert block.shape == (2, 2 * maps.shape[-1])
        return found

    assert len(jax.eval_shape(blocks, images)) > 1
