"""Collaborative configs that contradict themselves stop before any work."""

import numpy as np
import pytest

from configs.cfan import oasis, synthetic_reviews
from jiaa.cli.collaborative import networks, run
from jiaa.cli.options import ConfigError
from jiaa.data.interactions import Interactions, Labels, make_pairs


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("method", "svd", "config.method is 'svd'; known: bpr, vbpr"),
        ("protocol", "warm", "config.protocol is 'warm'; known: pairs, users"),
    ],
)
def test_unknown_words_are_refused(field, value, said, tmp_path):
    config = synthetic_reviews.get_config("cfn_1")
    config[field] = value
    with pytest.raises(ConfigError, match=said):
        run.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_method_that_knows_no_users_has_no_new_ones(tmp_path):
    config = synthetic_reviews.get_config("mtrlcnn")
    config.protocol = "users"
    with pytest.raises(ConfigError, match="knows no users"):
        run.train(config, tmp_path, progress=False)


def test_a_network_that_reads_needs_reviews():
    none = np.zeros(0, int)
    pairs = make_pairs(user=none, image=none, good=none > 0, users=2)
    labels = Labels(np.zeros(3, int), np.zeros(3, np.float32))
    everything = Interactions(pairs, pairs, labels, users=2, images=3)
    config = oasis.get_config("cfn_1")
    config.method = "cfan_1"
    with pytest.raises(ConfigError, match="reads reviews, of which oasis has none"):
        networks.make_network(config, everything, map_shape=(1, 1, 4))
