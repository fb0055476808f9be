"""What a workdir holds after training and evaluating, and what is refused."""

import csv
import json

import numpy as np
import pytest

from jiaa.cli import build, run
from jiaa.models.variables import load_variables
from jiaa.train.workdir import WorkdirError

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

    monkeypatch.setattr(run.bilevel, "several", lambda step: never)
    monkeypatch.setattr(run, "train_step", never)


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
    learned = run.load(tmp_path)
    assert set(learned.variables["params"]) >= {"backbone", "head"}
    assert (learned.feature_map is None) == (config.trunk.map == "none")
    run.save(learned, tmp_path / "again")
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


def test_a_prior_that_never_finished_is_named(small, tmp_path):
    config = small(BLG, prior=str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere/prior\.safetensors"):
        train(config, tmp_path / "run")


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
        ({"meta.sampling.supprot": 3}, "supprot"),
        ({"inner.dekay": 0.1}, "dekay"),
        ({"model.head_options.sharde": 3}, "sharde"),
        ({"adapt.stepz": 3}, "stepz"),
        ({"evaluate.shotz": (2,)}, "shotz"),
        ({"data.scael": (1, 5)}, "scael"),
    ],
)
def test_a_misspelt_option_stops_at_its_constructor(small, tmp_path, change, named):
    config = small(BLG)
    with config.unlocked():
        for path, value in change.items():
            *sections, last = path.split(".")
            section = config
            for name in sections:
                section = section[name]
            section[last] = value
    with pytest.raises(TypeError, match=named):
        _train_and_evaluate(config, tmp_path)


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
