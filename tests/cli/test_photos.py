"""`jiaa score`, `personalize` and `rate`, from files to files."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import jax
import numpy as np
import pytest
from experiments import glancing
from PIL import Image

from jiaa.cli import photos
from jiaa.data.folder import read_ratings
from jiaa.models import trunk
from jiaa.serve.server import Server

HERE = Path(__file__).resolve()


@pytest.fixture(autouse=True)
def known_backbone():
    with glancing():
        yield


@pytest.fixture
def images(tiny_world):
    return tiny_world / "images"


@pytest.fixture
def score(finished_run, tmp_path):
    """Runs `jiaa score`; returns its exit code."""

    def call(*arguments):
        shared = ["--prior", finished_run, "--cache", tmp_path / "cache", "--quiet"]
        return photos.score([str(x) for x in (*arguments, *shared)])

    return call


@pytest.fixture
def personalize(finished_run, images, tmp_path):
    """Runs `jiaa personalize`; returns its exit code."""

    def call(path, *arguments):
        shared = ["--prior", finished_run, "--cache", tmp_path / "cache", "--quiet"]
        shared += ["-o", tmp_path / "me.safetensors", "--photos", images]
        given = ("--ratings", path, *arguments, *shared)
        return photos.personalize([str(x) for x in given])

    return call


def test_csv_and_json_lines_hold_the_same_ranking(score, images, tmp_path):
    assert score(images, "-o", tmp_path / "a.csv") == 0
    assert score(images, "-o", tmp_path / "a.jsonl") == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [{k: str(v) for k, v in json.loads(x).items()} for x in lines] == rows
    assert len(rows) == len(list(images.iterdir()))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))


def test_the_best_are_printed_and_copied(score, images, tmp_path, capsys):
    copies = tmp_path / "best"
    score(images, "-o", tmp_path / "a.csv", "--top", "3", "--copy-to", copies)
    with (tmp_path / "a.csv").open(newline="") as file:
        best = [Path(row["image"]).name for row in csv.DictReader(file)][:3]
    printed = capsys.readouterr().out.splitlines()
    assert [Path(line.split()[-1]).name for line in printed] == best
    expected = [f"{rank}_{name}" for rank, name in enumerate(best, 1)]
    assert sorted(path.name for path in copies.iterdir()) == expected


def test_corrupt_files_are_listed_and_nothing_else_is_lost(
    score, images, tmp_path, capsys
):
    broken = [tmp_path / "cut.jpg", tmp_path / "empty.png"]
    whole = next(images.iterdir())
    broken[0].write_bytes(whole.read_bytes()[:60])
    broken[1].touch()
    code = score(images, *broken, "-o", tmp_path / "a.csv")
    said = capsys.readouterr().err
    assert code == photos.UNREADABLE
    assert "2 photographs could not be read" in said
    assert re.search(r"cut\.jpg: not readable.*\n.*empty\.png: an empty file", said)
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert len(rows) == 1 + len(list(images.iterdir()))


def test_a_killed_call_goes_on_where_it_stopped(score, images, tmp_path, monkeypatch):
    seen = []
    true_features = trunk.batch_features

    def counted(options, variables, pixels):
        if not isinstance(pixels, jax.core.Tracer):  # not while shapes are computed
            seen.append(len(pixels))
        return true_features(options, variables, pixels)

    monkeypatch.setattr(trunk, "batch_features", counted)
    monkeypatch.setattr("jiaa.serve.model.BATCH", 8)
    files = sorted(images.iterdir())
    assert score(*files[:8], "-o", tmp_path / "part.csv") == 0
    assert len(seen) == 1
    assert score(images, "-o", tmp_path / "a.csv") == 0
    assert len(seen) == -(-len(files) // 8)
    assert score(images, "-o", tmp_path / "b.csv") == 0
    assert len(seen) == -(-len(files) // 8)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["IMAGES", "-o", "a.txt"], r"a\.txt: expected a name ending in \.csv"),
        (["IMAGES", "--user", "no.safetensors"], "no.safetensors does not exist"),
        (["IMAGES", "--set", "adapt.step=3"], "config has no 'adapt.step'"),
        (["IMAGES", "--scale", "5", "1"], r"scale=\(5.0, 1.0\); .*low < high"),
        (["IMAGES", "--scale", "1", "nan"], r"scale=\(1.0, nan\)"),
    ],
)
def test_what_can_be_mended_is_told_in_one_message(
    finished_run, images, arguments, said, tmp_path
):
    arguments = [str(images) if x == "IMAGES" else x for x in arguments]
    shared = ["--prior", str(finished_run), "--cache", str(tmp_path)]
    with pytest.raises(SystemExit, match=f"jiaa: .*{said}"):
        photos.run(photos.score, [*arguments, *shared])


def test_a_folder_that_is_no_run_is_named(images, tmp_path):
    with pytest.raises(SystemExit, match=r"neither a finished run nor an export"):
        photos.run(photos.score, [str(images), "--prior", str(tmp_path)])


def brightness(path):
    return float(np.asarray(Image.open(path).convert("L")).mean())


def test_a_taste_is_cross_validated_and_moves_the_ranking(
    personalize, score, images, tmp_path, capsys
):
    """Of somebody who likes bright photographs, which the model can learn."""
    chosen = sorted(sorted(images.iterdir())[:15], key=brightness)
    path = tmp_path / "many.csv"
    rows = (f"{one.name},{1 + number // 3}\n" for number, one in enumerate(chosen))
    path.write_text("image,score\n" + "".join(rows))
    assert personalize(path, "--method", "ridge") == 0
    said = capsys.readouterr().out
    pattern = r"SROCC on 5 ratings held back, \d+ splits: before (\S+), after (\S+) "
    before, after = map(float, re.search(pattern, said).groups())
    assert before < after <= 1
    assert re.search(r"me\.safetensors: the taste of 15 ratings, [\d,]+ bytes", said)
    score(images, "-o", tmp_path / "a.csv", "--scale", "1", "5")
    score(images, "--user", tmp_path / "me.safetensors", "-o", tmp_path / "b.csv")
    tables = [(tmp_path / name).read_text() for name in ("a.csv", "b.csv")]
    assert tables[0] != tables[1]


def test_too_few_ratings_say_so(personalize, images, tmp_path, capsys):
    names = sorted(path.name for path in images.iterdir())[:5]
    path = tmp_path / "few.csv"
    rows = (f"{name},{1 + number}\n" for number, name in enumerate(names))
    path.write_text("image,score\n" + "".join(rows))
    assert personalize(path, "--method", "ridge") == 0
    assert (
        "5 ratings are too few to check whether they help (10"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("scale", [("5", "1"), ("3", "3"), ("1", "inf")])
@pytest.mark.parametrize("command", ["personalize", "rate"])
def test_a_scale_that_is_none_is_told_before_the_rows(
    personalize, finished_run, images, tmp_path, scale, command
):
    path = tmp_path / "my.csv"
    path.write_text("image,score\na.jpg,2\n")
    flags = [*rating_flags(images, finished_run, tmp_path), "--scale", *scale]
    calls = {
        "personalize": lambda _: personalize(path, "--scale", *scale),
        "rate": lambda _: photos.rate(flags),
    }
    with pytest.raises(SystemExit, match=r"low < high(.|\n)*--scale LOW HIGH") as told:
        photos.run(calls[command], [])
    assert "--config" not in str(told.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "FOLDER"], "is a folder; name a file"),
        (["-o", "FILE/a.csv"], "which is no folder"),
        (["--top", "0"], "'0' is no whole number from 1"),
        (["--top", "x"], "'x' is no whole number from 1"),
    ],
)
def test_flags_that_cannot_be_are_told_before_the_work(
    score, images, tmp_path, arguments, said, capsys
):
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER").mkdir()
    flag, value = arguments
    value = tmp_path / value if flag == "-o" else value
    with pytest.raises(SystemExit, match="2"):
        score(images, flag, value)
    assert said in capsys.readouterr().err


def test_a_folder_that_nobody_may_write_in_is_told_before_the_work(
    score, images, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(photos.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(SystemExit, match="2"):
        score(images, "-o", tmp_path / "s.csv")
    assert "where you may not write; name another" in capsys.readouterr().err


def test_a_port_that_is_none_is_refused(finished_run, images, tmp_path, capsys):
    flags = rating_flags(images, finished_run, tmp_path)
    with pytest.raises(SystemExit, match="2"):
        photos.rate([*flags, "--port", "70000"])
    assert "'70000' is no whole number from 0 to 65535" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_printed(score, images, tmp_path, capsys):
    odd = os.fsencode(tmp_path) + b"/\xff.png"
    with open(odd, "wb") as file:
        file.write(next(images.iterdir()).read_bytes())
    given = (os.fsdecode(odd), "-o", tmp_path / "a.csv", "--top", "1")
    with pytest.raises(SystemExit, match="0"):
        sys.exit(photos.run(lambda _: score(*given), []))
    assert r"\udcff.png" in capsys.readouterr().out
    assert b"/\xff.png" in (tmp_path / "a.csv").read_bytes()


def test_several_peoples_ratings_need_a_name(personalize, tiny_world):
    with pytest.raises(SystemExit, match=r"people: .*--worker NAME"):
        photos.run(lambda _: personalize(tiny_world / "ratings.csv"), [])


RATE = """
import sys
sys.path[:0] = sys.argv[1:3]
from experiments import glancing
from jiaa.cli import photos
with glancing():
    photos.rate(sys.argv[3:])
