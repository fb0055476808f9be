"""The bench of trunks: both sides give the same logits, and a line a batch."""

import pytest

from scripts import bench_trunk

pytest.importorskip("efficientnet_lite_pytorch")


def test_both_sides_agree_and_every_batch_has_a_line():
    rows = bench_trunk.measure(
        "efficientnet_lite0", [2], repeats=1, clock="wall", size=33
    )
    (row,) = rows
    assert (row["images"], row["size"]) == (2, 33)
    fastest = min(row["torch_last"], row["torch_first"])
    assert row["ratio"] == pytest.approx(fastest / row["jiaa"])
