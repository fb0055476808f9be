"""Collaborative configs that contradict themselves stop before any work."""

import numpy as np
import pytest

from configs.cfan import oasis, synthetic_reviews
from jiaa.cli.collaborative import networks, problem, run
from jiaa.cli.options import ConfigError
from jiaa.data.interactions import Interactions, Labels, make_pairs
from jiaa.models import variables


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("method", "svd", "config.method is 'svd'; known: bpr, vbpr"),
        ("protocol", "warm", "config.protocol is 'warm'; known: pairs, users"),
        ("reviews.lexicon", "french", "config.reviews.lexicon is 'french'; known: ph"),
        ("reviews.vocabulary", 0, "config.reviews.vocabulary is 0; expected a whole"),
        ("reviews.length", 0, "config.reviews.length is 0; expected a whole number"),
        ("evaluate.edges", (), r"config\.evaluate\.edges is empty"),
    ],
)
def test_words_and_numbers_without_a_meaning_are_refused(field, value, said, tmp_path):
    config = synthetic_reviews.get_config("cfn_1")
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ConfigError, match=said):
        run.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "fields", "said"),
    [
        ("mtrlcnn", {"protocol": "users"}, "'mtrlcnn' knows no users"),
        ("cfan_1", {"objective.pairwise": True}, "bpr, vbpr, cfn_1 can"),
        ("mtrlcnn", {"objective.pairwise": True}, "cannot learn with objective"),
        ("cfan_3", {"objective.relation": 0.1}, "no tasks for objective.relation"),
        ("vbpr", {"trunk.trains": True}, "sees cached maps alone"),
        ("cfn_1", {"trunk.run": "a", "trunk.weights": "b"}, "has two trunks"),
    ],
)
def test_what_a_method_cannot_follow_is_refused(method, fields, said, tmp_path):
    config = synthetic_reviews.get_config(method)
    config.update_from_flattened_dict(fields)
    with pytest.raises(ConfigError, match=said):
        run.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_both_sides_of_a_split_have_pairs(share):
    pairs = make_pairs(
        user=np.arange(6) % 2, image=np.arange(6), good=np.ones(6, bool), users=2
    )
    config = synthetic_reviews.get_config("cfn_1")
    config.pairs.share = share
    with pytest.raises(ConfigError, match=r"holds out [06] of 6 pairs"):
        problem._held_out(config, pairs)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("cfan_1", "reads reviews, of which oasis has none"),
        ("cfn_pure", "learns tags, of which oasis has 1 with config.pairs.tag='cat"),
    ],
)
def test_a_method_needs_its_reviews_and_tags(method, said):
    none = np.zeros(0, int)
    pairs = make_pairs(user=none, image=none, good=none > 0, users=2)
    labels = Labels(np.zeros(3, int), np.zeros(3, np.float32))
    sizes = {"users": 2, "images": 3, "tags": ("sky",)}
    everything = Interactions(pairs, pairs, labels, **sizes)
    config = oasis.get_config("cfn_1")
    config.method = method
    with pytest.raises(ConfigError, match=said):
        networks.make_network(config, everything, map_shape=(1, 1, 4))


def test_a_runs_trunk_is_taken_as_it_learned_it(tmp_path):
    config = synthetic_reviews.get_config("cfn_1")
    config.trunk.run = str(tmp_path)
    backbone = {"conv": {"kernel": np.ones((1, 2), np.float32)}}
    target = tmp_path / networks.PRIOR_FILE
    variables.save_variables(target, {"params": {"trunk": {"backbone": backbone}}})
    found = networks._trunk_variables(config, None)
    np.testing.assert_array_equal(found["params"]["conv"]["kernel"], np.ones((1, 2)))
    variables.save_variables(target, {"params": backbone})
    with pytest.raises(ConfigError, match="holds no trunk; name the workdir of an mtr"):
        networks._trunk_variables(config, None)
