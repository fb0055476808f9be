import pytest

from jiaa.report import published, runs, tables


def _cells(table):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
    ]


def test_a_row_holds_mean_spread_generic_change_and_counts(make_run):
    table = tables.results_table([runs.read_run(make_run())], metric="srocc")
    header, _, two, four = _cells(table)
    assert header[:5] == ["method", "ratings", "SROCC", "generic", "change"]
    assert two == [
        "BLG-PIAA", "2", "0.500 ± 0.100", "0.400", "+0.100", "2", "2", "0"
    ]  # fmt: skip
    # Repeats' means over users are 0.7 and 0.7; the generic ones 0.35 and 0.45.
    assert four[2:5] == ["0.700 ± 0.000", "0.400", "+0.300"]


def test_a_number_that_does_not_exist_is_a_dash():
    assert tables.number(None) == "-"
    assert tables.number(0.5) == "0.500"


def test_two_runs_of_one_method_are_told_apart(make_run):
    here = [runs.read_run(make_run(name=name)) for name in ("seed0", "seed1")]
    assert tables.run_labels(here) == ["BLG-PIAA (seed0)", "BLG-PIAA (seed1)"]


def test_ours_and_the_published_stand_in_columns_that_name_their_dataset(make_run):
    table = tables.beside_published([runs.read_run(make_run(dataset="oasis"))])
    header, _, *rows = _cells(table)
    assert header[1:3] == ["oasis, 2 ratings", "oasis, 4 ratings"]
    assert all("FLICKR-AES" in name for name in header[3:])
    assert all("published, not rerun here" in name for name in header[3:])
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["BLG-PIAA"] == [
        "0.500 ± 0.100", "0.700 ± 0.000", "0.561 ± 0.005", "0.669 ± 0.013"
    ]  # fmt: skip
    assert by_name["PA_IAA"] == ["-", "-", "0.543 ± 0.003", "0.639 ± 0.011"]
    assert len(rows) == 13


def test_a_table_never_mixes_datasets(make_run):
    here = [runs.read_run(make_run(dataset=name)) for name in ("synthetic", "oasis")]
    with pytest.raises(ValueError, match="one dataset"):
        tables.results_table(here, metric="srocc")


def test_table_two_has_a_row_for_each_backbone_and_method(make_run):
    run = runs.read_run(make_run(method="ba_piaa"))
    table = tables.backbone_table(
        {("alexnet", "ba_piaa"): run, ("squeezenet", "x"): run}
    )
    _, _, *rows = _cells(table)
    assert rows[0] == [
        "AlexNet", "BA-PIAA", "0.500 ± 0.100", "0.700 ± 0.000",
        "0.491 ± 0.002", "0.556 ± 0.007",
    ]  # fmt: skip
    assert rows[1][:3] == ["AlexNet", "BLG-PIAA", "-"]
    assert rows[-1][0] == "SqueezeNet 1.1"
    assert rows[-1][-2:] == ["-", "-"]
    assert len(rows) == 7


def test_the_terminal_s_columns_are_aligned_and_datasets_apart(make_run):
    here = [
        runs.read_run(make_run(method, dataset))
        for dataset in ("synthetic", "oasis")
        for method in ("ba_piaa", "blg_piaa")
    ]
    first, second = tables.terminal_table(here).split("\n\n")
    heading, *lines = first.splitlines()
    assert heading.startswith("SROCC on synthetic")
    assert second.startswith("SROCC on oasis")
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 5


def test_a_bar_in_a_name_does_not_break_the_table():
    assert r"a\|b" in tables.markdown(["x"], [["a|b"]])


def test_every_published_number_has_a_source_and_a_dataset():
    numbers = published.flickr_aes() + published.backbones() + published.generic()
    assert all(p.source and p.dataset for p in numbers)
    assert len(published.flickr_aes()) == 26
    assert len(published.backbones()) == 12


def test_table_one_s_row_is_table_two_s_on_resnet18_but_for_one_spread():
    one = {(p.method, p.shots): p for p in published.flickr_aes()}
    two = {(p.method, p.shots): p for p in published.backbones()
           if p.backbone == "resnet18"}  # fmt: skip
    assert {key: two[key].mean for key in two} == {key: one[key].mean for key in two}
    differing = [key for key in two if two[key].std != one[key].std]
    assert differing == [("ba_piaa", 100)]


def test_generic_models_are_listed_by_dataset():
    rows = _cells(tables.generic_table())
    assert {row[0] for row in rows[2:]} == {"AVA", "AADB", "FLICKR-AES"}
