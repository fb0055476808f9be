"""PAM's figures: what is drawn is what was measured."""

import numpy as np
import pytest

from jiaa.evaluate.active import Curves
from jiaa.report.albums import RED, ranked_album
from jiaa.report.curves import active_curves, feature_bars, rows

VALUES = np.linspace(0.2, 0.5, 12).reshape(1, 2, 6)


@pytest.fixture
def curves():
    values = {"random": VALUES, "active_pam": VALUES + 0.1}
    generic = {name: np.full(VALUES.shape, 0.2) for name in values}
    return Curves(np.arange(10, 16), values, generic, dict.fromkeys(values, 2.0))


def test_a_curve_and_its_band_are_the_measured_ones(curves):
    (axes,) = active_curves(curves, dataset="synthetic").axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["Active-PAM"], VALUES.mean(1)[0] + 0.1)
    assert len(axes.collections) == 2


def test_rows_say_where_the_last_of_random_is_reached(curves):
    found = {(row["strategy"], row["ratings"]): row for row in rows(curves)}
    assert found["random", 10]["reaches_random_last_at"] == 15
    assert found["active_pam", 10]["reaches_random_last_at"] < 15
    assert found["random", 10]["over_random"] == 0.0
    assert found["active_pam", 10]["over_random"] == pytest.approx(
        found["active_pam", 10]["srocc"] - found["random", 10]["srocc"], abs=1e-6
    )
    assert found["active_pam", 10]["gain"] == pytest.approx(VALUES.mean(1)[0, 0] - 0.1)


def test_bars_are_the_gains():
    gains = {"both": {10: (0.01, 0.0), 100: (0.04, 0.01)}, "content": {10: (0, 0)}}
    gains["content"][100] = (0.02, 0.01)
    (axes,) = feature_bars(gains, dataset="synthetic").axes
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, [0.01, 0.0, 0.04, 0.02])


def test_an_album_shows_the_best_first_and_marks_what_the_user_dislikes():
    images = np.zeros((3, 4, 4, 3), np.uint8)
    stars = np.array([5.0, 2.0, 4.0])
    scores = {"generic": np.array([0.1, 0.9, 0.5]), "personal": stars / 5}
    figure = ranked_album(images, stars, scores=scores, top=2)
    labels = [axes.xaxis.label for axes in figure.axes]
    assert [label.get_text() for label in labels] == ["2", "4", "5", "4"]
    assert [label.get_color() == RED for label in labels] == [True, False, False, False]
    with pytest.raises(ValueError, match="scores is empty"):
        ranked_album(images, stars, scores={})
