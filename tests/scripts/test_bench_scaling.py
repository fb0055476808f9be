"""The scaling bench: its rows, and what it measures on the smallest of them."""

import pytest

from jiaa.meta import task_axis
from scripts import bench_scaling
from scripts.bench_scaling import BASE, Point

SMALL = Point("small", users=3, steps=2, size=16, width=0, rated=8)


def test_an_axis_changes_one_number_of_the_base():
    for axis, values in bench_scaling.AXES.items():
        points = bench_scaling.points_of(axis)
        assert [getattr(point, axis) for point in points] == list(values)
        kept = {"row": "", axis: getattr(BASE, axis)}
        assert {point._replace(**kept) for point in points} == {BASE._replace(row="")}


def test_rules_name_rows_that_the_bench_prints():
    rows = {point.row for point in bench_scaling.points_of("strategy")}
    named = {
        word.rstrip(",")
        for rule in task_axis.RULES
        for word in rule.evidence.split()
        if word[0] in "HN" and word[1:2].isdigit()
    }
    assert named <= rows
    assert {"H1", "N1"} <= named


@pytest.fixture(scope="module")
def rows():
    changes = [{}, {"steps": 10, "users": 24}, {"users": 24, "strategy": "vmap"}]
    few = SMALL._replace(strategy="map")  # what "auto" would not take
    return [
        bench_scaling.measure(few._replace(**change), repeats=1) for change in changes
    ]


def test_a_row_tells_time_memory_and_what_auto_would_take(rows):
    for row in rows:
        assert min(row["wall_s"], row["compiled_mb"], row["estimate_mb"]) > 0
        assert row["auto"] == f"vmap {row['users']}"
        assert row["resident_mb"] is None or row["resident_mb"] >= 0


def test_memory_grows_neither_with_steps_nor_with_users_but_by_vmap(rows):
    base, more, together = (row["compiled_mb"] for row in rows)
    # A user's ratings and the steps' losses are gathered: a few numbers each.
    assert more - base < 1e-6 * (21 * 200 + 8 * 100)
    assert together - base > 21 * 0.5 * base