"""


def rating_flags(images, prior, folder):
    flags = [images, "--prior", prior, "--ratings", folder / "my.csv"]
    flags += ["--cache", folder / "cache", "--no-browser", "--quiet"]
    return [str(flag) for flag in flags]


@pytest.fixture
def rating(finished_run, images, tmp_path):
    """Starts `jiaa rate` in a process; returns it and what sends it a request."""
    paths = [str(HERE.parents[2]), str(HERE.parents[1])]
    given = rating_flags(images, finished_run, tmp_path)
    command = [sys.executable, "-c", RATE, *paths, *given]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    url = re.search(r"http\S+", process.stdout.readline()).group()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(url).close()
    root = url.partition("?")[0]

    def send(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Origin": root[:-1]}
        request = urllib.request.Request(root + path, data, headers)
        with opener.open(request) as answer:
            return json.load(answer)

    yield process, send
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_rating_page_loses_nothing_and_goes_on(
    rating, finished_run, images, tmp_path, monkeypatch
):
    process, send = rating
    state = send("api/state")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        send("api/rate", {"image": -1, "stars": 3})
    for stars in (5, 1):
        answer = {"image": state["question"]["image"], "stars": stars}
        state = send("api/rate", answer)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = read_ratings(tmp_path / "my.csv", scale=(1, 5))
    assert kept.stars.tolist() == [5, 1]
    views = []

    def look(server):
        views.append(server.session.view())
        server.close()

    monkeypatch.setattr(Server, "run", look)
    assert photos.rate(rating_flags(images, finished_run, tmp_path)) == 0
    for key in ("rated", "question"):
        assert views[0][key] == state[key]


def test_equal_ratings_are_told_and_keep_the_priors_ranking(
    tmp_path, images, personalize, capsys
):
    names = [path.name for path in sorted(images.iterdir())][:12]
    path = tmp_path / "equal.csv"
    path.write_text("image,score\n" + "".join(f"{name},4\n" for name in names))
    assert personalize(path) == 0
    said = capsys.readouterr().out
    assert "all 12 ratings are 4: they do not say what you like better" in said
    assert "the prior's own ranking" in said
    assert "crowd" not in said
