import os
import subprocess
import sys

import pytest

from jiaa.models import xla_flags

PROGRAM = "import jax; jax.numpy.ones(3).sum().block_until_ready()"


def run(flags):
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_installed_jaxlib_knows_every_flag_that_is_set():
    value = xla_flags.FAST_COMPILATION | {xla_flags.LIBRARIES: ""}
    known = [f"{f}={value[f]}" for f in xla_flags.JAXLIBS if xla_flags.is_known(f)]
    assert known
    assert run(" ".join(known)).returncode == 0


def test_a_flag_that_a_jaxlib_lacks_is_not_set(monkeypatch):
    monkeypatch.setattr(xla_flags, "version", lambda package: "0.12.3")
    assert xla_flags.fast_compilation() == "--xla_backend_optimization_level=0"
    monkeypatch.setattr(xla_flags, "version", lambda package: "0.10.2")
    assert "--xla_cpu_use_fusion_emitters=false" in xla_flags.fast_compilation()


@pytest.mark.parametrize("jaxlib", ["0.9.9", "0.11.0", "0.13.0", "1.0.0"])
def test_a_jaxlib_that_was_not_tried_gets_no_flag(monkeypatch, jaxlib):
    monkeypatch.setattr(xla_flags, "version", lambda package: jaxlib)
    assert xla_flags.fast_compilation() == ""
