"""`jiaa report` of a finished run: maps where the photographs are at hand."""

import shutil

import pytest
from experiments import glancing

from jiaa.cli import photos, reports, run
from jiaa.cli.settings import recorded_config


@pytest.fixture(scope="module")
def evaluated(finished_run, tmp_path_factory):
    """A copy of the finished run, evaluated; its backbone is known."""
    workdir = tmp_path_factory.mktemp("evaluated") / "ba"
    shutil.copytree(finished_run, workdir)
    with glancing():
        run.evaluate(recorded_config(workdir), workdir, progress=False)
        yield workdir


def test_the_page_shows_where_prior_and_user_model_look(evaluated, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert reports.report([str(evaluated), "-o", str(page), "--maps", "2"]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    assert "Where the models look" in text
    assert "data:image/png;base64," in text


def test_without_the_photographs_the_page_says_so(evaluated, tmp_path, capsys):
    page = tmp_path / "report.html"
    moved = ["--set", f"data.root={tmp_path / 'gone'}"]
    assert reports.report([str(evaluated), "-o", str(page), *moved]) == 0
    assert "No maps of ba: " in capsys.readouterr().out
    assert "gone: no such folder" in page.read_text()


def test_a_run_that_was_not_evaluated_is_named(tmp_path):
    with pytest.raises(
        SystemExit, match=r"summary\.json does not exist.*not evaluated"
    ):
        photos.run(reports.report, [str(tmp_path), "-o", str(tmp_path / "x.html")])
