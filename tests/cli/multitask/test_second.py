"""Second tasks from configs: how many images they are learned from."""

import numpy as np
import pytest

from configs import common_multitask
from jiaa.cli.multitask.second import second_task
from jiaa.cli.options import ConfigError
from jiaa.data import Dataset


def learned(count, *, seed=0):
    """What traits are learned from: photographs of a few pixels, 20 users."""
    config = common_multitask.base()
    world = {"users": 20, "images": 40, "shown": 12, "likes": 3, "image_size": 16}
    config.second.update({**world, "train_images": count, "seed": seed})
    nothing = Dataset.__new__(Dataset)  # traits have a database of their own
    return second_task(config, nothing, progress=False).data


def test_so_many_images_are_learned_from_with_the_labels_that_they_had():
    whole, some = learned(0), learned(10)
    assert len(some) == 10 < len(whole)
    rows = np.searchsorted(whole.image_ids, some.image_ids)
    np.testing.assert_array_equal(whole.image_ids[rows], some.image_ids)
    np.testing.assert_array_equal(whole.labels["target"][rows], some.labels["target"])
    np.testing.assert_array_equal(learned(10).image_ids, some.image_ids)


def test_more_images_than_there_are_is_refused():
    with pytest.raises(ConfigError, match=r"train_images is 41; .* only \d+ images"):
        learned(41)
