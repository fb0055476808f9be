"""How the speed of scoring is told: rounds in turns, after one that warms."""

import pytest

from scripts import _benchmark, bench_score


@pytest.fixture
def rounds(monkeypatch):
    """Makes the measured times known; returns who ran, in order."""
    seconds = {"jiaa": [2.0, 1.0, 4.0], "torch": [3.0, 5.0, 4.0]}
    ran = []

    def interleaved(ways, *, repeats):
        assert repeats == 3
        return {name: _benchmark.Times(seconds[name], seconds[name]) for name in ways}

    monkeypatch.setattr(bench_score._benchmark, "interleaved", interleaved)
    return ran


def way(ran, name, *, sees=8):
    def run():
        ran.append(name)
        return sees

    return run


def test_speed_is_of_the_median_round_and_its_ratio_to_the_other_sides(rounds):
    ways = {name: way(rounds, name) for name in ("jiaa", "torch")}
    jiaa, torch = bench_score._rows(ways, "torch", 8, repeats=3)
    assert rounds == ["jiaa", "torch"]  # each once, before the clock starts
    assert (jiaa["a second"], torch["a second"]) == (4, 2)
    assert (jiaa["lowest"], jiaa["highest"]) == (2, 8)
    assert (jiaa["ratio"], torch["ratio"]) == (2, 1)


def test_a_side_that_leaves_photographs_out_is_not_timed(rounds):
    ways = {"jiaa": way(rounds, "jiaa"), "torch": way(rounds, "torch", sees=7)}
    with pytest.raises(AssertionError, match="torch saw 7 of 8 photographs"):
        bench_score._rows(ways, "torch", 8, repeats=3)
