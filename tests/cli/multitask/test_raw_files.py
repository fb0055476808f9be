"""From the databases' own raw files to joint training steps."""

import json

import experiments
import numpy as np
import pytest
from experiments_multitask import shrink, tiny_backbone  # noqa: F401
from safetensors.numpy import load_file

from jiaa.cli import run
from jiaa.cli.multitask import data, feeding, measure, second
from jiaa.data.embedded import load_synthetic
from jiaa.data.synthetic.formats import FORMATS

SIZES = {
    "ava": {"images": 60, "voters": 20},
    "aadb": {"images": 60, "workers": 4},
    "psycho_flickr": {"users": 20, "images": 60},
}
SIDE = 20


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Drawing is tested elsewhere, and takes longer than the rest."""
    monkeypatch.setattr(measure, "write_report", lambda *paths: None)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Database -> folder of its raw files."""
    root = tmp_path_factory.mktemp("raw")
    for name, sizes in SIZES.items():
        FORMATS[name](root / name, image_size=SIDE, **sizes)
    (root / "aadb/ratings.csv").unlink()  # most copies of AADB lack it
    return {name: root / name for name in SIZES}


def of_raw(name, raw, *, stream=False, **second_fields):
    """A shipped experiment on the raw files that its own databases have."""
    config = experiments.load(name)
    first, other = config.data.name, config.second.name
    shrink(config)
    with config.unlocked():
        for field in experiments.SIZES:
            del config.data[field]
        config.data.update({"name": first, "root": str(raw[first])})
        config.data.update({"image_size": SIDE, "decode_workers": 1})
        config.data.images = "stream" if stream else "device"
        other = second_fields.get("name", other)
        config.second.update({"name": other, "image_size": None, "stream": stream})
        config.second.root = str(raw.get(other, ""))
        config.second.update(second_fields)
        config.generic.steps = 2
        # Weights of 0.01 to 0.1 would hide that two steps differ.
        config.generic.rates = ((".*", 0.05),)
    return config.lock()


def build_second(config):
    """The second task, which has a database of its own."""
    synthetic = load_synthetic(seed=0, render=False, **experiments.SIZES)
    return second.second_task(config, synthetic, progress=False)


def trained(config, workdir):
    return load_file(run.train(config, workdir, progress=False))


def test_ava_and_psycho_flickr_are_learned_from_together(raw, tmp_path):
    config = of_raw("pa_iaa/ava_inception_v3", raw)
    resident = trained(config, tmp_path / "resident")
    run.evaluate(config, tmp_path / "resident", progress=False)
    measured = json.loads((tmp_path / "resident" / measure.GENERIC_FILE).read_text())
    assert measured["images"] == 5  # 8 % of 60
    assert measured["trait_users"] == 2  # a tenth of 20
    assert len(measured["correlations"]) == 5
    # Read ahead of the steps from the files, they teach the same.
    streamed = trained(
        of_raw("pa_iaa/ava_inception_v3", raw, stream=True), tmp_path / "stream"
    )
    assert streamed.keys() == resident.keys()
    for name, values in resident.items():
        np.testing.assert_allclose(streamed[name], values, atol=1e-5, err_msg=name)


def test_aadb_without_raters_is_learned_from_by_its_mean_scores(raw, tmp_path):
    config = of_raw("pdmtl/aadb_densenet121", raw)
    trained(config, tmp_path)
    run.evaluate(config, tmp_path, progress=False)
    measured = json.loads((tmp_path / measure.GENERIC_FILE).read_text())
    assert measured["images"] == 6
    assert np.isfinite(measured["inter_task"]["generic"]["rmse"])
    config.model.aesthetics = "softmax"
    with pytest.raises(data.ConfigError, match="no distribution to learn"):
        run.train(config, tmp_path / "other", progress=False)


def test_avas_votes_are_mt_iaas_second_task(raw):
    config = of_raw("mt_iaa/flickr_aes_inception_v3", {**raw, "flickr_aes": ""})
    task = build_second(config)
    assert task.data.labels["target"].shape == (55, 10)
    np.testing.assert_allclose(task.data.labels["target"].sum(axis=1), 1, rtol=1e-6)
    with config.unlocked():
        config.second.update({"name": "aadb", "root": str(raw["aadb"])})
    with pytest.raises(data.ConfigError, match="has no votes"):
        build_second(config)


def test_a_batch_beyond_a_database_is_refused(raw):
    config = of_raw("pa_iaa/ava_inception_v3", raw)
    task = build_second(config)
    config.generic.batch_size = 500
    with pytest.raises(data.ConfigError, match=r"exceeds the \d+ examples of 'second'"):
        feeding.feed(config, {"second": task.data})
