"""An export is read back to the same scores; the program gives them without jiaa."""

import json
import subprocess
import sys

import numpy as np
import pytest

import jiaa
from jiaa.serve import export
from jiaa.serve.photos import decode_photo


@pytest.fixture(scope="module")
def mine(prior, photos):
    return prior.adapt(photos[:4], [1, 2, 4, 5])


def test_an_export_scores_as_the_run_does(prior, mine, photos, tmp_path):
    folder = jiaa.export(mine, tmp_path / "hub")
    assert {x.name for x in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "taste.safetensors",
    }
    np.testing.assert_array_equal(
        jiaa.load(folder).predict(photos), prior.predict(photos)
    )
    again = jiaa.load(folder / "model.safetensors", user=folder / "taste.safetensors")
    np.testing.assert_array_equal(again.predict(photos), mine.predict(photos))


def test_nobodys_export_hands_on_no_earlier_taste(prior, mine, tmp_path):
    folder = jiaa.export(mine, tmp_path / "hub")
    (folder / export.PROGRAM).touch()
    assert jiaa.export(prior, folder) == folder
    left = {x.name for x in folder.iterdir()}
    assert left == {export.CARD, export.CONFIG, export.WEIGHTS}
    jiaa.export(jiaa.load(folder), folder)  # an export onto itself stays one
    assert jiaa.load(folder).identity == prior.identity


def test_a_run_is_not_exported_over_itself(prior, finished_run):
    before = (finished_run / "config.json").read_text()
    with pytest.raises(ValueError, match=r"is the run itself.*another folder"):
        jiaa.export(prior, finished_run)
    assert (finished_run / "config.json").read_text() == before


def test_weights_of_another_export_are_told(prior, tmp_path, caplog):
    folder = jiaa.export(prior, tmp_path / "hub")
    config = folder / export.CONFIG
    config.write_text(config.read_text().replace(prior.identity, "another"))
    assert jiaa.load(folder).identity == prior.identity
    assert f"model.safetensors holds {prior.identity}" in caplog.text
    assert "written for another" in caplog.text


def test_a_broken_program_is_named(tmp_path):
    (tmp_path / "x.stablehlo").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"x\.stablehlo is no whole program"):
        export.load_program(tmp_path / "x.stablehlo")


def test_an_export_names_no_path_of_the_machine(prior, finished_run, tmp_path):
    folder = jiaa.export(prior, tmp_path / "hub")
    written = (folder / "config.json").read_text() + (folder / "README.md").read_text()
    recorded = json.loads((finished_run / "config.json").read_text())["config"]
    assert recorded["data"]["root"] not in written
    assert str(finished_run.parent) not in written


def test_the_card_tells_what_was_measured(prior):
    row = {"shots": 10, "metric": "srocc", "mean": 0.5, "std": 0.01, "generic": None}
    summary = {"dataset": "tiny", "results": [row | {"users": 3}]}
    card = export.card(prior.replace(record={**prior.record, "summary": summary}))
    assert card.startswith("---\nlibrary_name: jiaa\n")
    assert "Measured on 3 unseen raters of tiny" in card
    assert "| 10 | srocc | 0.500 | 0.010 | - |" in card
    assert prior.identity in card


def test_the_program_gives_the_same_stars_without_jiaa(mine, photos, tmp_path):
    path = export.save_program(mine, tmp_path / "model.stablehlo", batch=4)
    size = mine.encoder.size
    pixels = np.stack([decode_photo(photo, size=size) for photo in photos[:3]])
    expected = mine.predict(photos[:3])
    np.testing.assert_allclose(export.load_program(path)(pixels), expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"expected up to 4 of"):
        export.load_program(path)(np.zeros((5, 8, 8, 3), np.uint8))
    np.save(tmp_path / "pixels.npy", np.concatenate([pixels, pixels[:1]]))
    alone = (
        "import sys, numpy as np, jax.export as e\n"
        "f = e.deserialize(bytearray(open(sys.argv[1], 'rb').read()))\n"
        "print(*f.call(np.load(sys.argv[2])).tolist())\n"
        "assert not any(m.startswith(('jiaa', 'flax')) for m in sys.modules)"
    )
    command = [sys.executable, "-c", alone, str(path), str(tmp_path / "pixels.npy")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    np.testing.assert_allclose(
        [float(x) for x in said.split()][:3], expected, rtol=1e-4
    )
