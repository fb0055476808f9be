"""Records as examples: photographs and targets in batches of one dataset and of two."""

import pickle

import jax
import numpy as np
import pytest

from jiaa.data import records
from jiaa.data.builders import BUILDERS
from jiaa.data.images import decode_resized
from jiaa.data.stream import joint_batches, stream_batches
from jiaa.data.table import DataError

SPLITS = {"real_cur": "test", "psycho_flickr": "+".join(f"fold{k}" for k in range(9))}


def open_stream(name, folder, split="train", **options):
    options = {"batch_size": 4, "image_size": 12} | options
    return records.open_stream(name, folder, split=split, **options)


def test_evaluation_goes_through_all_records_in_order(data_dir):
    ava = open_stream("ava", data_dir("ava"))
    options = {"epochs": 1, "shuffle": False, "drop_remainder": False, "threads": 2}
    found = list(stream_batches(ava, seed=0, **options))
    index = np.concatenate([batch["index"] for batch in found])
    assert index.tolist() == list(range(len(ava.examples)))
    for row, record in enumerate(ava.examples.source):
        batch, position = divmod(row, 4)
        expected = decode_resized(record["image"], size=12)
        np.testing.assert_array_equal(found[batch]["images"][position], expected)
        shares = record["votes"] / record["votes"].sum()
        distribution = found[batch]["distribution"][position]
        np.testing.assert_allclose(distribution, shares, rtol=1e-6)


def test_joint_batches_of_two_datasets_resume_in_mid_epoch(data_dir):
    pair = {
        "aesthetic": open_stream("ava", data_dir("ava"), crop=9),
        "personality": open_stream(
            "psycho_flickr", data_dir("psycho_flickr"), SPLITS["psycho_flickr"]
        ),
    }
    running = joint_batches(pair, seed=3, threads=0)
    for _ in range(7):
        next(running)
    state = running.get_state()
    expected = [next(running) for _ in range(3)]
    assert expected[0]["personality"]["traits"].shape == (4, 5)
    assert expected[0]["aesthetic"]["images"].shape == (4, 9, 9, 3)
    resumed = joint_batches(pair, seed=3, threads=2)
    resumed.set_state(state)
    jax.tree.map(
        np.testing.assert_array_equal, [next(resumed) for _ in range(3)], expected
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_every_dataset_has_targets_of_fixed_shape(name, data_dir):
    stream = open_stream(name, data_dir(name), SPLITS.get(name, "train"))
    examples = pickle.loads(pickle.dumps(stream.examples))  # as for worker processes
    assert len(examples) == len(stream.examples)
    batch = next(stream_batches(stream, seed=0, threads=0))
    example = examples[int(batch["index"][1])]
    jax.tree.map(
        np.testing.assert_array_equal,
        {key: values[1] for key, values in batch.items() if key != "index"},
        example,
    )
    assert example.pop("images").shape == (12, 12, 3)
    assert example
    for key in example:
        assert batch[key].dtype == np.float32
        assert np.isfinite(batch[key]).all()
        low = -1 if key in ("traits", "attributes") else 0
        assert batch[key].min() >= low
        assert batch[key].max() <= 1


def test_aadb_scores_become_stars_over_five():
    record = {"score": np.float32(0.5), "attributes": np.zeros(11, np.float32)}
    score = records.attribute_targets(record)["score"]
    assert score == pytest.approx(0.6)  # 3 of 5


def test_traits_of_likers_in_other_folds_are_not_learned():
    traits = [np.full(5, x, np.float32) for x in (0.5, -1.0, 0.25)]
    record = {"traits": traits, "fold": [np.int32(x) for x in (3, 7, 3)]}
    np.testing.assert_allclose(records.trait_targets(record)["traits"], [0.375] * 5)


def test_what_is_not_there_is_refused_with_the_remedy(data_dir, tmp_path):
    with pytest.raises(DataError, match=r"no prepared ava; .*--dataset ava"):
        open_stream("ava", tmp_path)
    with pytest.raises(DataError, match="ava has no 'val' split, only test, train"):
        open_stream("ava", data_dir("ava"), split="val")
    with pytest.raises(ValueError, match="crop=13 does not fit"):
        open_stream("ava", data_dir("ava"), crop=13)
