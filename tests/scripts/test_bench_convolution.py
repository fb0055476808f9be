"""The bench of single layers: the rows that the table of choices cites, and a line."""

import re

import pytest

from jiaa.models import convolution_mixed
from scripts import bench_convolution
from scripts.bench_convolution import LAYERS


def cited(evidence):
    """Rows of one choice's evidence; "B-D" names B, C and D."""
    found = set()
    for word in re.findall(r"\b[A-Ea-e]-[A-Ea-e]\b|\b[A-Za-z]\d?\b", evidence):
        first, _, last = word.partition("-")
        found |= {chr(n) for n in range(ord(first), ord(last) + 1)} if last else {word}
    return found


def test_choices_cite_rows_that_the_bench_prints():
    measured = [
        choice.evidence
        for choice in convolution_mixed.CHOICES
        if choice.backend == "cpu"
    ]
    rows = set.union(*map(cited, measured))
    assert {"A", "E", "a", "d", "e", "d2", "U1", "L1"} <= rows
    assert rows <= set(LAYERS)


def test_every_way_gives_pytorchs_numbers_and_a_line(monkeypatch):
    pytest.importorskip("torch")
    small = bench_convolution.Layer(2, 6, 3, 4, 3, 2, 1, users=2)
    monkeypatch.setitem(LAYERS, "small", small)
    rows = bench_convolution.measure("small", repeats=1)
    assert [row["map"] for row in rows] == ["output", "kernel_gradient"]
    for row in rows:
        assert min(row[way] for way in ("library", "patches", "loop", "torch")) > 0
        small_maps = row["map"] == "kernel_gradient"  # 3 x 3: as row U3
        assert row["chosen"] == ("patches" if small_maps else "loop")
        ways = bench_convolution.jiaa_ways(small, row["map"])
        expected = bench_convolution.torch_way(small, row["map"])()
        for user, theirs in enumerate(expected):
            if row["map"] == "kernel_gradient":
                theirs = theirs[1].permute(2, 3, 1, 0)
            else:
                theirs = theirs.permute(0, 2, 3, 1)
            for way in ways.values():
                assert abs(way()[user] - theirs.numpy()).max() < 1e-4


def test_depthwise_ways_give_pytorchs_numbers_and_a_line(monkeypatch):
    pytest.importorskip("torch")
    small = bench_convolution.Layer(2, 7, 4, 4, 5, 2, 2, depthwise=True)
    monkeypatch.setitem(LAYERS, "small", small)
    for row in bench_convolution.measure("small", repeats=1):
        other = "library" if row["map"] == "output" else "derived"
        assert min(row[way] for way in (other, "taps", "torch")) > 0
        assert row["chosen"] == "taps"
        theirs = bench_convolution.torch_way(small, row["map"])()[0]
        if row["map"] != "output":
            theirs = theirs[row["map"] == "kernel_gradient"]
        axes = (2, 3, 1, 0) if row["map"] == "kernel_gradient" else (0, 2, 3, 1)
        for way in bench_convolution.jiaa_ways(small, row["map"]).values():
            assert abs(way() - theirs.permute(axes).numpy()).max() < 1e-4
