"""What a workdir holds after training and evaluating, and what is refused."""

import csv
import json

import numpy as np
import pytest

from jiaa.cli import build, learn, problem, run
from jiaa.cli.options import ConfigError
from jiaa.models.variables import load_variables
from jiaa.train.workdir import WorkdirBusyError, WorkdirError, locked

BA, BLG = "ba_piaa/oasis_squeezenet", "blg_piaa/oasis_squeezenet"
TRAINED = "ba_piaa/synthetic_resnet18"  # its generic prior is trained by steps
IMAGES = "blg_piaa/flickr_aes_resnet18"  # nothing is frozen


def train(config, workdir):
    return run.train(config, workdir, progress=False)


def _train_and_evaluate(config, workdir):
    train(config, workdir)
    run.evaluate(config, workdir, progress=False)


def no_more_steps(monkeypatch):
    """Any training step from here on fails."""

    def never(*args, **options):
        raise AssertionError("a finished run took a step")

    monkeypatch.setattr(learn.bilevel, "several", lambda step: never)
    monkeypatch.setattr(learn, "train_step", never)


def test_a_workdir_holds_the_run_and_its_results(small, tmp_path):
    config = small(BLG)
    target = train(config, tmp_path)
    summary = run.evaluate(config, tmp_path, progress=False)
    assert target == tmp_path / "prior.safetensors"
    assert summary == tmp_path / "summary.json"
    found = {path.name for path in tmp_path.iterdir()}
    assert found >= {"config.json", "checkpoints", "metrics.jsonl", "results.csv"}
    recorded = json.loads((tmp_path / "config.json").read_text())["config"]
    assert recorded == json.loads(json.dumps(build.plain(config)))
    written = json.loads(summary.read_text())
    assert set(written) == {"method", "dataset", "seconds", "results"}
    for row in written["results"]:
        expected = "shots metric mean std generic users repeats skipped"
        assert set(row) == set(expected.split())
        assert row["users"] == 2
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == "method dataset user shots repeat metric value".split()
    assert {row["method"] for row in rows} == {"blg_piaa"}
    assert len({row["user"] for row in rows}) == 2
    assert {row["repeat"] for row in rows} == {"0", "1"}


@pytest.mark.parametrize("name", [BA, TRAINED, IMAGES])
def test_what_was_learned_reads_back_whole(small, tmp_path, name):
    config = small(name)
    train(config, tmp_path)
    learned = problem.load(tmp_path)
    assert set(learned.variables["params"]) >= {"backbone", "head"}
    assert (learned.feature_map is None) == (config.trunk.map == "none")
    problem.save(learned, tmp_path / "again")
    first = (tmp_path / "prior.safetensors").read_bytes()
    assert (tmp_path / "again").read_bytes() == first


def test_evaluating_before_training_names_the_file_and_the_remedy(small, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"prior\.safetensors does not exist.*scripts/train\.py"
    ):
        run.evaluate(small(BA), tmp_path, progress=False)


@pytest.mark.parametrize("name", [BLG, TRAINED])
def test_a_finished_run_trains_no_further(small, tmp_path, monkeypatch, name):
    config = small(name)
    before = train(config, tmp_path).read_bytes()
    no_more_steps(monkeypatch)
    assert train(config, tmp_path).read_bytes() == before


def test_evaluating_twice_gives_the_same_rows(small, tmp_path):
    config = small(BLG)
    train(config, tmp_path)
    tables = []
    for _ in range(2):
        run.evaluate(config, tmp_path, progress=False)
        tables.append((tmp_path / "results.csv").read_text())
    assert tables[0] == tables[1]


def test_a_prior_from_another_run_is_as_good_as_one_trained_here(small, tmp_path):
    train(small(BA), tmp_path / "ba")
    here = train(small(BLG), tmp_path / "here")
    config = small(BLG, prior=str(tmp_path / "ba"))
    there = train(config, tmp_path / "there")
    assert (tmp_path / "here" / "generic" / "prior.safetensors").is_file()
    assert not (tmp_path / "there" / "generic").exists()
    assert there.read_bytes() == here.read_bytes()


def test_a_prior_that_never_finished_is_named_with_the_remedy(small, tmp_path):
    config = small(BLG, prior=str(tmp_path / "nowhere"))
    with pytest.raises(
        FileNotFoundError,
        match=r"prior: .*nowhere/prior\.safetensors .*leave config\.prior empty",
    ):
        train(config, tmp_path / "run")


