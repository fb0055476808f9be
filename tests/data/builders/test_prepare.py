"""A preparation that is killed, started again, and asked for another size."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from data.builders import raw
from data.folders import write_images

from jiaa.data import images
from jiaa.data.builders import base, builder_class, prepare, prepared, shrink
from jiaa.data.builders.base import INFO, METADATA
from jiaa.data.table import DataError

SCRIPT = Path(__file__).with_name("killable_prepare.py")
ROOT = Path(__file__).parents[3]


def wait_until(condition, *, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def start(root, data_dir, pids):
    pids.mkdir(exist_ok=True)
    with (pids.parent / "output").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-W", "error", SCRIPT, root, data_dir, pids],
            env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def test_a_killed_preparation_goes_on_where_it_stopped(raw_root, tmp_path, monkeypatch):
    root, data_dir = raw_root("real_cur"), tmp_path / "data"
    work = data_dir / "real_cur" / "short8" / base.WORK
    run = start(root, data_dir, tmp_path / "pids")
    wait_until(lambda: len(list(work.glob("*.npz"))) >= 2)
    os.kill(run.pid, signal.SIGKILL)  # the workers are not told
    run.wait()
    workers = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert run.pid not in workers
    wait_until(lambda: not any(map(is_alive, workers)))
    packs = {path.name: path.stat().st_mtime_ns for path in work.glob("*.npz")}
    assert 2 <= len(packs) < 10
    final = data_dir / "real_cur" / "short8" / "1.0.0"
    (final.parent / f"incomplete.ABC_{final.name}").mkdir()  # as TFDS leaves one

    decoded = []
    real = shrink._write
    monkeypatch.setattr(shrink, "PACK", 4)
    monkeypatch.setattr(
        shrink, "_write", lambda file, *rest: decoded.append(file) or real(file, *rest)
    )
    options = {"workers": 1, "short_side": 8, "progress": False}
    resumed = prepare.prepare("real_cur", root, data_dir, **options)
    assert not {file.name for file in decoded} & set(packs), "nothing is done twice"
    assert len(decoded) == 10 - len(packs)
    decoded.clear()
    assert prepare.prepare("real_cur", root, tmp_path / "whole", **options) == resumed
    assert len(decoded) == 10
    # Processes wrote some packs of the one, and none of the other's.
    files = raw.snapshot(data_dir), raw.snapshot(tmp_path / "whole")
    assert set(files[0]) == set(files[1]), "no work and no torn folder is left"
    for name in files[0]:
        if "array_record" in name:
            assert files[0][name] == files[1][name]


def test_what_is_prepared_is_not_prepared_again(raw_root, data_dir, monkeypatch):
    before = raw.snapshot(data_dir("real_cur") / "real_cur")
    monkeypatch.setattr(shrink, "shrink", None)
    options = {"workers": 1, "progress": False}
    prepare.prepare("real_cur", raw_root("real_cur"), data_dir("real_cur"), **options)
    assert raw.snapshot(data_dir("real_cur") / "real_cur") == before


def test_what_is_prepared_has_to_be_what_is_asked_for(raw_root, tmp_path):
    root, options = raw_root("ava"), {"workers": 1, "progress": False}
    counts = prepare.prepare("ava", root, tmp_path, seed=1, **options)
    assert prepare.prepare("ava", root, tmp_path, seed=1, **options) == counts
    with pytest.raises(DataError, match=r"ava/short256/1.0.0 .* seed=1, not 0"):
        prepare.prepare("ava", root, tmp_path, **options)
    folder = tmp_path / "ava/short256/1.0.0"
    for name in (next(folder.glob("*array_record*")).name, METADATA, INFO):
        kept = (folder / name).rename(tmp_path / name)
        for work in (
            lambda: prepare.prepare("ava", root, tmp_path, seed=1, **options),
            lambda: prepared.find(tmp_path, "ava", short_side=256),
        ):
            with pytest.raises(DataError, match=f"{name}: no such file; .*not whole"):
                work()
        kept.rename(folder / name)


@pytest.fixture
def copied(data_dir, tmp_path):
    """A prepared dataset to damage: the folder of all, and its own."""
    shutil.copytree(data_dir("real_cur"), tmp_path / "data")
    return tmp_path / "data", tmp_path / "data/real_cur/short256/1.0.0"


@pytest.mark.parametrize("name", [METADATA, INFO])
def test_a_broken_description_is_named(copied, name):
    data_dir, folder = copied
    (folder / name).write_text("{")
    with pytest.raises(DataError, match=rf"{name}.*not what was .* Remove .*real_cur"):
        prepared.find(data_dir, "real_cur", short_side=256)


def test_damaged_records_are_told_where_they_are_read(copied):
    data_dir, folder = copied
    file = next(folder.glob("*array_record*"))
    written = file.read_bytes()
    builder = prepared.find(data_dir, "real_cur", short_side=256)
    _, photographs = prepared.read(builder)
    middle = len(written) // 2
    for damaged in (
        b"",
        written[:middle],
        written[:middle] + bytes(9000) + written[middle + 9000 :],
    ):
        file.write_bytes(damaged)
        with pytest.raises(
            DataError, match=r"1\.0\.0: its records are damaged .*again"
        ):
            prepared.read(builder)
    file.write_bytes(written)
    assert photographs[0] == prepared.read(builder)[1][0]


def test_tolerated_losses_are_told_again(raw_root, tmp_path):
    root, data_dir = tmp_path / "raw", tmp_path / "data"
    shutil.copytree(raw_root("real_cur"), root)
    sorted(root.rglob("*.jpg"))[0].write_bytes(b"")
    options = {"workers": 1, "progress": False}
    prepare.prepare("real_cur", root, data_dir, max_missing=1, **options)
    with pytest.raises(DataError, match="without 1 missing or unreadable"):
        prepare.prepare("real_cur", root, data_dir, max_missing=0, **options)


def test_a_full_disk_is_told_and_the_next_run_goes_on(raw_root, tmp_path):
    root, options = raw_root("real_cur"), {"workers": 1, "progress": False}
    written = sum(x.stat().st_size for x in root.rglob("*.jpg"))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (written * 3 // 2, limit[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*short256/1\.0\.0'"):
            prepare.prepare("real_cur", root, tmp_path, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    work = tmp_path / "real_cur/short256" / base.WORK
    assert list(work.glob("*.npz"))
    prepare.prepare("real_cur", root, tmp_path, **options)
    assert not work.exists()


def test_a_name_that_records_could_not_have_is_refused_at_once(raw_root, tmp_path):
    data_dir = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(DataError, match=r"caf\\udce9/.* is not UTF-8; .* rename it"):
        prepare.prepare("real_cur", raw_root("real_cur"), data_dir, progress=False)
    assert not data_dir.exists()


def test_a_second_run_at_the_same_time_is_refused(raw_root, tmp_path, monkeypatch):
    options = {"workers": 1, "progress": False}

    def meanwhile(*_, **__):
        with pytest.raises(DataError, match="another run prepares this dataset"):
            prepare.prepare("real_cur", raw_root("real_cur"), tmp_path, **options)
        return []

    monkeypatch.setattr(base, "_build", meanwhile)
    base.build(
        builder_class("real_cur")(data_dir=tmp_path, **options), raw_root("real_cur")
    )


def test_photographs_are_stored_at_the_chosen_size(raw_root, tmp_path):
    root, data_dir = tmp_path / "raw", tmp_path / "data"
    shutil.copytree(raw_root("real_cur"), root)
    file = sorted(root.rglob("*.jpg"))[0]
    write_images(file.parent, [file.name], side=40)
    options = {"workers": 1, "progress": False}
    for side in (8, 24):
        prepare.prepare("real_cur", root, data_dir, short_side=side, **options)
    for wanted, stored in ((4, 8), (8, 8), (9, 24), (300, 24)):
        builder = prepared.find(data_dir, "real_cur", short_side=wanted)
        assert builder.size.name == f"short{stored}", "the smallest that will do"
        _, photographs = prepared.read(builder)
        assert images.decode(photographs[0]).shape == (stored, stored, 3)
