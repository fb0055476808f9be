"""A run that is killed again and again ends like one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jiaa.train.checkpoint import load_params
from jiaa.train.metrics_writer import FILE

STEPS = 60
SCRIPT = Path(__file__).with_name("killable_run.py")
ROOT = Path(__file__).parents[2]


class Run:
    """The script as a process of its own session, with its output in a file."""

    def __init__(self, workdir: Path):
        self.workdir = workdir
        self._output = workdir.with_suffix(".out")
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", SCRIPT, workdir, str(STEPS)],
                env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return self._output.read_text()

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def finish(self) -> str:
        """The hash that the run printed."""
        assert self._process.wait(timeout=300) == 0, self.output
        return self.output.split("final ")[1].strip()


def wait_until(condition, run: Run) -> None:
    deadline = time.monotonic() + 120
    while run.is_running and not condition():
        assert time.monotonic() < deadline, run.output
        time.sleep(0.002)


def rows(workdir: Path) -> int:
    metrics = workdir / FILE
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def newest(workdir: Path) -> int:
    folders = workdir.glob("checkpoints/*")
    return max((int(f.name) for f in folders if f.name.isdigit()), default=0)


def half_written(workdir: Path) -> list[Path]:
    return list(workdir.glob("checkpoints/*tmp*"))


def kill_in_a_save(run: Run) -> None:
    """SIGKILL while a folder of an unfinished checkpoint is there, after a new one."""
    before = newest(run.workdir)
    wait_until(lambda: newest(run.workdir) > before, run)
    wait_until(lambda: half_written(run.workdir), run)
    run.kill()


def kill_at_random(run: Run, seconds: float) -> None:
    """SIGKILL at some time after the run has got further than the one before."""
    before = newest(run.workdir)
    wait_until(lambda: newest(run.workdir) > before, run)
    time.sleep(seconds)
    run.kill()


@pytest.mark.longest
def test_a_run_killed_at_random_moments_ends_bit_identical(tmp_path):
    undisturbed, killed = Run(tmp_path / "undisturbed"), tmp_path / "killed"
    moments = random.Random(0)
    torn = 0
    for kill in range(2):
        run = Run(killed)
        if kill % 2:
            kill_at_random(run, moments.uniform(0.0, 0.5))
        else:
            kill_in_a_save(run)
        assert not run.output, run.output
        assert newest(killed) < STEPS, "the run ended before it was killed"
        torn += len(half_written(killed))
    assert torn, "no kill fell into a save"
    with (killed / FILE).open("a") as metrics:
        metrics.write('{"step": 59, "lo')  # a line torn by the kill

    assert Run(killed).finish() == undisturbed.finish()
    assert (killed / FILE).read_bytes() == (
        tmp_path / "undisturbed" / FILE
    ).read_bytes()
    assert rows(killed) > STEPS
    assert not half_written(killed)
    mine, theirs = load_params(killed), load_params(tmp_path / "undisturbed")
    jax.tree.map(np.testing.assert_array_equal, mine, theirs)
    assert set(mine["params"]) >= {"conv", "hidden", "head"}
