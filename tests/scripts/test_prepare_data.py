"""The command: from nothing to a prepared dataset, and what it says of wrong files."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "scripts" / "prepare_data.py"


@pytest.fixture
def main():
    spec = importlib.util.spec_from_file_location("prepare_data", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def command(**flags):
    return [word for name, value in flags.items() for word in (f"--{name}", str(value))]


@pytest.fixture
def album(main, tmp_path):
    """Raw files that the command wrote itself."""
    root = tmp_path / "raw"
    options = {"images": 28, "image_size": 16}
    written = command(dataset="synthetic", format="real_cur", manual_dir=root)
    assert main([*written, *command(**options)]) == 0
    return root


def test_synthetic_files_are_checked_and_prepared(main, album, tmp_path, capsys):
    capsys.readouterr()
    check = command(dataset="real_cur", manual_dir=album)
    assert main([*check, "--check"]) == 0
    checked = capsys.readouterr().out
    assert checked.splitlines()[-1].split() == ["all", "28", "14", "28", "0", "0"]
    flags = command(data_dir=tmp_path / "data", short_side=8, workers=1)
    assert main([*check, *flags]) == 0
    told = capsys.readouterr()
    assert told.out == checked
    assert "shrink photographs: 100%" in told.err
    assert (tmp_path / "data/real_cur/short8/1.0.0/dataset_info.json").is_file()


def test_all_wrong_rows_are_listed(main, album, capsys):
    scores = album / "REAL-CUR_scores.csv"
    scores.write_text(scores.read_text() + "somebody,x.jpg,7\n" * 25)
    assert main([*command(dataset="real_cur", manual_dir=album), "--check"]) == 1
    told = capsys.readouterr().err
    for line in range(30, 55):
        assert f"REAL-CUR_scores.csv: line {line}: score 7 is off the scale" in told


def test_too_many_missing_photographs_fail(main, album, tmp_path, capsys):
    for path in sorted(album.rglob("*.jpg"))[:3]:
        path.unlink()
    flags = command(
        dataset="real_cur", manual_dir=album, data_dir=tmp_path / "data", workers=1
    )
    assert main([*flags, "--max_missing", "2"]) == 1
    assert "3 of 28 images have no file; max_missing=2" in capsys.readouterr().err
    assert main([*flags, "--max_missing", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["3", "0"]


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        ({"dataset": "ava", "manual_dir": "x"}, "Give --data_dir, or --check"),
        ({"dataset": "synthetic", "manual_dir": "x"}, "give both"),
        ({"dataset": "nima", "manual_dir": "x"}, "invalid choice: 'nima'"),
    ],
)
def test_an_impossible_command_says_what_is_missing(main, flags, remedy, capsys):
    with pytest.raises(SystemExit):
        main(command(**flags))
    assert remedy in capsys.readouterr().err
