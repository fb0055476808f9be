"""CONTRIBUTING's table of equations points at code that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"\| `(jiaa/[\w/]+\.py)`: (.+) \|", (ROOT / "CONTRIBUTING.md").read_text()
)


@pytest.mark.parametrize(("path", "names"), ROWS, ids=[row[1] for row in ROWS])
def test_every_equation_lives_where_the_table_says(path, names):
    tree = ast.parse((ROOT / path).read_text())
    defined = {node.name for node in tree.body if hasattr(node, "name")}
    assert set(re.findall(r"`(\w+)`", names)) <= defined


def test_the_table_is_read():
    assert len(ROWS) >= 15
