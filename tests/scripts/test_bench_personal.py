"""A folder with several raters against a prior: groups, splits, and who counts."""

import argparse
import json
import sys

import experiments
import numpy as np
import pytest
from experiments import glancing
from scipy.stats import spearmanr

import jiaa
from jiaa.cli.models import load
from jiaa.data.folder import read_folder
from jiaa.data.table import DataError
from scripts import bench_personal

__all__ = ["finished_run", "tiny_world"]
finished_run, tiny_world = experiments.finished_run, experiments.tiny_world

KEYS = {
    "group",
    "shots",
    "users",
    "repeats",
    "prior_srocc",
    "srocc",
    "alone_srocc",
    "worse_share",
}


@pytest.fixture(scope="module", autouse=True)
def known_backbone():
    with glancing():
        yield


@pytest.fixture(scope="module")
def names(tiny_world):
    return sorted(path.name for path in (tiny_world / "images").iterdir())


@pytest.fixture(scope="module")
def scores(tiny_world, names):
    """Rater -> picture -> stars from 0 to 10.

    `ann_1` and `ann_2` rated twenty pictures, `ben_3` five, and `cid_4` gives all the
    same.
    """
    rng = np.random.default_rng(0)
    drawn = {
        who: dict(zip(names[:count], rng.integers(0, 11, count), strict=True))
        for who, count in (("ann_1", 20), ("ann_2", 20), ("ben_3", 5))
    }
    return drawn | {"cid_4": dict.fromkeys(names[:20], 3)}


def write(root, scores, *, images="", pictures):
    rows = [f"{who},{x},{s}" for who, own in scores.items() for x, s in own.items()]
    text = "\n".join(["worker,image,score", *rows]) + "\n"
    (root / "ratings.csv").write_text(text)
    if images:
        (root / "images.csv").write_text(images)
    (root / "images").symlink_to(pictures)
    return root


@pytest.fixture
def folder(tmp_path, tiny_world, scores, names):
    """Ten pictures of art and nine of a city; one more is not of the split."""
    themes = ["art"] * 10 + ["city"] * 10
    splits = ["test"] * 19 + ["train"]
    lines = map(",".join, zip(names[:20], themes, splits, strict=True))
    images = "\n".join(["image,theme,split", *lines]) + "\n"
    return write(tmp_path, scores, images=images, pictures=tiny_world / "images")


@pytest.fixture
def bench(folder, finished_run, monkeypatch):
    """The script; returns what its JSON holds."""

    def call(*flags):
        out = folder / "found" / "x.json"
        given = ["--root", folder, "--prior", finished_run, "--cache", folder / "cache"]
        words = ["bench_personal.py", *given, "--repeats", 3, "--out", out, *flags]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        bench_personal.main()
        return json.loads(out.read_text())

    return call


def test_the_json_has_a_row_for_each_group_and_number_of_ratings(
    bench, folder, finished_run, capsys
):
    found = bench("--group-by", "theme", "--shots", 0, 9)
    assert {x: found[x] for x in ("root", "prior", "method")} == {
        "root": str(folder),
        "prior": str(finished_run),
        "method": "blend",
    }
    assert all(set(row) >= KEYS for row in found["rows"])
    assert [(row["group"], row["shots"]) for row in found["rows"]] == [
        ("all", 0),
        ("all", 9),
        ("art", 0),
        ("city", 0),
    ]
    said = capsys.readouterr().out
    # Nobody has nine ratings of a theme, and two more to be measured on.
    assert "art: nobody has 11 ratings; no row of 9" in said
    assert "| all | 9 | 2 | " in said
    for row in found["rows"]:
        # ben_3 has too few ratings to learn from, and rated no city; cid_4's have no
        # order.
        of_the_prior = row["shots"] == 0 and row["group"] != "city"
        assert row["users"] == 2 + of_the_prior
        assert row["repeats"] == (3 if row["shots"] else 1)
        assert (row["alone_srocc"] is None) == (row["shots"] == 0)


def test_no_own_rating_is_the_prior_on_all_pictures_of_the_split(
    bench, folder, scores, names, finished_run
):
    (row,) = bench("--shots", 0)["rows"]
    model = jiaa.load(finished_run)
    crowd = dict(zip(names, model.predict(folder / "images"), strict=True))
    expected = []
    for who in ("ann_1", "ann_2", "ben_3"):
        own = {x: s for x, s in scores[who].items() if x in names[:19]}
        predicted = [crowd[x] for x in own]
        expected.append(spearmanr(predicted, list(own.values())).statistic)
    assert row["prior_srocc"] == pytest.approx(np.mean(expected), abs=1e-4)
    assert row["srocc"] == row["prior_srocc"]
    assert row["worse_share"] == 0


