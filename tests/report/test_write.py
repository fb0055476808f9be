import re
import subprocess
import sys
from pathlib import Path

import pytest

from jiaa.report import terminal_summary, write_report

ROOT = Path(__file__).parents[2]


def test_the_report_shows_every_dataset_with_its_figures(make_run, tmp_path):
    out = tmp_path / "report"
    workdirs = [make_run("ba_piaa"), make_run("blg_piaa"), make_run(dataset="oasis")]
    text = write_report(workdirs, out).read_text()
    assert text.index("## synthetic") < text.index("## oasis")
    assert text.count("**These numbers are synthetic.**") == 1
    pictures = re.findall(r"\]\((.+?\.png)\)", text)
    # Two metrics against ratings a dataset, two numbers of ratings a run.
    assert len(pictures) == 2 * 2 + 3 * 2
    assert {path.name for path in out.glob("*.png")} == set(pictures)


def test_writing_again_gives_the_same_report(make_run, tmp_path):
    workdirs = [make_run()]
    first = write_report(workdirs, tmp_path / "out").read_text()
    (tmp_path / "out" / "visual_scores.png").write_bytes(b"")
    again = write_report(workdirs, tmp_path / "out").read_text()
    assert "visual_scores.png" in again
    assert first.split("## Generic")[1] == again.split("## Generic")[1]
    assert not list((tmp_path / "out").glob("*.part"))


def test_published_numbers_are_called_so(make_run, tmp_path):
    other = write_report([make_run(dataset="oasis")], tmp_path / "a").read_text()
    same = write_report([make_run(dataset="flickr_aes")], tmp_path / "b").read_text()
    assert "not measured on the dataset of this section" in " ".join(other.split())
    assert "not measured on the dataset of this section" not in " ".join(same.split())
    assert "published, not rerun here" in same


def test_no_workdirs_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_report([], tmp_path)


def test_the_terminal_s_last_line_is_the_report_s_path(make_run):
    text = terminal_summary([make_run()], "runs/report.md")
    assert text.splitlines()[-1] == "Report: runs/report.md"
    assert "BLG-PIAA 0.561, 0.669" in text


def test_a_run_without_its_prior_s_rows_has_no_bars(make_run, tmp_path):
    workdir = make_run()
    table = workdir / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(x for x in lines if ",generic_srocc," not in x))
    write_report([workdir], tmp_path / "out")
    assert not list((tmp_path / "out").glob("users_*.png"))


def report(*arguments):
    """What scripts/report.py says on stderr as it fails."""
    script = subprocess.run(
        [sys.executable, "scripts/report.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.returncode == 1
    assert "Traceback" not in script.stderr
    return script.stderr


def test_the_script_names_what_was_not_evaluated_and_makes_no_folder(tmp_path):
    assert "was not evaluated" in report(tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_script_says_that_out_is_a_file(make_run, tmp_path):
    out = tmp_path / "notes.txt"
    out.write_text("mine")
    for where in (out, out / "below"):
        assert "is a file, or lies below one; name a" in report(
            make_run(), "--out", where
        )
    assert out.read_text() == "mine"
