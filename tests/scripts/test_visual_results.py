"""The slides' two figures, drawn from two finished runs that are really trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from configs.ba_piaa import synthetic_table2 as ba_piaa
from configs.blg_piaa import synthetic_table2 as blg_piaa
from jiaa.cli import build, run
from jiaa.cli.settings import assign
from jiaa.evaluate.replay import Replay
from jiaa.models.backbones import resnet
from scripts import visual_results

TINY = (
    "data.image_size=32",
    "data.train_users=8",
    "data.train_images=60",
    "data.test_users=3",
    "data.test_ratings=(14, 20)",
    "data.progress=False",
    "model.backbone_options={'width': 2, 'num_classes': 4}",
    "model.head_options={'hidden': (4,)}",
    "view.size=28",
    "trunk.map=standardise",  # so that the map stands between pixels and head
    "generic.trains=head",
    "generic.steps=3",
    'inner.rates=((".*", 0.1),)',
    "evaluate.seed=4",
)


@pytest.fixture(scope="module", autouse=True)
def of_one_block():
    """ResNet18 of one residual block in four: the figures ask nothing of the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "BLOCKS", (1,))
        yield


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """BA-PIAA and BLG-PIAA on a frozen random trunk, trained for a few steps."""
    folder = tmp_path_factory.mktemp("runs")
    settings = [*TINY, f"data.cache_dir={folder / 'cache'}"]
    ba = ba_piaa.get_config()
    assign(ba, settings)
    run.train(ba, folder / "ba", progress=False)
    blg = blg_piaa.get_config()
    own = ["meta.steps=2", "meta.iterations_per_dispatch=1", f"prior={folder / 'ba'}"]
    assign(blg, [*settings, *own])
    run.train(blg, folder / "blg", progress=False)
    return folder


def flags_of(workdirs, *more):
    runs = ["--ba", str(workdirs / "ba"), "--blg", str(workdirs / "blg")]
    out = ["--out", str(workdirs / "out"), "--shots", "5"]
    return visual_results.parse([*runs, *out, *more])


@pytest.fixture(scope="module")
def scene(workdirs):
    return visual_results.open_scene(flags_of(workdirs))


def test_one_command_draws_both_figures_and_calls_them_synthetic(workdirs, capsys):
    out = workdirs / "out"
    runs = ["--ba", str(workdirs / "ba"), "--blg", str(workdirs / "blg")]
    few = ["--user", "test_001", "2", "--shots", "5", "--images", "3", "--maps", "2"]
    visual_results.main([*runs, "--out", str(out), *few])
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said[:2]] == ["BA-PIAA", "BLG-PIAA"]
    assert "query images of test_001" in said[0]
    names = ("visual_scores.png", "visual_gradients.png")
    assert said[2:] == [str(out / name) for name in names]
    for name in names:
        with Image.open(out / name) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 200


def test_features_of_pixels_are_those_that_the_head_learned_from(scene):
    tasks = scene.dataset.split("test")
    ids = np.asarray(tasks.image_ids[0][:3])
    pixels = np.asarray(scene.dataset.store.images)[ids]
    for opened in (scene.ba, scene.blg):
        stored = np.asarray(opened.problem.store.features)[ids]
        np.testing.assert_allclose(
            opened.content(jnp.asarray(pixels)), stored, atol=1e-4
        )
        assert np.ptp(stored) > 0


def test_both_methods_learn_from_the_same_split(scene):
    ba, blg = (
        visual_results.play(scene, opened, scene.users[0], shots=5, repeat=0)
        for opened in (scene.ba, scene.blg)
    )
    np.testing.assert_array_equal(ba.image_ids, blg.image_ids)
    np.testing.assert_array_equal(ba.user, blg.user)
    assert not np.allclose(ba.scores, ba.generic, atol=1e-4)
    assert not np.allclose(ba.scores, blg.scores, atol=1e-4)
    figure = visual_results.draw_scores(scene, ba, blg, count=4, heading="synthetic")
    texts = [text.get_text() for text in figure.axes[1].texts]
    lowest = np.lexsort((ba.image_ids, ba.user, ~ba.query))[0]
    sides = (ba.user, ba.scores, blg.scores)
    assert texts == [f"{side[lowest] * 5:.1f}" for side in sides]


def test_users_go_by_name_or_number_and_by_default_by_what_they_share(scene):
    pick = visual_results.pick_users
    assert pick(scene.dataset, ["test_002", "0"]) == [2, 0]
    first, second = pick(scene.dataset, [])
    assert first == 0
    tasks = scene.dataset.split("test")
    rated = [
        set(i[m].tolist()) for i, m in zip(tasks.image_ids, tasks.mask, strict=True)
    ]
    assert len(rated[0] & rated[second]) == max(
        len(rated[0] & other) for other in rated[1:]
    )
    with pytest.raises(
        ValueError, match="no test user 'bob'; expected a number below 3"
    ):
        pick(scene.dataset, ["bob"])


def test_images_are_spread_over_the_user_s_scores():
    ids = np.array([2, 3, 5, 7, 11, 13])
    scores = np.array([0.6, 0.2, 1.0, 0.8, 0.2, 0.4])
    chosen = visual_results.spread_over_scores(scores, ids, count=3)
    assert chosen.tolist() == [3, 13, 5]
    every = visual_results.spread_over_scores(scores, ids, count=9)
    assert every.tolist() == [3, 11, 13, 2, 7, 5]


def replay_of(ids, learned):
    query = ~np.isin(ids, learned)
    return Replay((), np.array(ids), query, *[np.full(len(ids), 0.6)] * 3)


def test_maps_show_what_all_rated_and_is_new_to_the_first_user():
    played = {"ann": replay_of([1, 3, 4], [1]), "bob": replay_of([1, 3, 5], [3])}
    assert visual_results.shared_images(played).tolist() == [3]
    lines = [
        visual_results.captions(one, np.array([3]), 5.0) for one in played.values()
    ]
    assert lines == [["rated 3, model 3.0"], ["rated 3 (learned from), model 3.0"]]
    played["eve"] = replay_of([1, 4], [])
    with pytest.raises(ValueError, match="ann, bob, eve have rated no image in common"):
        visual_results.shared_images(played)


def test_runs_of_different_data_are_refused(workdirs):
    flags = flags_of(workdirs)
    record = (workdirs / "blg" / "config.json").read_text()
    other = workdirs / "other"
    other.mkdir()
    (other / "config.json").write_text(record.replace('"seed": 0', '"seed": 9'))
    flags.blg = other
    with pytest.raises(ValueError, match="expected runs on the same data"):
        visual_results.open_scene(flags)


def test_an_unfinished_run_is_refused(workdirs, tmp_path):
    flags = flags_of(workdirs)
    (tmp_path / "config.json").write_text((workdirs / "ba/config.json").read_text())
    flags.ba = tmp_path
    with pytest.raises(FileNotFoundError, match="no training has finished"):
        visual_results.open_scene(flags)


def test_the_figures_replay_the_evaluation_s_own_seed(scene):
    assert build.plain(scene.blg.config.evaluate)["seed"] == 4
    played = visual_results.play(scene, scene.blg, 1, shots=5, repeat=0)
    assert not jax.tree.all(
        jax.tree.map(
            lambda a, b: np.array_equal(a, b),
            played.adapted["params"],
            scene.blg.personalizer.init(scene.blg.problem.prior)["params"],
        )
    )
