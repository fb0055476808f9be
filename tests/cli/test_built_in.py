"""The prior that comes with jiaa: what it holds, and the commands without `--prior`."""

import csv
import json
import re
import shlex
import types
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import jiaa
from jiaa.cli import built_in, photos
from jiaa.data.feature_file import write_features
from jiaa.models.weights import PACKAGES
from jiaa.serve import taste
from jiaa.serve.export import CARD, CONFIG, WEIGHTS

MEGABYTE = 10**6
OASIS = (387, 254, 133, 653, 508, 145, 84_029)  # photographs, raters, ratings
COUNT = 24
SHAPE = (288, 360)  # as OASIS: compiled once for both


@pytest.fixture(scope="module")
def prior(read_once):
    return jiaa.load()


@pytest.fixture(scope="module")
def arrays():
    return load_file(built_in.FOLDER / WEIGHTS)


@pytest.fixture(scope="module")
def content(arrays):
    """Features of photographs that nobody took, as those of OASIS are spread."""
    blocks = range(sum(name.endswith("/mean") for name in arrays))
    mean, scale = (
        np.concatenate([arrays[f"map/blocks/{i}/{x}"] for i in blocks])
        for x in ("mean", "scale")
    )
    drawn = np.random.default_rng(0).normal(size=(COUNT, len(mean)))
    return (mean + drawn * scale).astype(np.float32)


@pytest.fixture
def folder(prior, content, tmp_path, monkeypatch):
    """The working folder: `my photos`, and `features.npz` of the photographs in it."""
    monkeypatch.chdir(tmp_path)
    Path("my photos").mkdir()
    names = [f"{number:02d}.jpg" for number in range(COUNT)]
    for name in names:
        Image.new("RGB", (8, 8)).save(Path("my photos", name))
    write_features("features.npz", names, content, **prior.encoder.described())
    return tmp_path


@pytest.fixture
def call(folder, capsys):
    """A command on the folder, without --prior; returns (stdout, stderr)."""

    def run(command, *arguments):
        flags = [*map(str, arguments), "--features", "features.npz", "--quiet"]
        assert photos.run(command, flags) == 0
        return capsys.readouterr()

    return run


def write_ratings(stars, *, worker=None):
    head = "image,score" if worker is None else "image,score,worker"
    tail = "" if worker is None else f",{worker}"
    rows = [f"{number:02d}.jpg,{one}{tail}" for number, one in enumerate(stars)]
    Path("r.csv").write_text("\n".join([head, *rows]) + "\n")


OWN = ("--ratings", "r.csv", "--photos", "my photos", "--scale", "1", "7")


def ranking(path):
    with open(path, newline="") as file:
        return [(row["image"], float(row["score"])) for row in csv.DictReader(file)]


# What the package holds.


def test_the_file_holds_what_its_card_lists_and_no_row_a_photograph_or_rater(arrays):
    assert (built_in.FOLDER / WEIGHTS).stat().st_size <= 3 * MEGABYTE
    card = (built_in.FOLDER / CARD).read_text(encoding="utf-8")
    listed = re.search(r"^- arrays: (.*?)^- ", card, re.MULTILINE | re.DOTALL)[1]
    known = set(re.findall(r"`(params/[\w/]+)`", listed))
    of_a_block = set(re.findall(r"`(\w+)`", listed))
    known |= {f"map/blocks/{i}/{name}" for i in range(5) for name in of_a_block}
    assert set(arrays) == known
    for name, array in arrays.items():
        assert not set(array.shape) & set(OASIS), name
        assert np.isfinite(array).all(), name
        assert array.size or name.endswith(("anchors", "frequencies"))


def strings(value):
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [text for part in parts for text in strings(part)]
    return [value] if isinstance(value, str) else []


def test_its_config_names_no_place_on_a_machine():
    found = json.loads((built_in.FOLDER / CONFIG).read_text(encoding="utf-8"))
    assert not [x for x in strings(found) if x.startswith(("/", "~", "\\"))]
    assert not re.search(r"(?<!\w)/(home|root|tmp|work|Users)/", json.dumps(found))


