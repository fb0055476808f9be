"""The command: from nothing to a prepared dataset, and what it says of wrong files."""

import importlib.util
import json
from pathlib import Path

import pytest
from cli import sketch

from jiaa.cli import run
from jiaa.data.synthetic import formats

PATH = Path(__file__).parents[2] / "scripts" / "prepare_data.py"

FLICKR = {
    "images": 24,
    "image_size": 48,
    "train_users": 5,
    "test_users": 2,
    "raters_per_image": 3,
    "test_ratings": (7, 8),
    "gold_images": 4,
}


@pytest.fixture
def config():
    """FLICKR-AES' own experiment, but for its sizes and a quick backbone."""
    sketch.register()
    config = sketch.config("")
    with config.unlocked():
        config.data.name, config.data.scale = "flickr_aes", None
        config.data.images = "stream"
        config.generic.steps, config.meta.steps = 0, 1
    yield config
    sketch.unregister()


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


def test_a_folder_without_raw_files_says_what_goes_there(main, tmp_path, capsys):
    flags = command(dataset="flickr_aes", manual_dir=tmp_path)
    for more in (["--check"], command(data_dir=tmp_path / "data")):
        assert main([*flags, *more]) == 1
        assert "an empty folder; expected the raw" in (said := capsys.readouterr().err)
        assert "unpack the photographs to 40K/" in said
    file = tmp_path / "file"
    file.write_text("")
    assert main([*flags, *command(data_dir=file)]) == 1
    assert f"{file}: NotADirectoryError" in capsys.readouterr().err


def test_the_synthetic_world_overwrites_nothing(main, tmp_path, capsys):
    flags = command(dataset="synthetic", format="flickr_aes", manual_dir=tmp_path)
    assert main([*flags, "--images", "5"]) == 1
    assert "--images=5: train_images=5" in capsys.readouterr().err
    (tmp_path / "AVA.txt").write_text("mine")
    assert main(flags) == 1
    assert f"{tmp_path}: not empty" in capsys.readouterr().err


def test_a_prepared_dataset_trains(main, config, tmp_path):
    raw, data_dir, workdir = (tmp_path / x for x in ("raw", "data", "run"))
    formats.FORMATS["flickr_aes"](raw, **FLICKR)
    sizes = command(data_dir=data_dir, short_side=40, workers=1)
    assert main([*command(dataset="flickr_aes", manual_dir=raw), *sizes]) == 0
    with config.unlocked():
        config.data.root = str(data_dir)
    prior = run.train(config, workdir, progress=False)
    assert prior == workdir / "prior.safetensors"
    record = json.loads((workdir / "config.json").read_text())
    assert record["config"]["data"]["name"] == "flickr_aes"


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        ({"dataset": "ava", "manual_dir": "x", "seed": "-1"}, "number from 0"),
        ({"dataset": "ava", "manual_dir": "x", "short_side": "0"}, "number from 1"),
        (
            {"dataset": "aadb", "manual_dir": "x", "data_dir": "y", "seed": "0"},
            "--seed does nothing with --dataset aadb",
        ),
        (
            {"dataset": "ava", "manual_dir": "x", "data_dir": "y", "images": "9"},
            "--images does nothing with --dataset ava",
        ),
        ({"dataset": "ava", "manual_dir": "x"}, "Give --data_dir, or --check"),
        ({"dataset": "synthetic", "manual_dir": "x"}, "give both"),
        ({"dataset": "nima", "manual_dir": "x"}, "invalid choice: 'nima'"),
    ],
)
def test_an_impossible_command_says_what_is_missing(main, flags, remedy, capsys):
    with pytest.raises(SystemExit):
        main(command(**flags))
    assert remedy in capsys.readouterr().err
