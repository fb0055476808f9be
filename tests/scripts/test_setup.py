"""The set-up installs once, adds extras up, and says what is wrong."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
# jax and NumPy left Python 3.11 behind: one release for it, another from 3.12 on.
PIN = re.compile(
    r"(?P<name>[\w.-]+)==[\w.]+"
    r"""(; python_version (?P<relation><|>=) "3\.12")?"""
)


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """`scripts/_setup.py` on a folder of its own, with pip replaced by a list."""
    spec = importlib.util.spec_from_file_location("_setup", SCRIPTS / "_setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(module, "STAMP", venv / "stamp.json")
    monkeypatch.setattr(module, "PYTHON", venv / "bin" / "python")
    module.installs = []
    monkeypatch.setattr(module, "install", module.installs.append)
    monkeypatch.delenv("JIAA_EXTRAS", raising=False)

    def run(*extras):
        monkeypatch.setattr(sys, "argv", ["_setup.py", *extras])
        module.main()

    module.run = run
    return module


def test_a_second_run_installs_nothing(setup):
    setup.run("dev")
    setup.run("dev")
    setup.run()
    assert setup.installs == [{"dev"}]


def test_extras_add_up_in_any_order(setup, monkeypatch):
    setup.run()
    setup.run("dev", "torch")
    monkeypatch.setenv("JIAA_EXTRAS", "gpu")
    setup.run()
    setup.run("torch")
    assert setup.installs == [set(), {"dev", "torch"}, {"dev", "torch", "gpu"}]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_installs_again(setup, name):
    setup.run("dev")
    (setup.ROOT / name).write_text("changed")
    setup.run()
    assert setup.installs == [{"dev"}, {"dev"}]


def test_a_broken_stamp_counts_as_none(setup):
    setup.run("dev")
    setup.STAMP.write_text("{")
    setup.run()
    assert len(setup.installs) == 2


def test_an_install_that_fails_leaves_no_stamp(setup, monkeypatch):
    def fail(extras):
        raise SystemExit("no network")

    monkeypatch.setattr(setup, "install", fail)
    with pytest.raises(SystemExit):
        setup.run()
    assert not setup.STAMP.exists()


def test_an_environment_of_another_python_says_how_to_remove_it(setup):
    python = setup.PYTHON
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match=r"rm -r \.venv"):
        setup.run()


def test_an_unsuitable_python_is_named(tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "_venv").write_text((SCRIPTS / "_venv").read_text())
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.6.9 || exit 1\n')
    old.chmod(0o755)
    shell = subprocess.run(
        ["bash", "-c", f"source '{scripts}/_venv'"],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shell.returncode == 1
    assert "3.11 to 3.14" in shell.stderr
    assert "Python 3.6.9" in shell.stderr


def test_the_pins_are_names_and_versions_only():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in pins if not line.startswith("#")]
    assert all(PIN.fullmatch(line) for line in pins)


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_each_python_has_one_version_of_a_package(python):
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    found = [PIN.fullmatch(line) for line in pins if not line.startswith("#")]
    holds = {None: True, "<": python < (3, 12), ">=": python >= (3, 12)}
    names = [pin["name"].lower() for pin in found if pin and holds[pin["relation"]]]
    assert len(set(names)) == len(names)
    assert {pin["name"].lower() for pin in found if pin} == set(names)


def test_the_set_up_takes_the_pythons_that_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: "
    named = [x.removeprefix(prefix) for x in project["classifiers"] if prefix in x]
    assert named == ["3.11", "3.12", "3.13", "3.14"]
    assert project["requires-python"] == f">={named[0]}"
    for script in ("_venv", "_setup.py"):
        text = (SCRIPTS / script).read_text()
        assert "not (3, 11) <= sys.version_info[:2] <= (3, 14)" in text
        assert f"Python {named[0]} to {named[-1]}" in text


def test_every_direct_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    tested = ("dev", "torch", "notebooks", "rate", "heic", "export")
    wanted = [*project["dependencies"], *(x for name in tested for x in extras[name])]
    wanted = [name for name in wanted if not name.startswith("jiaa[")]

    def plain(name):
        return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=]", name)[0]).lower()

    pins = {plain(x) for x in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {plain(name) for name in wanted} <= pins


def test_the_stamp_tells_what_is_installed(setup):
    setup.run("dev")
    assert json.loads(setup.STAMP.read_text())["extras"] == ["dev"]


def test_the_oracle_is_torch_on_the_python_that_has_a_small_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    only = "; python_version < '3.12'"
    assert extras["oracle"] == [f"{name}{only}" for name in extras["torch"]]
