"""A meta-iteration and evaluation against PyTorch, by the benchmarks' own checks."""

import argparse

import jax
import numpy as np
import pytest

from scripts import bench_evaluate, bench_meta

pytest.importorskip("torch")


def test_a_meta_iteration_equals_pytorchs_and_is_timed():
    case = bench_meta.CASES["squeezenet_224"]._replace(
        size=48, users=2, support=3, query=2, steps=1
    )
    flags = argparse.Namespace(
        device="cpu", strategy=["map"], modes=["eager"], repeats=1, clock="wall"
    )
    ours, theirs = bench_meta.measure(case, flags)
    assert (ours["contestant"], theirs["contestant"]) == ("jiaa map", "torch eager")
    assert ours["gap"] < bench_meta.TOLERANCE
    assert theirs["ratio"] == 1
    assert ours["ratio"] == pytest.approx(theirs["wall_s"] / ours["wall_s"])


@pytest.mark.parametrize("name", ["frozen_linear", "whole"])
def test_scores_of_images_and_of_features_differ_so_that_coefficients_exist(name):
    case = bench_evaluate.CASES[name]._replace(users=2)
    scores = bench_evaluate.make_problem(case, "cpu").scores
    assert scores.shape == (2, bench_evaluate.RATINGS)
    assert (scores.std(axis=1) > 0.1).all()
    assert 0.4 < scores.mean() < 0.6


def test_coefficients_of_adapted_heads_equal_pytorchs_in_both_modes():
    flags = argparse.Namespace(
        device="cpu",
        strategy=["auto"],
        modes=["sequential", "vmap"],
        repeats=1,
        clock="wall",
        **{"users": 2, "splits": 2, "steps": 3},
    )
    rows = bench_evaluate.measure("frozen_linear", flags)
    assert [row["contestant"] for row in rows] == [
        "jiaa auto",
        "torch sequential",
        "torch vmap",
    ]
    assert all(row["gap"] <= bench_evaluate.TOLERANCE for row in rows[1:])
    assert all(row["each_s"] == row["wall_s"] / (2 * 2 * 2) for row in rows)


def test_without_a_result_of_pytorch_nothing_is_compared():
    assert bench_meta.of_pytorch({"jiaa auto": 1, "torch eager": 2}, []) == 2
    with pytest.raises(SystemExit, match="--modes vmap needs --users 2"):
        bench_meta.of_pytorch({"jiaa auto": 1}, [])
    failed = [{"contestant": "torch compile", "note": "no compiler"}]
    with pytest.raises(SystemExit, match="with: torch compile: no compiler; expected"):
        bench_meta.of_pytorch({"jiaa auto": 1}, failed)


def test_without_pytorch_there_are_weights_of_the_same_shapes_and_no_reference():
    case = bench_meta.CASES["squeezenet_224"]._replace(size=48, users=1)
    alone = bench_meta.make_problem(case, "cpu", with_torch=False)
    assert alone.reference is None
    both = bench_meta.make_problem(case, "cpu")
    shapes = [jax.tree.map(np.shape, x.variables["params"]) for x in (alone, both)]
    assert shapes[0] == shapes[1]
    np.testing.assert_array_equal(alone.images, both.images)
