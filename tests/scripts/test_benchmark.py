"""What the benchmarks have in common: wrong commands end before anything runs."""

import argparse

import jax
import pytest

from jiaa.meta import task_axis
from scripts import _benchmark


def test_strategies_are_those_of_the_user_axis():
    assert task_axis.STRATEGIES == _benchmark.STRATEGIES


def test_flags_are_whole_numbers_from_one():
    assert _benchmark.count("3") == 3
    for text in ("0", "-1", "1.5", "many", "³"):
        with pytest.raises(argparse.ArgumentTypeError, match="whole number from 1"):
            _benchmark.count(text)


@pytest.mark.parametrize("threads", [0, 10_000])
def test_cores_that_are_not_there_are_refused(threads):
    with pytest.raises(SystemExit, match=f"--threads {threads}; expected 1 to "):
        _benchmark.use_threads(threads)


def no_backend():
    raise RuntimeError("Unable to initialize backend 'cuda'")


@pytest.mark.parametrize("backend", [lambda: "cpu", no_backend])
def test_a_gpu_that_one_side_does_not_see_is_refused(backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", backend)
    with pytest.raises(SystemExit, match="gpu: JAX found no GPU; expected one"):
        _benchmark._check_gpu(torch_has_one=True)
    with pytest.raises(SystemExit, match="gpu: PyTorch and JAX found no GPU"):
        _benchmark._check_gpu(torch_has_one=False)


def test_a_gpu_that_both_see_is_taken(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    _benchmark._check_gpu(torch_has_one=True)
