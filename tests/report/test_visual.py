import numpy as np
import pytest

from jiaa.report import visual


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(5, 8, 12, 3), dtype=np.uint8)


def test_scores_are_shown_in_stars_beside_the_user_s(images):
    user = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    figure = visual.visual_scores(
        images,
        user,
        predictions={"BA-PIAA": user - 0.1, "BLG-PIAA": user},
        scale=(1.0, 5.0),
        heading="synthetic",
    )
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts[1] == ["1.0", "0.5", "1.0"]
    assert texts[9] == ["5.0", "4.5", "5.0"]
    assert len(figure.axes) == 2 * len(images)
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.texts] == ["user", "BA-PIAA", "BLG-PIAA"]


def test_each_map_is_scaled_by_itself_so_that_steepness_cancels(images, rng):
    maps = rng.uniform(size=(5, 8, 12))
    figure = visual.visual_gradients(
        images, maps, adapted={"user": 1000 * maps}, heading="synthetic"
    )
    _, prior, user = (axes.images[0].get_array() for axes in figure.axes[:3])
    np.testing.assert_allclose(prior, user)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["image", "prior", "user"]


def test_a_map_of_zeros_stays_dark(images):
    nothing = np.zeros((5, 8, 12))
    figure = visual.visual_gradients(images, nothing, adapted={}, heading="x")
    assert float(np.max(figure.axes[1].images[0].get_array())) == 0.0


def test_captions_stand_under_the_maps_of_their_model(images):
    maps = np.zeros((5, 8, 12))
    lines = [f"rated {i}" for i in range(5)]
    figure = visual.visual_gradients(
        images, maps, adapted={"ann": maps}, heading="x", captions={"ann": lines}
    )
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes[:15]]
    assert texts == [lines_ for line in lines for lines_ in ([], [], [line])]