@pytest.fixture
def of_ba(small, tmp_path):
    """The workdir of a finished BA-PIAA run."""
    train(small(BA), tmp_path / "ba")
    return tmp_path / "ba"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.min_ratings": 2}, "data.min_ratings is None there, 2 here"),
        ({"dataset": "flickr"}, "dataset is 'oasis' there"),
        ({"model.head_options.spread": 1.0}, "model.head_options is"),
        ({"trunk.flip": False}, "trunk.flip is True there, False here"),
    ],
)
def test_a_prior_of_another_kind_is_refused_by_what_differs(
    small, of_ba, tmp_path, changes, said
):
    config = small(BLG, prior=str(of_ba), **changes)
    with pytest.raises(ConfigError, match=r"run of another kind") as caught:
        train(config, tmp_path / "run")
    assert said in str(caught.value)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_prior_s_file_starts_on_other_data_on_purpose(small, of_ba, tmp_path):
    file = str(of_ba / "prior.safetensors")
    config = small(BLG, **{"prior": file, "data.min_ratings": 2})
    assert train(config, tmp_path / "run").is_file()
    other = small(BLG, **{"prior": file, "model.backbone_options.num_classes": 4})
    with pytest.raises(
        ConfigError, match=r"another network .*backbone/dense/bias is \(8,\) there, \(4"
    ):
        train(other, tmp_path / "other")
    plain = small(BLG, prior=file, **{"trunk.map": "none", "trunk.map_options": {}})
    with pytest.raises(ConfigError, match=r"trunk\.map='none' is not what it has"):
        train(plain, tmp_path / "plain")


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        (
            TRAINED,
            {"generic.batch_size": 999},
            r"generic\.batch_size=999 exceeds the 24",
        ),
        (
            BLG,
            {"meta.users_per_step": 99},
            r"meta\.users_per_step=99 .* the 5 training",
        ),
        (BA, {"trunk.five_crops": 99}, "a crop of 99 px does not fit"),
        (BA, {"data.test_users": "nobody"}, "without any rating: nobody"),
    ],
)
def test_a_first_mistake_does_not_burn_the_workdir(small, tmp_path, name, wrong, said):
    with pytest.raises(ValueError, match=said):
        train(small(name, **wrong), tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_the_corrected_command_trains_where_the_wrong_one_stopped(small, tmp_path):
    for wrong in ({"data.test_users": "nobody"}, {"trunk.five_crops": 99}):
        with pytest.raises(ValueError, match=r"nobody|a crop of 99"):
            train(small(BA, **wrong), tmp_path)
    assert train(small(BA), tmp_path).is_file()


def test_another_meta_section_keeps_the_finished_generic_prior(
    small, tmp_path, monkeypatch
):
    def fails(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learn.bilevel, "several", fails)
        with pytest.raises(KeyboardInterrupt):
            train(small(BLG), tmp_path)
    before = (tmp_path / "generic" / "prior.safetensors").stat().st_mtime_ns
    train(small(BLG, **{"meta.inner_steps": 2}), tmp_path)
    after = (tmp_path / "generic" / "prior.safetensors").stat().st_mtime_ns
    assert before == after


def test_other_evaluation_settings_do_not_make_another_run(small, tmp_path):
    first = train(small(BA), tmp_path).read_bytes()
    again = small(BA, **{"evaluate.shots": (3,)})
    assert train(again, tmp_path).read_bytes() == first
    summary = json.loads(run.evaluate(again, tmp_path, progress=False).read_text())
    assert {row["shots"] for row in summary["results"]} == {3}


def test_a_run_is_measured_on_its_own_data_through_its_own_network(small, tmp_path):
    train(small(BA), tmp_path)
    for changes, said in (
        ({"data.min_ratings": 3}, "data.min_ratings is None there, 3 here"),
        ({"trunk.flip": False}, "trunk.flip is True there, False here"),
        ({"method": "blg_piaa"}, "a run of method 'ba_piaa', not 'blg_piaa'"),
    ):
        with pytest.raises(WorkdirError, match=said):
            run.evaluate(small(BA, **changes), tmp_path, progress=False)


def test_two_evaluations_of_a_workdir_do_not_mix(small, tmp_path):
    train(small(BA), tmp_path)
    with locked(tmp_path), pytest.raises(WorkdirBusyError, match="in use by process"):
        run.evaluate(small(BA), tmp_path, progress=False)


def test_what_evaluation_will_stop_at_is_said_before_the_training(
    small, tmp_path, caplog
):
    train(small(BA, **{"evaluate.shots": (100,)}), tmp_path)
    assert "evaluation would stop: user test_000 rated 7 images" in caplog.text


def test_meta_training_moves_the_head_and_leaves_the_frozen_trunk(small, tmp_path):
    train(small(BLG), tmp_path)
    before = load_variables(tmp_path / "generic" / "prior.safetensors")
    after = load_variables(tmp_path / "prior.safetensors")
    for part in ("backbone", "head"):
        pairs = [
            (before["params"][part][name], after["params"][part][name])
            for name in before["params"][part]
        ]
        if part == "head":
            assert any(np.any(one != other) for one, other in pairs)
    np.testing.assert_array_equal(
        before["params"]["backbone"]["dense"]["kernel"],
        after["params"]["backbone"]["dense"]["kernel"],
    )
    # A new rater's fast weights are 0, whatever the raters before did.
    np.testing.assert_array_equal(after["params"]["head"]["fast"], 0)


def test_another_config_in_the_same_workdir_is_refused(small, tmp_path):
    train(small(BA), tmp_path)
    with pytest.raises(WorkdirError, match=r"generic\.strength was 0\.3 and is 7"):
        train(small(BA, **{"generic.strength": 7.0}), tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"meta.sampling.supprot": 3}, r"meta.sampling has no 'supprot'.*'support'"),
        ({"meta.query.adatps": "head"}, r"meta.query has no 'adatps'.*'adapts'"),
        ({"meta.optimizer_options.momentun": 1}, r"'momentun'.*'momentum'"),
        ({"inner.dekay": 0.1}, r"config.inner has no 'dekay'.*'decay'"),
        ({"inner.optimizer_options.momentun": 1}, r"'momentun'.*'momentum'"),
        ({"inner.calibrate.spraed": 1}, r"calibrate has no 'spraed'.*'spread'"),
        ({"model.head_options.sharde": 3}, r"head_options has no 'sharde'.*'shared'"),
        ({"model.backbone_options.clases": 3}, r"'clases'; known: num_classes"),
        ({"trunk.map_options.weigths": (1,)}, r"'weigths'.*'weights'"),
        ({"adapt.dropuot": True}, r"config.adapt has no 'dropuot'.*'dropout'"),
        ({"evaluate.shotz": (2,)}, r"config.evaluate has no 'shotz'.*'shots'"),
        ({"data.scael": (1, 5)}, r"config.data has no 'scael'.*'scale'"),
    ],
)
def test_a_misspelt_option_is_answered_before_anything_is_written(
    small, tmp_path, change, named
):
    config = small(BLG)
    with config.unlocked():
        for path, value in change.items():
            *sections, last = path.split(".")
            section = config
            for name in sections:
                section = section[name]
            section[last] = value
    with pytest.raises(ConfigError, match=named):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_misspelt_field_cannot_be_set(small):
    with pytest.raises(AttributeError, match="stepz"):
        small(BLG).meta.stepz = 3


