import re
import sys

from jiaa.train.progress import Progress


def test_without_a_terminal_a_line_tells_rate_and_time_left(capsys):
    with Progress(100, name="train", initial=40, seconds=0.0) as bar:
        bar.update(50, {"loss": 0.123456})
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"train 50/100, \S+ steps/s, \d+:\d\d:\d\d left, loss 0\.1235", lines[0]
    )


def test_lines_come_no_more_often_than_asked_and_once_at_the_end(capsys):
    with Progress(100, name="train", seconds=1000.0) as bar:
        for done in range(1, 101):
            bar.update(done)
    assert capsys.readouterr().err.count("\n") == 1


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(4, name="evaluate", unit="user") as bar:
        bar.update(4, {"srocc": 0.5})
    shown = capsys.readouterr().err
    assert "evaluate" in shown
    assert "4/4" in shown


def test_switched_off_it_says_nothing(capsys):
    with Progress(4, name="train", enabled=False, seconds=0.0) as bar:
        bar.update(4)
    assert capsys.readouterr() == ("", "")
