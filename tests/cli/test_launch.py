"""The scripts as their users run them: killed midway, and given wrong paths."""

import errno
import json
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

STEPS = 120
FORKS = Path(__file__).with_name("forks.py")
CONFIG = """
import sys

# tensorboardX would import torch, where it is installed: that takes seconds.
sys.modules.setdefault("torch", None)

from cli import sketch

sketch.register()


def get_config():
    changes = {{
        "generic.steps": 0,
        "meta.users_per_step": 2,
        "meta.iterations_per_dispatch": 2,
        "meta.save_every": 20,
        "meta.log_every": 4,
    }}
    return sketch.config({world!r}, **changes)
"""


@pytest.fixture(scope="module")
def config_file(tiny_world, tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "small.py"
    file.write_text(CONFIG.format(world=str(tiny_world)))
    return file


@pytest.fixture
def start(config_file):
    """Starts training in a process session of its own; its output is in WORKDIR.out."""
    running = []

    def start_one(workdir: Path, *flags: str):
        running.append(_process(config_file, workdir, *flags))
        return running[-1]

    yield start_one
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def command(config_file, workdir: Path, *flags: str, script="train.py"):
    """A script and its flags, as after "python"."""
    paths = (f"--config={config_file}", f"--workdir={workdir}")
    return [str(experiments.ROOT / "scripts" / script), *paths, *flags]


def environment():
    path = os.pathsep.join(map(str, (experiments.ROOT, experiments.ROOT / "tests")))
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}


def _process(config_file, workdir: Path, *flags: str):
    with workdir.with_suffix(".out").open("w") as output:
        return subprocess.Popen(
            [sys.executable, *command(config_file, workdir, *flags)],
            env=environment(),
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


@pytest.mark.longest
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


# name: (flag, script, what is said)
WRONG = {
    "data": ("--config.data.root=NOWHERE", "train.py", "NOWHERE: no such folder"),
    "prior": (
        "--config.prior=NOWHERE",
        "train.py",
        "NOWHERE/prior.safetensors does not",
    ),
    "untrained": ("--config.seed=1", "evaluate.py", "scripts/train.py"),
    "scale": ("--config.data.scale=(1, 3)", "train.py", "--config.data.NAME=VALUE"),
    "option": (
        "--config.model.backbone_options={'widht': 4}",
        "train.py",
        "backbone_options has no 'widht'; known: num_classes",
    ),
}
BUG = """
from jiaa.cli.launch import launch

def train(config, workdir):
    None.no_such_attribute

launch(train)
"""


@pytest.fixture(scope="module")
def ended(config_file, tmp_path_factory):
    """Of each wrong command, by name: its exit code, what it said, and its workdir."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "bug.py").write_text(BUG)
    commands = {
        name: command(config_file, folder / name, flag, script=script)
        for name, (flag, script, _) in WRONG.items()
    }
    misspelt = "--config.meta.stepz=3"
    commands["misspelt"] = command(config_file, folder / "misspelt", misspelt)
    commands["unnamed"] = command(folder / "nosuch.py", folder / "unnamed")
    bug = command(config_file, folder / "bug")
    commands["bug"] = [str(folder / "bug.py"), *bug[1:]]
    done = subprocess.run(
        [sys.executable, FORKS, json.dumps(list(commands.values()))],
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    return {
        name: (*result, folder / name)
        for name, result in zip(commands, results, strict=True)
    }


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_path_is_a_short_error_without_a_traceback(ended, name):
    code, said, workdir = ended[name]
    assert code == 1, said
    assert not (workdir / "config.json").exists()
    assert WRONG[name][-1] in said
    assert "Traceback" not in said


def test_a_config_that_is_not_there_is_named(ended):
    code, said, _ = ended["unnamed"]
    assert code == 1, said
    assert "--config can't be read" in said
    assert "nosuch.py" in said
    assert "Traceback" not in said


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


def test_a_bug_keeps_its_stack(ended):
    code, said, _ = ended["bug"]
    assert code != 0
    assert "Traceback" in said
    assert "no_such_attribute" in said


def test_a_misspelt_flag_is_refused_before_anything_runs(ended):
    code, said, workdir = ended["misspelt"]
    assert code != 0
    assert "stepz" in said
    assert not workdir.exists()
