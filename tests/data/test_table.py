"""Faults of files: every one of them is told, and those of several files together."""

import pickle

import pytest

from jiaa.data import table


def test_an_error_holds_every_fault_and_shows_the_first(tmp_path):
    findings = table.Findings(tmp_path / "a.csv")
    for line in range(30, 10, -1):
        findings.add(line, f"wrong {line}")
    with pytest.raises(
        table.DataError, match=r"20 wrong rows\n  line 11: wrong 11"
    ) as e:
        findings.raise_if_any()
    assert "and 10 more" in str(e.value)
    assert len(e.value.faults) == 20
    assert e.value.faults[-1] == f"{tmp_path / 'a.csv'}: line 30: wrong 30"
    assert str(pickle.loads(pickle.dumps(e.value))) == str(e.value)


def test_faults_of_several_files_come_together(tmp_path):
    def fail(name):
        raise table.DataError(f"{name} is wrong", [f"{name}: 1", f"{name}: 2"])

    gathered = table.Gathered()
    assert gathered.read(int, "7") == 7
    gathered.raise_if_any()
    assert gathered.read(fail, "a") is None
    with pytest.raises(table.DataError, match=r"^a is wrong$"):
        gathered.raise_if_any()
    gathered.read(fail, "b")
    with pytest.raises(table.DataError, match="a is wrong\nb is wrong") as error:
        gathered.raise_if_any()
    assert error.value.faults == ("a: 1", "a: 2", "b: 1", "b: 2")


def test_every_line_that_is_no_text_is_told(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"fine\n\xe9t\xe9\nfine\nnul\0\n\xff\n")
    with pytest.raises(table.DataError) as error:
        table.read_lines(path)
    lines = [fault.split(": ")[1] for fault in error.value.faults]
    assert lines == ["line 2", "line 4", "line 5"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_numbered_whatever_ends_them(tmp_path, end):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf" + end.join(["a ", "", " b"]).encode())
    assert table.read_lines(path) == [(1, "a"), (3, "b")]