def test_config_card_and_arrays_are_of_one_run(prior, caplog):
    jiaa.load()
    assert not caplog.records  # of an identity that differs
    card = (built_in.FOLDER / CARD).read_text(encoding="utf-8")
    assert f"identity: {prior.identity}" in card
    from scripts import built_in_prior

    assert card == built_in_prior.card(prior.identity)


# From Python.


def test_photographs_are_scored_on_oasis_scale_and_shape_by_shape(prior, tmp_path, rng):
    for number in range(4):
        noise = rng.integers(0, 256, (9, 9, 3), np.uint8)
        image = Image.fromarray(noise).resize((SHAPE[1] + 15, SHAPE[0] + 12))
        image.save(tmp_path / f"{number}.jpg")
    scores = prior.predict(tmp_path)
    assert prior.scale == (1, 7)
    assert np.all((scores > 1) & (scores < 7))
    assert len(set(scores.tolist())) == 4
    one = prior.predict(str(tmp_path / "2.jpg"))
    np.testing.assert_allclose(one, scores[2:3], atol=1e-4)


def test_a_taste_of_the_built_in_prior_comes_back(prior, content, tmp_path):
    stars = np.arange(12) % 7 + 1
    mine = prior.adapt(content[:12], stars)
    again = jiaa.load(user=mine.save_taste(tmp_path / "me.safetensors"))
    np.testing.assert_array_equal(again.predict(content), mine.predict(content))
    assert 0 <= again.share <= 1
    assert not np.allclose(mine.predict(content), prior.predict(content))


@pytest.mark.parametrize("method", ["own", "ridge", "pam", "finetune"])
def test_other_methods_adapt_it_too_and_nothing_learned_is_the_prior(
    prior, content, method
):
    other = jiaa.load(method=method)
    expected = prior.score(content)
    np.testing.assert_allclose(other.score(content), expected, rtol=1e-6)
    mine = other.adapt_encoded(content[:12], np.arange(12) % 7 + 1)
    assert np.abs(mine.score(content) - expected).max() > 1e-3
    nobody = mine.like_the_prior()
    np.testing.assert_allclose(nobody.score(content), expected, atol=1e-5)


# The commands.


@pytest.mark.parametrize("command", ["score", "personalize", "rate"])
def test_without_the_extra_one_line_names_the_pip_command(
    folder, monkeypatch, capsys, command
):
    found = metadata.distribution
    absent = {package.name for package in PACKAGES.values()}

    def distribution(name):
        if name in absent:
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    write_ratings([1, 2, 3])
    flags = list(OWN) if command == "personalize" else ["my photos"]
    with pytest.raises(SystemExit) as ended:
        photos.run(getattr(photos, command), [*flags, "--quiet"])
    message = str(ended.value)
    assert "not installed: pip install 'jiaa[weights]'" in message
    assert "\n" not in message
    assert "Traceback" not in capsys.readouterr().err


class OneRating:
    """Stands where the server of the rating page is: gives one rating, and ends."""

    url = "http://127.0.0.1"

    def __init__(self, session, *, port):
        self.session = session

    def run(self):
        self.session.rate(0, 5)


def test_every_command_says_in_one_line_which_prior_it_uses(call, monkeypatch):
    page = types.SimpleNamespace(Server=OneRating)
    monkeypatch.setattr(photos, "_server", lambda: page)
    write_ratings([1, 2, 3])
    rating = ("my photos", "--ratings", "new.csv", "-o", "own.safetensors")
    said = [
        call(photos.score, "my photos", "-o", "a.csv"),
        call(photos.personalize, *OWN, "-o", "me.safetensors"),
        call(photos.rate, *rating, "--no-browser"),
    ]
    for each in said:
        assert each.err.splitlines().count(built_in.TOLD) == 1
        assert "built in" not in each.out
    assert len(ranking("a.csv")) == COUNT
    # The page's taste tells from what it can be learned again.
    kept = taste.read_info("own.safetensors")
    assert kept.learned_from == ("new.csv", "my photos")


