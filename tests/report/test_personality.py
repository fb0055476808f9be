"""What stands in the figures of traits, and in the tables of generic.json."""

import json

import numpy as np
import pytest

from jiaa.report import generic, personality

TRAITS = ("openness", "neuroticism")


def test_weights_are_a_bar_a_trait_and_model(rng):
    weights = {"fused": np.array([0.2, -0.1]), "steps": np.array([0.0, 0.1])}
    figure = personality.trait_weights(weights, names=TRAITS, heading="synthetic")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [0.2, -0.1, 0.0, 0.1])


def test_distributions_stand_beside_the_photograph_with_their_means(rng):
    images = rng.integers(0, 255, (2, 4, 4, 3), dtype=np.uint8)
    predicted = np.array([[0.5, 0.5], [0.0, 1.0]])
    true = np.array([[1.0, 0.0], [0.25, 0.75]])
    figure = personality.distributions(
        images, predicted, true, second=np.ones((2, 2)), names=TRAITS, heading="x"
    )
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["mean 0.750 (true 0.500)", "mean 1.000 (true 0.875)"]
    figure = personality.distributions(
        images, predicted[:, 1:], true[:, 1:], names=TRAITS, heading="scores"
    )
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["score 0.500 (true 0.000)", "score 1.000 (true 0.750)"]


def test_two_users_pictures_tell_all_stars(rng):
    images = rng.integers(0, 255, (2, 3, 4, 4, 3), dtype=np.uint8)
    scores = [{"user": np.array([0.2, 0.4, 1.0]), "fused": np.full(3, 0.5)}] * 2
    figure = personality.users_pictures(
        list(images),
        scores,
        weights=[np.array([0.1, -0.2])] * 2,
        names=TRAITS,
        users=("ann", "bob"),
        high=5.0,
        heading="x",
    )
    assert figure.axes[1].get_title() == "user 1.0\nfused 2.5"
    assert figure.axes[4].get_title() == "bob: weights"


def test_tables_hold_what_a_run_measured(tmp_path):
    assert generic.read_generic(tmp_path) is None
    traits = {name: {"user": 0.5, "image": 0.25} for name in TRAITS}
    found = {
        "method": "pa_iaa",
        "dataset": "synthetic",
        "images": 9,
        "variant": ["aesthetics"],
        "generic": {"acc": 0.8125, "srocc": 0.5, "emd": float("nan")},
        "traits": traits,
        "correlations": {"openness": -0.1},
    }
    (tmp_path / "generic.json").write_text(json.dumps(found))
    measured = [generic.read_generic(tmp_path)]
    text = "\n".join(generic.generic_section(measured))
    assert "| PA_IAA (aesthetics) | 81.2 | 0.500 | - | 9 |" in text
    assert "| PA_IAA (aesthetics) | user | 0.500 | 0.500 | 0.500 |" in text
    assert "| PA_IAA (aesthetics) | -0.100 |" in text
    (tmp_path / "generic.json").write_text("[]")
    with pytest.raises(ValueError, match="no record of an evaluation"):
        generic.read_generic(tmp_path)
