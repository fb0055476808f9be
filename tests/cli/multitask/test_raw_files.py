"""From the databases' own raw files to joint training steps."""

import contextlib
import json

import experiments
import flax.linen as nn
import numpy as np
import pytest
from experiments_multitask import shrink, tiny_backbone  # noqa: F401

from jiaa.cli import build, run
from jiaa.cli.multitask import data, feeding, measure, network, second
from jiaa.data import DataError, distributions
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
    return config.lock()


def build_second(config):
    """The second task, which has a database of its own."""
    synthetic = load_synthetic(seed=0, render=False, **experiments.SIZES)
    return second.second_task(config, synthetic, progress=False)


def test_ava_and_psycho_flickr_are_learned_from_together(raw, tmp_path):
    config = of_raw("pa_iaa/ava_inception_v3", raw)
    with config.unlocked():
        config.evaluate.databases = {"itself": {}}
    run.train(config, tmp_path, progress=False)
    run.evaluate(config, tmp_path, progress=False)
    measured = json.loads((tmp_path / measure.GENERIC_FILE).read_text())
    assert measured["images"] == 5  # 8 % of 60
    assert measured["trait_users"] == 2  # a tenth of 20
    assert len(measured["correlations"]) == 5
    assert set(measured["generic"]) >= {"acc", "emd"}
    assert measured["cross"] == {"itself": pytest.approx(measured["generic"])}


def test_what_is_read_ahead_is_what_lies_on_the_device(raw):
    feeds = []
    for stream in (False, True):
        config = of_raw("pa_iaa/ava_inception_v3", raw, stream=stream)
        dataset = build.dataset(config, progress=False)
        task = second.second_task(config, dataset, progress=False)
        sources = {"aesthetics": data.aesthetics(dataset), "second": task.data}
        feeds.append(feeding.feed(config, sources, None))
    rows, ahead = feeds
    assert (rows.resident is None, ahead.resident is None) == (False, True)
    with contextlib.closing(ahead.batches):
        for _ in range(3):
            chosen, read = next(rows.batches), next(ahead.batches)
            for name, labelled in rows.resident.items():
                for field, values in labelled.take(chosen[name]).items():
                    np.testing.assert_array_equal(values, read[name][field])
    assert rows.batches.get_state() == ahead.batches.get_state()


def test_aadb_without_raters_is_learned_from_by_its_mean_scores(raw):
    config = of_raw("pdmtl/aadb_densenet121", raw)
    dataset = build.dataset(config, progress=False)
    labels = data.aesthetics(dataset).labels
    assert list(labels) == ["score"]
    assert (labels["score"] > 0).all()
    assert len(measure.test_ids(network.Problem(dataset, None, nn.Dense(1)))) == 6
    with pytest.raises(DataError, match="no distribution to learn"):
        distributions.crowd(dataset, "train").distribution("aadb")


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
        feeding.feed(config, {"second": task.data}, None)


def test_more_likes_than_are_shown_are_the_configs_error():
    config = shrink(experiments.load("pa_iaa/synthetic_resnet18"))
    config.second.likes = 50
    with pytest.raises(data.ConfigError, match=r"config\.second: likes=50 of shown=12"):
        build_second(config)
