"""The scripts as their users run them: killed midway, and given wrong paths."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import experiments
import pytest

from jiaa.cli.launch import AnyValue, WholeOrPair, in_words
from jiaa.data import DataError

STEPS = 300
CONFIG = """
import sys

import experiments
from configs.blg_piaa import oasis_squeezenet

# tensorboardX would import torch, where it is installed: that takes seconds.
sys.modules.setdefault("torch", None)


def get_config():
    config = experiments.shrink(oasis_squeezenet.get_config(), {world!r})
    with config.unlocked():
        config.meta.iterations_per_dispatch = 2
        config.meta.save_every = 40
        config.meta.log_every = 4
        config.trunk.sizes = ((40, 48),)
        config.trunk.five_crops = 0
    return config
"""


@pytest.fixture
def config_file(tiny_world, tmp_path):
    file = tmp_path / "small.py"
    file.write_text(CONFIG.format(world=str(tiny_world)))
    return file


@pytest.fixture
def start(config_file):
    """Starts a script in a process session of its own; its output is in WORKDIR.out."""
    running = []

    def start_one(workdir: Path, *flags: str, script="train.py"):
        running.append(_process(config_file, workdir, *flags, script=script))
        return running[-1]

    yield start_one
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _process(config_file, workdir: Path, *flags: str, script: str):
    path = os.pathsep.join(map(str, (experiments.ROOT, experiments.ROOT / "tests")))
    with workdir.with_suffix(".out").open("w") as output:
        return subprocess.Popen(
            [
                sys.executable,
                experiments.ROOT / "scripts" / script,
                f"--config={config_file}",
                f"--workdir={workdir}",
                *flags,
            ],
            env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def newest(workdir: Path) -> int:
    folders = workdir.glob("checkpoints/*")
    return max((int(f.name) for f in folders if f.name.isdigit()), default=0)


def finish(process, workdir: Path) -> bytes:
    assert process.wait(timeout=300) == 0, workdir.with_suffix(".out").read_text()
    return (workdir / "prior.safetensors").read_bytes()


@pytest.mark.slow
def test_a_script_killed_in_mid_training_ends_with_the_same_bytes(start, tmp_path):
    flags = (f"--config.meta.steps={STEPS}",)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = start(whole, *flags)
    process = start(killed, *flags)
    deadline = time.monotonic() + 200
    while not newest(killed):
        assert process.poll() is None, killed.with_suffix(".out").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert newest(killed) < STEPS, "the run ended before it was killed"
    assert not (killed / "prior.safetensors").exists()
    resumed = finish(start(killed, *flags), killed)
    assert resumed == finish(undisturbed, whole)
    metrics = [(x / "metrics.jsonl").read_bytes() for x in (whole, killed)]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("flag", "script", "expected"),
    [
        ("--config.data.root=NOWHERE", "train.py", "NOWHERE: no such folder"),
        ("--config.prior=NOWHERE", "train.py", "NOWHERE/prior.safetensors does not"),
        ("--config.seed=1", "evaluate.py", "scripts/train.py"),
        ("--config.data.scale=(1, 3)", "train.py", "--config.data.NAME=VALUE"),
        (
            "--config.model.backbone_options={'widht': 4}",
            "train.py",
            "backbone_options has no 'widht'; known: num_classes",
        ),
    ],
)
def test_a_wrong_path_is_a_short_error_without_a_traceback(
    start, tmp_path, flag, script, expected
):
    workdir = tmp_path / "run"
    assert start(workdir, flag, script=script).wait(timeout=120) == 1
    assert not (workdir / "config.json").exists()
    output = workdir.with_suffix(".out").read_text()
    assert expected in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("parser", "text", "value"),
    [
        (AnyValue(), "(1, 7)", (1, 7)),
        (AnyValue(), "0.2", 0.2),
        (AnyValue(), "ann", "ann"),
        (AnyValue(), "('ann', 'bob')", ("ann", "bob")),
        (AnyValue(), "false", False),
        (AnyValue(), "None", None),
        (AnyValue(), "", None),
        (WholeOrPair(), "12", 12),
        (WholeOrPair(), "(288, 360)", (288, 360)),
    ],
)
def test_flags_of_unset_fields_and_of_sizes_take_python_values(parser, text, value):
    assert parser.parse(text) == value


def test_errors_say_what_the_command_can_do():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert in_words(full).endswith("give the same command: it takes up what is there")
    assert "--config.data.NAME=VALUE" in in_words(DataError("pass max_missing=3"))
    assert in_words(ValueError("no")) == "ValueError: no"


def test_a_bug_keeps_its_stack(config_file, tmp_path):
    program = (
        "import sys; from jiaa.cli.launch import launch\n"
        "def train(config, workdir): None.no_such_attribute\n"
        "launch(train)"
    )
    path = os.pathsep.join(map(str, (experiments.ROOT, experiments.ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", program, f"--config={config_file}", "--workdir=x"],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert "no_such_attribute" in done.stderr


def test_a_misspelt_flag_is_refused_before_anything_runs(start, tmp_path):
    workdir = tmp_path / "run"
    process = start(workdir, "--config.meta.stepz=3")
    assert process.wait(timeout=120) != 0
    assert "stepz" in workdir.with_suffix(".out").read_text()
    assert not workdir.exists()
