"""Critiques with their critics' scores."""

import json

import pytest

from jiaa.data import DataError
from jiaa.data.reviews import pccd


def test_damaged_critiques_are_all_named(tmp_path):
    good = {"critic": "a", "overall": 8, "comments": {"focus": "sharp"}}
    lines = [json.dumps(good), "{", json.dumps({**good, "overall": "high"})]
    (tmp_path / pccd.CRITIQUES).write_text("\n".join(lines))
    with pytest.raises(DataError) as raised:
        pccd.read_critiques(tmp_path)
    assert len(raised.value.faults) == 2


def test_critics_are_on_one_side_only(tmp_path):
    rows = [
        {"critic": name, "overall": 8, "comments": {"focus": "sharp"}}
        for name in "abcdefgh" * 2
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / pccd.CRITIQUES).write_text(text)
    found = pccd.read_critiques(tmp_path)
    assert found.chosen_on[:8].tolist() == found.chosen_on[8:].tolist()
    assert len(set(found.chosen_on.tolist())) == 2
