"""One experiment on one device, on eight, and in two processes: the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import experiments
import jax
import numpy as np
import pytest
from cli import sketch
from jax.sharding import Mesh

from jiaa.cli import devices, run
from jiaa.cli.options import ConfigError
from jiaa.models.variables import load_variables

LAUNCH = [sys.executable, experiments.ROOT / "scripts" / "launch_local"]
BOTH = Path(__file__).with_name("train_and_evaluate.py")
EIGHT = "--xla_force_host_platform_device_count=8"


@pytest.fixture(scope="module")
def world(tiny_world):
    return str(tiny_world)


@pytest.fixture(scope="module")
def config_file(world, tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "small.py"
    file.write_text(
        "from cli import sketch\n\nsketch.register()\n\n\n"
        "def get_config():\n"
        f"    return sketch.config({world!r})\n"
    )
    return file


@pytest.fixture(scope="module")
def on_one_device(world, tmp_path_factory):
    """The workdir of the run that all others are compared with."""
    workdir = tmp_path_factory.mktemp("one") / "run"
    sketch.register()
    for stage in (run.train, run.evaluate):
        stage(sketch.config(world), workdir, progress=False)
    sketch.unregister()
    return workdir


def environment(**changes):
    path = os.pathsep.join(map(str, (experiments.ROOT, experiments.ROOT / "tests")))
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path, **changes}


def execute(*command, **changes):
    """What a command that succeeds has said."""
    done = subprocess.run(
        command,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def both_commands(config_file, workdir, *flags):
    paths = (f"--config={config_file}", f"--workdir={workdir}")
    return (sys.executable, BOTH, *paths, *flags)


def assert_same_numbers(workdir, expected):
    for name in ("prior.safetensors", "generic/prior.safetensors"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-5),
            load_variables(workdir / name),
            load_variables(expected / name),
        )
    ours, theirs = (
        json.loads((folder / "summary.json").read_text())["results"]
        for folder in (workdir, expected)
    )
    for row, other in zip(ours, theirs, strict=True):
        assert row == pytest.approx(other, abs=1e-4)


# Its parts have eight devices in tests of their own: meta, train and evaluate.
@pytest.mark.slow
def test_eight_devices_give_the_numbers_of_one(on_one_device, config_file, tmp_path):
    workdir = tmp_path / "run"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {EIGHT}"
    # Images read ahead of the steps: a resident store is in two processes' test.
    stream = "--config.data.images=stream"
    said = execute(*both_commands(config_file, workdir, stream), XLA_FLAGS=flags)
    assert_same_numbers(workdir, on_one_device)
    assert "4 users a meta-iteration: on 4 of 8 devices" in said
    assert "2 test users: on 2 of 8 devices" in said
    record = json.loads((workdir / "config.json").read_text())
    assert record["device"]["count"] == 8


@pytest.mark.longest
def test_two_processes_give_the_numbers_of_one(on_one_device, config_file, tmp_path):
    workdir = tmp_path / "run"
    launch = (*LAUNCH, "--processes=2", "--")
    said = execute(*launch, *both_commands(config_file, workdir))
    assert_same_numbers(workdir, on_one_device)
    results = f"{workdir / 'prior.safetensors'} and {workdir / 'summary.json'}"
    assert f"[0] {results}\n" in said
    assert f"[1] {workdir}" not in said, "the first process speaks for all"
    record = json.loads((workdir / "config.json").read_text())
    assert record["device"]["processes"] == 2


def test_one_failing_process_ends_all_with_its_exit_code(tmp_path):
    code = (
        "import os, sys, time\n"
        "me = os.environ['JAX_PROCESS_ID']\n"
        "print('process', me, os.environ['JAX_LOCAL_DEVICE_IDS'])\n"
        "sys.exit(7) if me == '1' else time.sleep(300)\n"
    )
    started = time.monotonic()
    command = [*LAUNCH, "--processes=3", "--devices-per-process=2", "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 7
    assert time.monotonic() - started < 60
    assert "[1] process 1 2,3\n" in done.stdout


def test_sigterm_reaches_every_process(tmp_path):
    code = (
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "pathlib.Path(os.environ['JAX_PROCESS_ID']).touch()\n"
        "time.sleep(300)\n"
    )
    command = [*LAUNCH, "--processes=2", "--", sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=tmp_path)
    while len(list(tmp_path.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143


@pytest.fixture
def machine(monkeypatch):
    """A function that makes JAX claim that many processes of that many devices."""

    class Device:
        def __init__(self, process_index):
            self.process_index = process_index

    def mesh_of(chosen):
        return mock.Mock(spec=Mesh, devices=chosen, size=len(chosen))

    def claim(*, processes, local):
        owners = [Device(i // local) for i in range(processes * local)]
        monkeypatch.setattr(jax, "process_count", lambda: processes)
        monkeypatch.setattr(jax, "local_device_count", lambda: local)
        monkeypatch.setattr(jax, "device_count", lambda: processes * local)
        monkeypatch.setattr(jax, "devices", lambda: owners)
        monkeypatch.setattr(devices.train_mesh, "user_mesh", mesh_of)

    return claim


@pytest.mark.parametrize(
    ("processes", "local", "users", "expected"),
    [
        (1, 8, 8, [8]),
        (1, 8, 4, [4]),
        (1, 8, 37, [8]),  # five rounds, on fewer devices six or more
        (1, 4, 6, [3]),  # two rounds on three devices as on four
        (1, 4, 7, [4]),  # not on one, which alone divides seven
        (2, 4, 4, [2, 2]),
        (2, 4, 3, [2, 2]),  # every process takes part
        (2, 4, 1, [1, 1]),
    ],
)
def test_users_go_to_the_fewest_devices_that_are_as_fast(
    machine, processes, local, users, expected
):
    machine(processes=processes, local=local)
    mesh = devices.for_users(users, "users")
    owners = [device.process_index for device in mesh.devices]
    assert [owners.count(process) for process in range(processes)] == expected
    assert owners == sorted(owners), "process by process"


def test_one_user_and_one_device_need_no_mesh(machine):
    machine(processes=1, local=8)
    assert devices.for_users(1, "users") is None
    assert devices.for_one() is None
    machine(processes=1, local=1)
    assert devices.for_users(37, "users") is None
    assert devices.for_batch(64, "generic.batch_size") is None


def test_a_batch_goes_to_the_most_devices_that_divide_it(machine, caplog):
    machine(processes=1, local=8)
    assert devices.for_batch(64, "generic.batch_size").size == 8
    assert not caplog.records
    assert devices.for_batch(36, "generic.batch_size").size == 6
    assert "36 images a batch: on 6 of 8 devices" in caplog.text
    assert devices.for_batch(7, "generic.batch_size") is not None
    assert devices.for_batch(11, "generic.batch_size") is None
    machine(processes=2, local=4)
    assert devices.for_batch(12, "generic.batch_size").size == 6
    with pytest.raises(
        ConfigError, match=r"generic.batch_size=5 does not .* 2 processes.* such as 6"
    ):
        devices.for_batch(5, "generic.batch_size")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"JAX_PROCESS_ID": "0"}, "JAX_NUM_PROCESSES=, JAX_PROCESS_ID=0; expected"),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "localhost:1",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": "2",
            },
            "this one's number from 0",
        ),
        ({"JIAA_DISTRIBUTED": "yes"}, "JIAA_DISTRIBUTED='yes'; expected 'auto'"),
    ],
)
def test_half_an_environment_is_refused(monkeypatch, environment, said):
    for name in (devices.ADDRESS, devices.COUNT, devices.INDEX, devices.AUTO):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=said):
        devices.connect()


@pytest.mark.parametrize("error", [RuntimeError("no backend 'cuda'"), AssertionError()])
def test_devices_that_jax_does_not_find_are_told_with_what_chose_them(
    error, monkeypatch
):
    def refuse():
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(jax, "local_devices", refuse)
    with pytest.raises(ValueError, match=r"no device with JAX_PLATFORMS='cuda'.*unset"):
        devices._check_found()


def test_one_process_without_a_device_ends_with_its_own_error(monkeypatch):
    def refuse():
        raise AssertionError

    for name in (devices.COUNT, devices.INDEX, devices.AUTO):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax, "process_count", refuse)
    with pytest.raises(SystemExit, match="no device"), devices.failing_at_once():
        sys.exit("no device")
