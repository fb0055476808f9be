import csv
import json

import numpy as np
import pytest

from jiaa.report import runs


def _rewrite(path, change):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in map(change, rows) if row is not None]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_a_workdir_comes_back_as_it_was_written(make_run):
    run = runs.read_run(make_run())
    assert (run.method, run.label, run.dataset) == ("blg_piaa", "BLG-PIAA", "synthetic")
    assert run.users == ("ann", "bob, the second")
    assert run.shots == (2, 4)
    assert run.metrics == ("srocc", "rmse")
    np.testing.assert_allclose(run.values["srocc", 4], [[0.5, 0.7], [0.9, 0.7]])


def test_users_means_are_over_repeats_and_their_mean_is_the_summary_s(make_run):
    run = runs.read_run(make_run())
    before, after = run.per_user("srocc", 2)
    np.testing.assert_allclose(before, [0.1, 0.7])
    np.testing.assert_allclose(after, [0.3, 0.7])
    row = run.row("srocc", 2)
    np.testing.assert_allclose(row["mean"], 0.5)
    np.testing.assert_allclose(row["generic"], 0.4)
    # Over users, repeat 0 has mean 0.4 and repeat 1 has 0.6.
    np.testing.assert_allclose(row["std"], 0.1)


def test_a_repeat_without_a_coefficient_counts_on_neither_side(make_run):
    workdir = make_run()

    def blank(row):
        first = row["user"] == "ann" and row["repeat"] == "0" and row["shots"] == "2"
        return row | {"value": "nan"} if first and row["metric"] == "srocc" else row

    _rewrite(workdir / "results.csv", blank)
    before, after = runs.read_run(workdir).per_user("srocc", 2)
    np.testing.assert_allclose(before, [0.1, 0.7])
    np.testing.assert_allclose(after, [0.4, 0.7])


def test_a_user_whose_rows_are_absent_is_undefined(make_run):
    workdir = make_run()

    def drop(row):
        return None if row["user"] == "ann" and row["shots"] == "4" else row

    _rewrite(workdir / "results.csv", drop)
    before, after = runs.read_run(workdir).per_user("srocc", 4)
    assert np.isnan(before[0])
    assert np.isnan(after[0])
    np.testing.assert_allclose(after[1], 0.8)


def test_the_order_of_the_rows_does_not_matter(make_run):
    workdir = make_run()
    path = workdir / "results.csv"
    expected = runs.read_run(workdir)
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(lines)]) + "\n")
    backwards = runs.read_run(workdir)
    assert backwards.users == expected.users[::-1]
    for ours, theirs in zip(
        backwards.per_user("srocc", 2), expected.per_user("srocc", 2), strict=True
    ):
        np.testing.assert_allclose(ours[::-1], theirs)


def test_a_workdir_that_was_not_evaluated_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"scripts/evaluate\.py"):
        runs.read_run(tmp_path)


def test_a_missing_key_is_named_with_its_row(make_run):
    workdir = make_run()
    path = workdir / "summary.json"
    summary = json.loads(path.read_text())
    del summary["results"][1]["skipped"]
    path.write_text(json.dumps(summary))
    with pytest.raises(ValueError, match=r"results\[1\].*skipped"):
        runs.read_run(workdir)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON.*line 1"),
        ("[]", "a list, expected an object"),
        ("{}", "keys .* are missing"),
        (
            '{"method": "a", "dataset": 3, "seconds": 1, "results": [1]}',
            "'dataset' is 3; expected text",
        ),
        (
            '{"method": "a", "dataset": "b", "seconds": null, "results": [1]}',
            "'seconds' is None; expected a whole number or a number",
        ),
        (
            '{"method": "a", "dataset": "b", "seconds": 1, "results": {"x": 1}}',
            "'results' is .*; expected a list",
        ),
        (
            '{"method": "a", "dataset": "b", "seconds": 1, "results": [7]}',
            r"results\[0\]: a int, expected an object",
        ),
        (
            '{"method": "a", "dataset": "b", "seconds": 1, "results": []}',
            "`results` is empty",
        ),
    ],
)
def test_a_summary_of_another_form_is_refused(make_run, text, message):
    workdir = make_run()
    (workdir / "summary.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        runs.read_run(workdir)


def test_a_number_of_another_kind_is_named_with_its_row(make_run):
    workdir = make_run()
    path = workdir / "summary.json"
    summary = json.loads(path.read_text())
    summary["results"][1]["mean"] = "high"
    path.write_text(json.dumps(summary))
    with pytest.raises(ValueError, match=r"results\[1\]: 'mean' is 'high'; .* null"):
        runs.read_run(workdir)


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", b'"' + b"x" * 200_000 + b'"\n'])
def test_bytes_that_are_no_table_are_named_with_the_file(make_run, damage):
    workdir = make_run()
    with (workdir / "results.csv").open("ab") as file:
        file.write(damage)
    with pytest.raises(ValueError, match=r"results\.csv: line .*evaluate\.py"):
        runs.read_run(workdir)
    (workdir / "summary.json").write_bytes(damage)
    with pytest.raises(ValueError, match=r"summary\.json: (no JSON|a str, exp)"):
        runs.read_run(workdir)


def test_a_value_that_is_no_number_is_named_with_its_line(make_run):
    workdir = make_run()
    _rewrite(
        workdir / "results.csv",
        lambda row: row | {"value": "high"} if row["user"] == "ann" else row,
    )
    with pytest.raises(ValueError, match=r"results\.csv: line 2: .*'high'"):
        runs.read_run(workdir)


def test_a_missing_column_is_named(make_run):
    workdir = make_run()
    path = workdir / "results.csv"
    path.write_text(path.read_text().replace("repeat", "fold", 1))
    with pytest.raises(ValueError, match="'repeat'"):
        runs.read_run(workdir)


def test_generated_data_is_called_synthetic():
    assert runs.dataset_label("synthetic") == "synthetic"
    assert "synthetic data" in runs.dataset_label("synthetic_flickr_aes")
    assert runs.dataset_label("oasis") == "oasis"
