import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from jiaa.report import figures, runs


def _bars(figure, color):
    patches = figure.axes[0].patches
    return [patch for patch in patches if to_hex(patch.get_facecolor()) == color]


def test_bars_stand_from_the_lower_to_the_higher_value_in_generic_order(make_run):
    run = runs.read_run(make_run(lift=-0.1))
    # At 2 ratings: ann 0.1 -> 0.2 is better, bob 0.7 -> 0.6 worse.
    figure = figures.per_user_bars(run, shots=2)
    kept = [bar.get_height() for bar in _bars(figure, figures.GREY)]
    np.testing.assert_allclose(kept, [0.1, 0.6])
    (better,), (worse,) = (
        _bars(figure, color) for color in (figures.BLUE, figures.ORANGE)
    )
    np.testing.assert_allclose([better.get_y(), better.get_height()], [0.1, 0.1])
    np.testing.assert_allclose([worse.get_y(), worse.get_height()], [0.6, 0.1])
    assert worse.get_x() > better.get_x()


def test_a_lower_error_is_better(make_run):
    figure = figures.per_user_bars(runs.read_run(make_run()), shots=2, metric="rmse")
    assert len(_bars(figure, figures.BLUE)) == 2
    assert not _bars(figure, figures.ORANGE)


def test_lines_pass_through_the_summary_with_a_band_of_one_deviation(make_run):
    figure = figures.score_against_shots([runs.read_run(make_run())])
    measured, generic = figure.axes[0].lines
    np.testing.assert_allclose(measured.get_xydata(), [[2, 0.5], [4, 0.7]])
    np.testing.assert_allclose(generic.get_ydata(), [0.4, 0.4])
    (band,) = figure.axes[0].collections
    at_two = band.get_paths()[0].vertices[:, 1][band.get_paths()[0].vertices[:, 0] == 2]
    np.testing.assert_allclose([at_two.min(), at_two.max()], [0.4, 0.6])


def test_synthetic_stands_in_the_title(make_run):
    run = runs.read_run(make_run())
    for figure in (
        figures.per_user_bars(run, shots=2),
        figures.score_against_shots([run]),
    ):
        assert "synthetic" in figure.axes[0].get_title()


@pytest.mark.parametrize("text", ["legend", "title"])
def test_nothing_is_cut_off_at_the_edge(make_run, text):
    figure = figures.per_user_bars(runs.read_run(make_run()), shots=2)
    figure.canvas.draw()
    axes = figure.axes[0]
    box = (axes.get_legend() if text == "legend" else axes.title).get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0


def test_the_same_numbers_give_the_same_file(make_run, tmp_path):
    run = runs.read_run(make_run())
    first, second = (
        figures.save(figures.per_user_bars(run, shots=2), tmp_path / name)
        for name in ("a.png", "b/c.png")
    )
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as picture:
        assert picture.width == 1200