def test_the_released_program_keeps_the_last_users_network(small, tmp_path):
    priors = {}
    for keep in ("prior", "last_user"):
        changes = {
            "meta.mode": "sequential",
            "meta.keep": keep,
            "inner.batch_norm": "carry",
            "generic.steps": 0,
        }
        config = small(IMAGES, **changes)
        file = train(config, tmp_path / keep)
        priors[keep] = load_variables(file)["params"]["head"]["score"]["kernel"]
    summary = run.evaluate(config, tmp_path / keep, progress=False)
    assert json.loads(summary.read_text())["results"]
    assert np.all(np.isfinite(priors["prior"]))
    assert np.max(np.abs(priors["prior"] - priors["last_user"])) > 1e-6


def test_several_iterations_a_dispatch_end_where_single_ones_end(small, tmp_path):
    heads = []
    for dispatch in (1, 2):
        changes = {
            "meta.iterations_per_dispatch": dispatch,
            "meta.log_every": 2,
            "meta.users_per_step": 1,
        }
        file = train(small(BLG, **changes), tmp_path / str(dispatch))
        heads.append(load_variables(file)["params"]["head"])
    for name, value in heads[0].items():
        np.testing.assert_allclose(value, heads[1][name], atol=1e-5)


def test_trunk_features_are_kept_in_the_cache_and_change_nothing(small, tmp_path):
    plain = train(small(BA), tmp_path / "plain").read_bytes()
    cache = tmp_path / "cache"
    for workdir in ("first", "second"):
        config = small(BA, **{"data.cache_dir": str(cache)})
        assert train(config, tmp_path / workdir).read_bytes() == plain
    assert len(list(cache.glob("features_*.npz"))) == 1