def test_raters_are_chosen_by_their_number(bench):
    for raters, users in (("odd", 2), ("even", 1), ("all", 3)):
        (row,) = bench("--shots", 0, "--raters", raters)["rows"]
        assert row["users"] == users


def test_worse_share_counts_raters_whose_mean_falls_below_the_priors():
    prior = np.array([0.5, 0.1, 0.3, np.nan])
    own = np.array([0.4, 0.2, 0.3, 0.9])
    row = bench_personal._row(prior, own, np.array([0.0, 0.3, np.nan, 0.9]))
    assert row["users"] == 3
    assert row["worse_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert row["prior_srocc"] == row["srocc"] == pytest.approx(0.3)
    assert row["alone_srocc"] == pytest.approx(0.15)
    expected = np.std([-0.1, 0.1, 0], ddof=1) / np.sqrt(3)
    assert row["gain_error"] == pytest.approx(expected, abs=1e-4)


def test_where_no_coefficient_exists_there_is_no_row(
    finished_run, tiny_world, names, tmp_path, capsys
):
    same = {"cid": dict.fromkeys(names[:8], 3)}
    root = write(tmp_path, same, pictures=tiny_world / "images")
    flags = {"root": root, "prior": finished_run, "method": None, "group_by": None}
    flags |= {"shots": [0], "repeats": 2, "raters": "all", "scale": None, "seed": 0}
    found = bench_personal.run(argparse.Namespace(**flags, cache=tmp_path / "cache"))
    assert found["rows"] == []
    assert "all: no SROCC is defined; no row of 0" in capsys.readouterr().out
    assert bench_personal.table(found["rows"]).count("\n") == 1


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((0, 0.5, 1), (0, 1)),
        ((1, 3, 5), (1, 5)),
        ((2, 6.5), (1, 7)),
        ((0, 9), (0, 10)),
        ((1, 55), (0, 100)),
    ],
)
def test_the_scale_is_the_first_that_holds_all_scores(tmp_path, values, scale):
    rows = "".join(f"a.jpg,{value}\n" for value in values)
    (tmp_path / "ratings.csv").write_text("image,score\n" + rows)
    assert bench_personal.scale_of(tmp_path) == scale


def test_scores_on_no_known_scale_ask_for_it(tmp_path):
    (tmp_path / "ratings.csv").write_text("image,score\na.jpg,-3\n")
    with pytest.raises(DataError, match=r"ratings\.csv: scores on none.*--scale LOW"):
        bench_personal.scale_of(tmp_path)


def test_scores_that_are_no_numbers_are_told(tmp_path):
    (tmp_path / "ratings.csv").write_text("image,score\na.jpg,good\n")
    with pytest.raises(DataError, match=r"ratings\.csv: no score is a number"):
        bench_personal.scale_of(tmp_path)


def test_only_groups_with_a_name_and_a_rater_are_measured(folder, names, capsys):
    lines = [f"{x},{('art', '', 'zoo')[n % 3]}" for n, x in enumerate(names[:20])]
    (folder / "images.csv").write_text("\n".join(["image,theme", *lines]) + "\n")
    rated = [f"ann_1,{x},3" for n, x in enumerate(names[:20]) if n % 3 < 2]
    (folder / "ratings.csv").write_text(
        "\n".join(["worker,image,score", *rated]) + "\n"
    )
    read = read_folder(folder, scale=(0, 10))
    found = bench_personal.groups(read, by="theme", raters="all")
    assert [group.name for group in found] == ["all", "art"]
    assert capsys.readouterr().out.startswith("zoo: nobody of --raters all")


def test_nobody_at_all_is_told_with_the_split(bench, folder):
    path = folder / "images.csv"
    path.write_text(path.read_text().replace(",test", ",train"))
    with pytest.raises(SystemExit, match=r"rated one of 0 pictures: .* split 'test'"):
        bench()


def test_a_file_that_cannot_be_written_is_told_before_the_work(bench, folder):
    with pytest.raises(SystemExit, match=r"Error: .*ratings\.csv"):
        bench("--out", folder / "ratings.csv" / "x.json")


def test_a_column_that_is_not_there_is_told_with_those_that_are(bench):
    with pytest.raises(SystemExit, match=r"--group-by era: images\.csv has .*theme"):
        bench("--group-by", "era")


def test_alone_is_the_blend_without_a_share_of_the_crowd(finished_run):
    model = load(finished_run)
    own = bench_personal.alone(model)
    content = np.random.default_rng(0).normal(size=(12, model.encoder.width))
    mine = model.replace(personalizer=own).adapt_encoded(
        content.astype(np.float32), np.arange(12) % 5 + 1
    )
    assert mine.share == pytest.approx(0, abs=1e-6)
