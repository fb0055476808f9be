"""Runs that learn from features in a file: without a network, and without images."""

import json
import shutil
import types

import experiments
import numpy as np
import pytest
from experiments import finished_run, glancing, tiny_world

import jiaa
from jiaa.cli import build, photos, problem, run
from jiaa.cli.check import check
from jiaa.cli.multitask.check import check as check_multitask
from jiaa.cli.options import ConfigError
from jiaa.data import DataError
from jiaa.data.feature_file import FeatureSpec, read_features, write_features
from jiaa.serve.album import open_album
from jiaa.serve.encoder import Encoder
from jiaa.serve.known import KnownFeatures

__all__ = ["finished_run", "tiny_world"]

ONE_VIEW = "ba_piaa/oasis_squeezenet_one_view"
# What a run of features says of the network that it has not.
NO_NETWORK = {
    "model.backbone": "none",
    "model.backbone_options": {},
    "model.weights": "",
    "trunk.taps": (),
    "trunk.sizes": (),
}


@pytest.fixture(scope="module")
def file(finished_run, tiny_world, tmp_path_factory):
    """The finished run's features of all photographs, as a file."""
    with glancing():
        model = jiaa.load(finished_run)
    album = open_album(tiny_world / "images")
    path = tmp_path_factory.mktemp("features") / "own.safetensors"
    found = model.encode(album.paths)
    return write_features(path, album.names, found, **model.encoder.described())


@pytest.fixture(scope="module")
def ratings_alone(tiny_world, tmp_path_factory):
    """The tiny folder without its images."""
    folder = tmp_path_factory.mktemp("ratings")
    for name in ("ratings.csv", "images.csv"):
        shutil.copy(tiny_world / name, folder)
    return folder


def config_of(folder, file, **changes):
    """BA-PIAA on the features of a file; its backbone is not even known."""
    changes = {"data.features": str(file), **NO_NETWORK, **changes}
    return experiments.glance_at(ONE_VIEW, folder, **changes)


@pytest.fixture(scope="module")
def of_features(file, ratings_alone, tmp_path_factory):
    """The workdir of a run on the file, evaluated."""
    workdir = tmp_path_factory.mktemp("of_features") / "run"
    config = config_of(ratings_alone, file)
    run.train(config, workdir, progress=False)
    run.evaluate(config, workdir, progress=False)
    return workdir


def test_it_learns_what_a_run_with_the_trunk_learns(
    of_features, finished_run, tiny_world, tmp_path
):
    shutil.copytree(finished_run, tmp_path / "ba")
    with glancing():
        config = experiments.glance_at(ONE_VIEW, tiny_world)
        run.evaluate(config, tmp_path / "ba", progress=False)
    summaries = [
        json.loads((folder / "summary.json").read_text())["results"]
        for folder in (of_features, tmp_path / "ba")
    ]
    assert len(summaries[0]) > 0
    for ours, theirs in zip(*summaries, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_the_prior_holds_no_network_and_tells_which_features_it_reads(
    of_features, file
):
    learned = problem.load(of_features)
    assert set(learned.variables["params"]) == {"head"}
    spec = read_features(file).spec
    assert learned.reads == spec
    assert spec.widths == (8, 6)
    assert spec.encoder


def test_a_head_is_trained_and_meta_trained_on_a_file_s_features(
    file, ratings_alone, tmp_path
):
    changes = {"generic.trains": "head", "meta.steps": 2, "trunk.map": "standardise"}
    rates = ((".*", 1e-2),)
    changes |= {"trunk.map_options": {}, "generic.rates": rates, "meta.rates": rates}
    changes["generic.strength"] = 1.0
    config = config_of(ratings_alone, file, **changes)
    run.train(config, tmp_path, progress=False)
    start, end = (problem.load(x) for x in (tmp_path / "generic", tmp_path))
    assert start.reads == end.reads is not None
    heads = [x.variables["params"]["head"]["fast"] for x in (start, end)]
    assert not np.allclose(*heads)


def test_other_features_are_refused_at_the_evaluation(
    of_features, file, ratings_alone, tmp_path
):
    old = read_features(file)
    for name, features, encoder in (
        ("wide.npz", np.pad(old.features, ((0, 0), (0, 1))), old.encoder),
        ("other.npz", old.features, "dino"),
    ):
        path = write_features(tmp_path / name, old.names, features, encoder=encoder)
        with pytest.raises(DataError, match=rf"{name} holds features of .*the prior r"):
            run.evaluate(config_of(ratings_alone, path), of_features, progress=False)


def test_rated_images_that_the_file_lacks_are_named(file, ratings_alone, tmp_path):
    old = read_features(file)
    path = write_features(tmp_path / "few.npz", old.names[1:], old.features[1:])
    config = config_of(ratings_alone, path)
    with pytest.raises(DataError, match=r"few\.npz: 1 of .* images have no features"):
        build.dataset(config)
    few = build.dataset(config_of(ratings_alone, path, **{"data.max_missing": 1}))
    assert few.missing == old.names[:1]
    assert few.features == FeatureSpec((14,))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.features": None}, r"backbone='none' runs no network; give features"),
        ({"data.features": ""}, r"data\.features is ''; expected the name of a file"),
        ({"data.features": 3}, r"data\.features is 3"),
        ({"model.backbone": "squeezenet"}, r"'squeezenet' does nothing .*to 'none'"),
        ({"generic.trains": "all"}, r"only a head to learn; set .*trains to 'ridge'"),
        (
            {"trunk.flip": True},
            r"trunk\.flip=True does nothing with config\.data\.feat",
        ),
        ({"trunk.beside": ({"backbone": "vgg16"},)}, r"trunk\.beside=.*nothing with"),
        ({"model.weights": "a.pth"}, r"model\.weights='a.pth' does nothing"),
        ({"model.tap": "pooled"}, r"model\.tap='pooled' does nothing"),
        ({"data.name": "synthetic", "data.scale": None}, r"features=.*takes"),
    ],
)
def test_what_does_not_go_with_features_is_told(tiny_world, changes, said):
    with pytest.raises(ConfigError, match=said):
        check(config_of(tiny_world, "clip.npz", **changes))


