"""The built-in prior on real photographs, and a newcomer's way with real ratings.

Photographs and raters of OASIS' split `test`. The prior has learned from them too: what
is shown here is that the way leads somewhere, not how well.
"""

import csv
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import spearmanr

import jiaa
from jiaa import cli
from jiaa.cli import built_in
from jiaa.serve.export import WEIGHTS

PHOTOS, RATED = 43, 30
# Stars by the run of `python scripts/built_in_prior.py --root FOLDER` itself.
GOLDEN = {
    "Alcohol1.jpg": 3.7986,
    "Beach6.jpg": 5.2997,
    "Bubble2.jpg": 5.1499,
    "Cat3.jpg": 5.735,
    "Chipmunk2.jpg": 5.4705,
    "Dessert3.jpg": 5.0369,
    "Dirt2.jpg": 5.8176,
    "Drink1.jpg": 4.6252,
}


@pytest.fixture(scope="module")
def test_part(oasis_root):
    """(the first photographs of the split, worker -> photograph -> stars)."""
    with (oasis_root / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [x["image"] for x in rows if x["split"] == "test"][:PHOTOS]
    people = {}
    with (oasis_root / "ratings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["image"] in names:
                of_one = people.setdefault(row["worker"], {})
                of_one[row["image"]] = float(row["score"])
    return names, people


@pytest.fixture(scope="module")
def folder(read_once, oasis_root, test_part, tmp_path_factory):
    """`photos` and a cache that the tests of this module share."""
    root = tmp_path_factory.mktemp("newcomer")
    (root / "photos").mkdir()
    for name in test_part[0]:
        shutil.copy(oasis_root / "images" / name, root / "photos" / name)
    return root


@pytest.fixture
def jiaa_command(folder, monkeypatch, capsys):
    """A console command, typed in the folder; returns what it printed, and seconds."""
    monkeypatch.chdir(folder)

    def call(line):
        words = [*line.split(), "--cache", "cache", "--quiet"]
        monkeypatch.setattr(sys, "argv", words)
        started = time.perf_counter()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return capsys.readouterr(), time.perf_counter() - started

    return call


def scores_of(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {Path(row["image"]).name: float(row["score"]) for row in rows}


@pytest.mark.data
def test_the_package_gives_the_stars_of_the_run_that_made_it(folder):
    model = jiaa.load()
    cache = model.open_cache(folder / "cache")
    found = model.score(
        model.encode([folder / "photos" / x for x in GOLDEN], cache=cache)
    )
    np.testing.assert_allclose(found, list(GOLDEN.values()), atol=2e-3)


@pytest.mark.data
def test_a_newcomer_gets_from_photographs_to_a_ranking_of_their_own(
    jiaa_command, test_part
):
    names, people = test_part
    # The first who rated all of them; what they give is known to the test alone.
    worker = min(who for who, rated in people.items() if len(rated) == PHOTOS)
    own = people[worker]
    kept, held_out = names[:RATED], names[RATED:]
    said, first = jiaa_command("jiaa score photos -o crowd.csv")
    assert built_in.TOLD in said.err
    rows = "".join(f"{name},{own[name]:g}\n" for name in kept)
    Path("ratings.csv").write_text("image,score\n" + rows)
    line = "jiaa personalize --ratings ratings.csv --photos photos --scale 1 7"
    said, learned = jiaa_command(line)
    assert re.search(r"you agree with the crowd about \d+ %", said.out)
    assert "taste.safetensors: " in said.out
    _, second = jiaa_command("jiaa score photos --user taste.safetensors -o mine.csv")
    stars = [own[name] for name in held_out]
    srocc = {}
    for path in ("crowd.csv", "mine.csv"):
        scores = scores_of(path)
        assert len(scores) == PHOTOS
        srocc[path] = spearmanr([scores[x] for x in held_out], stars).statistic
    print(
        f"{worker}, {len(held_out)} photographs: "
        f"SROCC before {srocc['crowd.csv']:.3f}, "
        f"after {RATED} ratings {srocc['mine.csv']:.3f}; score {first:.1f} s, "
        f"personalize {learned:.1f} s, score again {second:.1f} s"
    )
    assert all(0.3 < x <= 1 for x in srocc.values())
    # The ranking changes where the ratings help, and nowhere else.
    orders = [list(scores_of(path)) for path in ("crowd.csv", "mine.csv")]
    assert (orders[0] != orders[1]) == ("in place of the taste" not in said.out)


@pytest.mark.data
@pytest.mark.slow
def test_the_command_makes_the_package_again(oasis_root, tmp_path):
    """All photographs and raters: half a minute of a core."""
    from scripts import built_in_prior

    built_in_prior.make(oasis_root, tmp_path / "run", tmp_path / "out")
    made, kept = (load_file(x / WEIGHTS) for x in (tmp_path / "out", built_in.FOLDER))
    assert set(made) == set(kept)
    for name, array in made.items():
        # The hyper-prior's minimum is flat.
        atol = 0.2 if name.endswith("log_prior") else 1e-4
        np.testing.assert_allclose(array, kept[name], atol=atol, err_msg=name)
