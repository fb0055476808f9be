"""Images in files, read ahead of the steps, give the run of a resident store."""

import experiments
import jax
import numpy as np
import pytest

from jiaa.cli import batches, build, run
from jiaa.cli.options import ConfigError
from jiaa.cli.tune import tune
from jiaa.data import photographs
from jiaa.data.photographs import Photographs
from jiaa.data.store import load_images
from jiaa.models.variables import load_variables
from jiaa.types import ImageStore

BLG = "blg_piaa/flickr_aes_resnet18"  # nothing is frozen: crops, flips, both stages
GENERIC = {"generic.steps": 4, "meta.steps": 0}


def no_more_than_a_step(photographs, **options):
    assert len(photographs) < experiments.TRAIN_IMAGES, "the whole dataset was decoded"
    return load_images(photographs, **options)


def test_a_stream_trains_to_the_same_bits(small, tmp_path, monkeypatch):
    # Both stages, on eight devices: tests/cli/test_devices.py.
    files = [run.train(small(BLG, **GENERIC), tmp_path / "resident", progress=False)]
    monkeypatch.setattr(photographs, "load_images", no_more_than_a_step)
    config = small(BLG, **GENERIC, **{"data.images": "stream"})
    files.append(run.train(config, tmp_path / "stream", progress=False))
    resident, streamed = map(load_variables, files)
    jax.tree.map(np.testing.assert_array_equal, resident, streamed)
    losses = [(x.parent / "metrics.jsonl").read_text() for x in files]
    assert losses[0] == losses[1]


def test_a_stream_is_of_files_and_the_same_dataset(small):
    kept, streamed = (
        build.dataset(small(BLG, **{"data.images": images}))
        for images in ("device", "stream")
    )
    assert isinstance(streamed.store.images, Photographs)
    assert streamed.image_names == kept.image_names
    rows = np.arange(len(kept.image_names))
    np.testing.assert_array_equal(streamed.store.images[rows], kept.store.images)


def test_a_store_too_large_for_the_device_is_read_ahead(small):
    config = small(BLG)
    store = ImageStore(images=np.zeros((6, 4, 4, 3), np.uint8))
    feed = batches.of_images(config, store, image_ids=np.arange(1, 6), mesh=None)
    assert set(next(feed)) == {"index", "images"}
    feed.close()


def test_several_processes_do_not_gather_episodes(small, monkeypatch):
    config = small(BLG)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    store = ImageStore(images=np.zeros((6, 4, 4, 3), np.uint8))
    tasks = build.dataset(config).split("train")
    options = {"sampling": None, "mesh": None, "key": jax.random.key(0)}
    with pytest.raises(ConfigError, match=r"6 images \(0\.0 GiB\).*trunk\.frozen"):
        batches.of_users(config, store, tasks, **options)


@pytest.mark.parametrize(
    ("name", "images", "expected"),
    [
        (BLG, "disk", r"data\.images is 'disk'; known: device, stream"),
        (BLG, "streem", r"did you mean 'stream'"),
        ("ba_piaa/synthetic_resnet18", "stream", r"does nothing for the dataset 'syn"),
    ],
)
def test_other_words_and_datasets_without_files_are_refused(
    small, tmp_path, name, images, expected
):
    with pytest.raises(ConfigError, match=expected):
        run.train(small(name, **{"data.images": images}), tmp_path, progress=False)


def test_a_trunk_is_not_tuned_from_a_stream(small, tmp_path):
    config = small("ba_piaa/_oasis_squeezenet_trunk", **{"data.images": "stream"})
    with pytest.raises(ConfigError, match=r"'stream'; tuning draws"):
        tune(config, tmp_path, progress=False)