def test_several_tasks_do_not_learn_from_a_file():
    config = experiments.load("pa_iaa/oasis_squeezenet")
    config.data.features = "clip.npz"
    with pytest.raises(ConfigError, match=r"data\.features='clip.npz': these progr"):
        check_multitask(config)


def test_a_prior_of_photographs_is_no_start_for_features(
    file, ratings_alone, finished_run
):
    prior = str(finished_run / "prior.safetensors")
    config = config_of(ratings_alone, file, prior=prior)
    with pytest.raises(ConfigError, match=r"one of both learns from photographs"):
        problem.borrowed(config, build.model(config))


def test_gradient_maps_need_pixels(of_features):
    from jiaa.cli.reports import _open

    with pytest.raises(ConfigError, match="maps are drawn of runs that see pixels"):
        _open(of_features, ())


# The commands on photographs.


@pytest.fixture
def call(tiny_world, tmp_path):
    """A command on the tiny folder's photographs; returns what it wrote."""

    def run_command(command, prior, *flags, out):
        shared = ["--prior", prior, "--cache", tmp_path / "cache", "--quiet"]
        arguments = [*flags, *shared, "-o", tmp_path / out]
        assert photos.run(command, [str(x) for x in arguments]) == 0
        return (tmp_path / out).read_bytes()

    return run_command


@pytest.fixture
def ratings(file, tmp_path):
    """Ratings of somebody who likes what one of the features tells."""
    old = read_features(file)
    order = np.argsort(old.features[:20, 9])
    path = tmp_path / "my.csv"
    rows = (f"{old.names[one]},{1 + place // 4}\n" for place, one in enumerate(order))
    path.write_text("image,score\n" + "".join(rows))
    return path


def test_photographs_are_ranked_and_a_taste_is_learned_without_decoding(
    call, of_features, finished_run, tiny_world, file, ratings, tmp_path, monkeypatch
):
    images, features = tiny_world / "images", ("--features", file)
    with glancing():
        shown = call(photos.score, finished_run, images, out="shown.csv")
        monkeypatch.setattr("jiaa.serve.photos.decode_photo", None)
        known = call(photos.score, finished_run, images, *features, out="known.csv")
    found = call(photos.score, of_features, images, *features, out="found.csv")
    assert known == shown
    tables = [
        np.loadtxt(x.decode().splitlines(), str, delimiter=",") for x in (found, shown)
    ]
    np.testing.assert_array_equal(*(table[:, 1] for table in tables))
    scores = [table[1:, 2].astype(float) for table in tables]
    np.testing.assert_allclose(*scores, atol=1e-3)
    own = ("--ratings", ratings, "--photos", images, *features)
    call(photos.personalize, of_features, *own, out="me.safetensors")
    user = ("--user", tmp_path / "me.safetensors")
    mine = call(photos.score, of_features, images, *features, *user, out="mine.csv")
    assert mine != found


def test_the_rating_page_learns_from_a_file_s_features(
    of_features, tiny_world, file, tmp_path, monkeypatch
):
    seen = []

    class Server:
        url = "here"

        def __init__(self, session, *, port):
            self.session = session

        def run(self):
            asked = self.session.view()["question"]
            seen.extend([asked, self.session.rate(asked["image"], 5)])

    module = types.SimpleNamespace(Server=Server)
    monkeypatch.setattr(photos, "_server", lambda: module)
    monkeypatch.setattr("jiaa.serve.photos.decode_photo", None)
    flags = [tiny_world / "images", "--prior", of_features, "--features", file]
    flags += ["--ratings", tmp_path / "r.csv", "--no-browser", "--quiet"]
    assert photos.run(photos.rate, [str(x) for x in flags]) == 0
    old = read_features(file)
    expected = jiaa.load(of_features, scale=(1, 5)).predict(old.of([seen[0]["name"]]))
    assert seen[0]["score"] == pytest.approx(np.clip(expected[0], 1, 5), abs=0.01)
    assert seen[1]["rated"] == 1


