"""results.csv and summary.json by hand-worked means."""

import csv
import json

import numpy as np
import pytest

from jiaa.evaluate import results
from jiaa.evaluate.personalization import Results

NAMES = {7: "ann", 9: "bob, jr"}


@pytest.fixture
def measured():
    """Two users, two repeats; bob's second coefficient does not exist."""
    return Results(
        user_id=np.array([7, 9]),
        shots=(10,),
        repeat=np.array([0, 1]),
        values={
            "srocc": np.array([[[0.4, 0.6], [0.8, np.nan]]]),
            "generic_srocc": np.array([[[0.3, 0.3], [0.5, 0.1]]]),
        },
        scores={},
        seconds=1.5,
    )


def test_mean_is_over_users_of_the_users_mean_and_std_over_repeats(measured):
    (row,) = results.summarise(measured)
    assert row["mean"] == pytest.approx((0.5 + 0.8) / 2)
    assert row["std"] == pytest.approx(np.std([(0.4 + 0.8) / 2, 0.6]))
    assert row["generic"] == pytest.approx((0.3 + 0.5) / 2)
    assert (row["users"], row["repeats"], row["skipped"]) == (2, 2, 1)
    assert (row["shots"], row["metric"]) == (10, "srocc")


def test_nothing_defined_is_null_not_nan(measured):
    measured.values["srocc"][:] = np.nan
    (row,) = results.summarise(measured)
    assert row["mean"] is None
    assert row["std"] is None
    assert (row["users"], row["skipped"]) == (0, 4)


def test_files_hold_exactly_the_designs_keys(measured, tmp_path):
    results.write(measured, tmp_path, method="blg_piaa", dataset="oasis", names=NAMES)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == ["method", "dataset", "seconds", "results"]
    assert set(summary["results"][0]) == {
        "shots",
        "metric",
        "mean",
        "std",
        "generic",
        "users",
        "repeats",
        "skipped",
    }
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(results.FIELDS)
    assert len(rows) == 8
    assert rows[3] == {
        "method": "blg_piaa",
        "dataset": "oasis",
        "user": "bob, jr",
        "shots": "10",
        "repeat": "1",
        "metric": "srocc",
        "value": "nan",
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.csv", "summary.json"]


def test_a_failed_write_keeps_the_old_file(measured, tmp_path):
    write = {"method": "m", "dataset": "d"}
    results.write(measured, tmp_path, names=NAMES, **write)
    before = (tmp_path / "results.csv").read_text()
    with pytest.raises(KeyError):
        results.write(measured, tmp_path, names={7: "ann"}, **write)
    assert (tmp_path / "results.csv").read_text() == before
    assert len(list(tmp_path.iterdir())) == 2
