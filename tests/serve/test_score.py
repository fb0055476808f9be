"""Rankings: best first, equal scores in the given order, files that read back."""

import csv
import json

import numpy as np
import pytest

from jiaa.serve.score import Ranked, copy_photos, rank_photos, write_ranking


def test_the_best_is_first_and_ties_keep_their_order(prior, photos):
    listed = [photos[2], photos[0], photos[2].parent / photos[2].name]
    ranking = rank_photos(prior, [*listed, photos[1]], progress=False)
    scores = prior.predict([*listed, photos[1]])
    order = np.argsort(-scores, kind="stable")
    assert [one.image for one in ranking.photos] == [
        [*listed, photos[1]][row] for row in order
    ]
    assert [one.rank for one in ranking.photos] == [1, 2, 3, 4]


def test_odd_names_read_back(tmp_path):
    names = ["a, b.jpg", 'say "hi".jpg', "ü\nx.jpg"]
    ranking = [Ranked(n, tmp_path / name, 1.5) for n, name in enumerate(names, 1)]
    write_ranking(ranking, tmp_path / "x.csv")
    write_ranking(ranking, tmp_path / "x.jsonl")
    with (tmp_path / "x.csv").open(newline="") as file:
        found = [row["image"] for row in csv.DictReader(file)]
    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    assert found == [json.loads(line)["image"] for line in lines]
    assert found == [str(tmp_path / name) for name in names]


def test_copies_sort_by_rank(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"x")
    ranking = [Ranked(n, tmp_path / "x.jpg", 1.0) for n in (1, 2, 10)]
    copy_photos(ranking, tmp_path / "best")
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["01_x.jpg", "02_x.jpg", "10_x.jpg"]


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"x\.txt: expected a name ending in \.csv"):
        write_ranking([], tmp_path / "x.txt")