def test_a_taste_is_learned_where_there_are_no_photographs(
    call, of_features, file, ratings, tmp_path
):
    own = ("--ratings", ratings, "--photos", tmp_path / "none", "--features", file)
    assert call(photos.personalize, of_features, *own, out="me.safetensors")


def test_a_prior_of_features_asks_for_them(call, of_features, tiny_world):
    with pytest.raises(SystemExit, match=r"computed elsewhere.*Give.*--features FILE"):
        call(photos.score, of_features, tiny_world / "images", out="a.csv")


def test_photographs_that_the_file_lacks_are_listed(
    of_features, tiny_world, file, tmp_path, capsys
):
    old = read_features(file)
    path = write_features(tmp_path / "few.npz", old.names[1:], old.features[1:])
    flags = [tiny_world / "images", "--prior", of_features, "--features", path]
    flags += ["-o", tmp_path / "a.csv", "--quiet"]
    assert photos.run(photos.score, [str(x) for x in flags]) == photos.UNREADABLE
    said = capsys.readouterr().err
    assert "few.npz has no features of" in said
    assert len((tmp_path / "a.csv").read_text().splitlines()) == len(old.names)


def test_features_of_another_encoder_are_refused(
    call, of_features, finished_run, tiny_world, file, tmp_path
):
    old, images = read_features(file), tiny_world / "images"
    for encoder, said in (
        ("dino", r"width 14 of 'dino'; the prior reads features of width 14 of"),
        ("", "does not tell which encoder gave its features"),
    ):
        path = tmp_path / "other.npz"
        write_features(path, old.names, old.features, encoder=encoder)
        with glancing(), pytest.raises(SystemExit, match=said):
            call(photos.score, finished_run, images, "--features", path, out="a.csv")
    # A prior of features reads any of their width whose encoder nobody told.
    call(photos.score, of_features, images, "--features", path, out="a.csv")


# From Python.


def test_arrays_and_files_stand_where_photographs_stand(of_features, file):
    model, old = jiaa.load(of_features), read_features(file)
    names, stars = list(old.names[:10]), np.linspace(1, 5, 10)
    expected = model.predict(old.features)
    for features in (file, old):
        found = model.predict(list(old.names), features=features)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    mine = model.adapt(names, stars, features=old)
    same = model.adapt(old.features[:10].astype(np.float64), stars)
    np.testing.assert_allclose(
        mine.predict(old.features), same.predict(old.features), atol=1e-6
    )
    assert not np.allclose(mine.predict(old.features), expected)


def test_photographs_go_by_their_folder_s_names(of_features, file, tiny_world):
    model, old = jiaa.load(of_features), read_features(file)
    folder = tiny_world / "images"
    album = open_album(folder)
    expected = model.predict(old.of(album.names))
    assert (model.predict(folder, features=file) == expected).all()
    one = model.predict(str(album.paths[3]), features=file)
    np.testing.assert_allclose(one, expected[3:4], atol=1e-6)


def test_wrong_features_in_python_are_told(of_features, finished_run, file):
    model, old = jiaa.load(of_features), read_features(file)
    with pytest.raises(ValueError, match=r"shape \(2, 3\); the prior reads .*width 14"):
        model.predict(np.zeros((2, 3), np.float32))
    wrong = old.features.copy()
    wrong[2, 5] = np.nan
    with pytest.raises(
        ValueError, match="feature 5 of row 2 is nan; expected a finite"
    ):
        model.predict(wrong)
    with pytest.raises(ValueError, match=r"photograph 0 is a ndarray without a name"):
        model.predict([np.zeros((4, 4, 3), np.uint8)], features=file)
    with pytest.raises(ValueError, match="1 of 2 photographs failed"):
        model.predict(["gone.jpg", old.names[0]], features=file)
    with pytest.raises(DataError, match=r"None of 1 .* first name is '.*relative"):
        model.predict("gone.jpg", features=file)


def test_a_prior_that_adapts_whole_reads_pixels_alone(file):
    whole = Encoder((8, 8), None, (), "")
    for read in (
        lambda: whole.checked(np.zeros((2, 14), np.float32)),
        lambda: whole.reading(KnownFeatures(read_features(file))),
        whole.described,
    ):
        with pytest.raises(ValueError, match=r"adapts its whole network.*whole=False"):
            read()


def test_an_export_of_it_reads_features_too(of_features, file, tmp_path):
    model, old = jiaa.load(of_features), read_features(file)
    folder = jiaa.export(model, tmp_path / "hub")
    card = (folder / "README.md").read_text()
    assert f"- input: features of width 14, computed by {old.encoder}" in card
    assert str(file) not in (folder / "config.json").read_text()
    again = jiaa.load(folder)
    assert (again.predict(old.features) == model.predict(old.features)).all()
    with pytest.raises(ValueError, match="no way from pixels to stars"):
        jiaa.export(model, tmp_path / "program", program=True)
