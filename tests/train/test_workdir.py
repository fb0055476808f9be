import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from jiaa.train import workdir as workdirs
from jiaa.train.workdir import Workdir, WorkdirBusyError, WorkdirError

CONFIG = {"seed": 1, "data": {"root": "photos", "size": (224, 224)}}


def record(path):
    return json.loads((path / "config.json").read_text())


def trained(path):
    """Leaves what a training leaves."""
    (path / "checkpoints" / "100").mkdir(parents=True)


def test_a_workdir_records_config_versions_and_device(tmp_path):
    path = tmp_path / "runs" / "ba"
    with Workdir(path, config=CONFIG):
        pass
    written = record(path)
    assert written["config"] == {
        "seed": 1,
        "data": {"root": "photos", "size": [224, 224]},
    }
    assert written["versions"]["jax"]
    assert written["versions"]["jiaa"]
    assert written["device"]["kind"] == "cpu"
    assert "git" in written


def test_a_second_process_is_refused_with_the_name_of_the_first(tmp_path):
    with Workdir(tmp_path, config=CONFIG):
        with pytest.raises(
            WorkdirBusyError, match=f"{tmp_path}.*process {os.getpid()} "
        ):
            Workdir(tmp_path, config=CONFIG).__enter__()
    with Workdir(tmp_path, config=CONFIG):
        pass


def test_the_lock_goes_with_a_killed_process(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from jiaa.train import workdir;"
        "workdir._acquire(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "lock"], env=environment, check=False
    )
    assert done.returncode == -9
    assert "process" in (tmp_path / "lock").read_text()
    with Workdir(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "lock").read_text()


def test_another_config_is_refused_by_the_names_of_what_differs(tmp_path):
    with Workdir(tmp_path, config=CONFIG):
        trained(tmp_path)
    other = {"seed": 2, "data": {"root": "elsewhere", "size": (224, 224)}, "new": 3}
    with pytest.raises(WorkdirError) as caught:
        Workdir(tmp_path, config=other).__enter__()
    message = str(caught.value)
    assert "seed was 1 and is 2" in message
    assert "data.root was 'photos' and is 'elsewhere'" in message
    assert "new was not set and is 3" in message
    assert "data.size" not in message
    assert "another workdir" in message
    with Workdir(tmp_path, config=CONFIG):  # the refusal gave the lock back
        pass


@pytest.mark.parametrize("product", ["summary.json", "prior.safetensors"])
def test_a_record_beside_which_something_was_made_binds(tmp_path, product):
    with Workdir(tmp_path, config=CONFIG):
        (tmp_path / product).write_text("")
    with pytest.raises(WorkdirError, match="seed was 1 and is 2"):
        Workdir(tmp_path, config={**CONFIG, "seed": 2}).__enter__()


def test_a_record_beside_which_nothing_was_trained_is_replaced(tmp_path):
    with Workdir(tmp_path, config=CONFIG):
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "metrics.jsonl").write_text("")
    with Workdir(tmp_path, config={**CONFIG, "seed": 2}):
        pass
    assert record(tmp_path)["config"]["seed"] == 2


def test_the_record_can_wait_until_the_caller_has_checked_the_rest(tmp_path):
    late = Workdir(tmp_path, config=CONFIG, record_at_once=False)
    with late:
        assert not (tmp_path / "config.json").exists()
    with late:
        late.record()
        written = record(tmp_path)
        late.record()
    assert record(tmp_path) == written


def test_a_field_left_at_none_is_one_that_older_records_lack(tmp_path):
    with Workdir(tmp_path, config=CONFIG):
        trained(tmp_path)
    with Workdir(tmp_path, config={**CONFIG, "scale": None}):
        pass


def test_a_value_that_may_differ_does_not_stop_a_resumption(tmp_path):
    with Workdir(tmp_path, config={**CONFIG, "evaluate": {"shots": 10}}):
        trained(tmp_path)
    moved = {"seed": 1, "data": {"root": "elsewhere", "size": [224, 224]}}
    moved["evaluate"] = {"shots": 20}
    with Workdir(tmp_path, config=moved, may_differ=["data.root", "evaluate"]):
        pass
    assert record(tmp_path)["config"]["data"]["root"] == "photos"
    with pytest.raises(WorkdirError, match=r"evaluate\.shots was 10 and is 20"):
        Workdir(tmp_path, config=moved, may_differ=["data.root"]).__enter__()


def test_a_file_in_the_way_is_named_with_the_remedy(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    for path in (file, file / "run"):
        with pytest.raises(
            WorkdirError, match=r"notes\.txt is a file; .*another workdir"
        ):
            Workdir(path).__enter__()
    assert file.read_text() == "mine"


def test_a_name_that_checkpoints_could_not_have_is_refused_at_once(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(WorkdirError, match=r"caf\\udce9' is not UTF-8; .* rename"):
        Workdir(path).__enter__()
    assert not path.exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(workdirs.os, "open", refuse)
    with pytest.raises(WorkdirError, match=r"run cannot be written to \(Permission"):
        Workdir(tmp_path / "run").__enter__()


def test_a_failed_write_of_the_record_leaves_the_old_one(tmp_path, monkeypatch):
    with Workdir(tmp_path, config=CONFIG):
        pass
    written = record(tmp_path)

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workdirs.Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        Workdir(tmp_path, config={**CONFIG, "seed": 2}).__enter__()
    assert record(tmp_path) == written
    assert sorted(x.name for x in tmp_path.iterdir()) == ["config.json", "lock"]


def test_a_resumption_with_other_versions_is_noted(tmp_path, monkeypatch, caplog):
    with Workdir(tmp_path, config=CONFIG):
        pass
    monkeypatch.setattr(workdirs, "_version", lambda package: f"9 of {package}")
    for _ in range(2):
        with caplog.at_level(logging.WARNING), Workdir(tmp_path, config=CONFIG):
            pass
    resumed = record(tmp_path)["resumed"]
    assert [r["versions"]["jax"] for r in resumed] == ["9 of jax"]
    assert caplog.text.count("versions.jax was") == 1
    assert "is '9 of jax'" in caplog.text


def test_no_git_program_means_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert workdirs.git_revision() is None
    with Workdir(tmp_path / "run"):
        assert record(tmp_path / "run")["git"] is None


def test_a_config_that_is_no_json_is_refused_by_its_value():
    with pytest.raises(WorkdirError, match=r"<object object.*is a object"):
        Workdir("never-made", config={"loss": object()})
    assert Workdir("never-made", config={"rate": np.float32(0.5)}).config == {
        "rate": 0.5
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"config": ', "is not JSON"),
        ("[1]", "is not the record of a run"),
        ("{}", "expected an object with an object 'config'"),
        ('{"config": 3}', "is not the record of a run"),
    ],
)
def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WorkdirError, match=rf"config\.json {message}|{message}"):
        Workdir(tmp_path).__enter__()