def share_of(said):
    return int(re.search(r"^you agree with the crowd about (\d+) %$", said, re.M)[1])


GAIN = re.compile(
    r"^SROCC on \d+ ratings held back, \d+ splits: before (\S+), after (\S+) "
    r"\(([+-]\S+) ± (\S+)\)$",
    re.MULTILINE,
)


def test_a_person_is_told_how_much_of_the_crowd_is_in_them_and_what_it_gained(
    call, prior, content
):
    """Somebody who likes what the crowd dislikes, and somebody who is the crowd."""
    crowd = prior.score(content).astype(float)
    unit = (crowd - crowd.min()) / np.ptp(crowd)
    write_ratings(np.round(7 - 6 * unit, 3))
    against = call(photos.personalize, *OWN, "-o", "me.safetensors").out
    before, after, gain, error = map(float, GAIN.search(against).groups())
    assert before < after
    assert gain == pytest.approx(after - before, abs=1.1e-3)
    assert error > 0
    assert "your ratings help" in against
    assert "me.safetensors: the taste of 24 ratings, " in against
    write_ratings(np.round(1 + 6 * unit, 3))
    alike = call(photos.personalize, *OWN, "-o", "me.safetensors").out
    assert share_of(against) < share_of(alike) <= 100


def test_where_ratings_do_not_help_the_taste_ranks_as_the_prior_does(
    call, prior, content
):
    """Somebody who rates exactly as the crowd does: nothing can rank them better."""
    write_ratings(prior.score(content))
    said = call(photos.personalize, *OWN, "-o", "me.safetensors").out
    before, after, *_ = map(float, GAIN.search(said).groups())
    assert after <= before == 1
    assert "do not help yet" in said
    assert "the prior's own ranking, in place of the taste of 24 ratings" in said
    call(photos.score, "my photos", "-o", "crowd.csv")
    call(photos.score, "my photos", "--user", "me.safetensors", "-o", "mine.csv")
    crowd, mine = ranking("crowd.csv"), ranking("mine.csv")
    assert [x for x, _ in mine] == [x for x, _ in crowd]
    np.testing.assert_allclose([x for _, x in mine], [x for _, x in crowd], atol=1e-4)


def of_another_prior(path):
    """Makes the taste that of a prior which is no more."""
    info = vars(taste.read_info(path)) | {"prior": "0123456789"}
    text = {"format": taste.FORMAT, "taste": json.dumps(info)}
    save_file(load_file(path), path, metadata=text)


@pytest.mark.parametrize(
    ("given", "added"),
    [((), ""), (("--worker", "Ann B", "--method", "ridge"), "--method ridge")],
)
def test_the_error_of_a_taste_of_another_prior_spells_the_command_that_mends_it(
    call, given, added
):
    write_ratings(np.arange(12) % 7 + 1, worker="Ann B" if given else None)
    call(photos.personalize, *OWN, *given, "-o", "me.safetensors")
    of_another_prior("me.safetensors")
    score = ["my photos", "--user", "me.safetensors", "-o", "a.csv"]
    with pytest.raises(SystemExit) as ended:
        call(photos.score, *score)
    message = str(ended.value)
    assert "\n" not in message
    assert "it was learned on another prior (0123456789; this is " in message
    command = re.search(r": (jiaa personalize .*)$", message)[1]
    worker = "--worker 'Ann B' " if given else ""
    expected = (
        f"jiaa personalize --ratings r.csv --photos 'my photos' {worker}"
        f"--scale 1 7 -o me.safetensors {added}"
    )
    assert command == expected.strip()
    again = call(photos.personalize, *shlex.split(command)[2:]).out
    assert "me.safetensors was learned on another prior (0123456789); it is" in again
    call(photos.score, *score)
    assert len(ranking("a.csv")) == COUNT
