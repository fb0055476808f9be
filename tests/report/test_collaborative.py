"""Tables and figures of CFAN's protocols, from written summaries."""

import json

import numpy as np
import pytest

from jiaa.data.reviews.statistics import review_statistics
from jiaa.report import collaborative as report


def summary(method, value, *, source=None, dataset="synthetic_reviews"):
    def row(metric, mean, **further):
        return {"metric": metric, "mean": mean, "shots": 0, **further}

    rows = [row(name, value) for name in report.METRICS]
    rows += [
        row("crowd_accuracy", value, tag="all"),
        row("crowd_accuracy", None, tag="sky"),
    ]
    for edge in (1, 5):
        rows += [
            row(f"{x}_by_reviews", value, reviews_from=edge, pairs=3)
            for x in ("auc", "accuracy")
        ]
    return {
        "method": method,
        "dataset": dataset,
        "protocol": "pairs",
        "attends_to": source,
        "results": rows,
    }


def test_runs_of_one_method_are_a_row_with_their_spread():
    runs = [summary("bpr", 0.5), summary("cfan_1", 0.7, source="others")]
    runs += [summary("bpr", 0.6), summary("cfan_1", 0.9, source="own")]
    lines = report.methods_table(runs).splitlines()
    assert lines[2].startswith("| BPR | 0.550 ± 0.050 |")
    assert lines[3].startswith("| CFAN-1 | 0.700 |")
    assert lines[4].startswith("| CFAN-1, own review | 0.900 |")
    tags = report.tags_table(runs)
    assert "| sky | - | - | - |" in tags


def test_the_papers_figures_show_the_papers_methods():
    runs = [summary(x, 0.5) for x in ("bpr", "cfn_1", "cfan_1", "mtrlcnn")]
    runs.append(summary("cfan_1", 0.9, source="own"))
    lines = report.reviews_figure(runs).axes[0].get_lines()
    assert [x.get_label() for x in lines] == ["CFN-1", "CFAN-1"]
    assert "| tag | MTRLCNN |" in report.tags_table(runs)
    assert "| tag | BPR |" in report.tags_table(runs[:1])  # none of the figure's


def test_a_report_names_the_leak_and_what_is_synthetic(tmp_path):
    folders = []
    for name, source in (("others", "others"), ("own", "own")):
        folder = tmp_path / name
        folder.mkdir()
        text = json.dumps(summary("cfan_1", 0.7, source=source))
        (folder / "summary.json").write_text(text)
        folders.append(folder)
    closed = report.write_pairs_report(folders[:1], tmp_path / "a").read_text()
    assert "seen the answer" not in closed
    assert "These numbers are synthetic" in closed
    both = report.write_pairs_report(folders, tmp_path / "b").read_text()
    assert "seen the answer" in both
    assert {x.name for x in (tmp_path / "b").glob("*.png")} == {
        "methods.png",
        "by_reviews.png",
        "by_tag.png",
    }


def test_what_was_not_measured_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run scripts/evaluate\.py"):
        report.read_summary(tmp_path)
    (tmp_path / "summary.json").write_text('{"method": "ba_piaa"}')
    with pytest.raises(ValueError, match="no summary of held-out pairs"):
        report.read_summary(tmp_path)
    with pytest.raises(ValueError, match="runs on one dataset"):
        report.write_pairs_report([], tmp_path)


def test_table_1_has_a_column_a_tag():
    found = review_statistics(np.array([0, 1, 1]), np.array([0, 0, 1]))
    table = report.statistics_table({"sky": found, "overall": found})
    assert "| reviews an image | 1.500 | 1.500 |" in table
    assert "| range, reviews a user | [1, 2] | [1, 2] |" in table


def test_figures_of_attention_and_levels_have_their_panels():
    image = np.zeros((8, 8, 3), np.uint8)
    figure = report.attention_figure(image, np.ones((2, 4, 4)), ["ann", "bob"])
    assert [x.get_title() for x in figure.axes] == ["photograph", "ann", "bob", ""]
    figure = report.levels_figure(np.arange(10.0), np.full(5, 0.2))
    assert len(figure.axes) == 2
