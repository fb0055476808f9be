"""Which tests run, and in which order."""

from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def select(pytestconfig):
    """Names of marked tests -> the order in which they run, with --all or without."""
    here = str(Path(__file__).with_name("conftest.py"))
    plugins = pytestconfig.pluginmanager.get_plugins()
    (conftest,) = [x for x in plugins if getattr(x, "__file__", None) == here]

    def call(marks, *, every):
        hook = SimpleNamespace(pytest_deselected=lambda items: None)
        config = SimpleNamespace(getoption=lambda name: every, hook=hook)
        items = [
            SimpleNamespace(name=name, get_closest_marker=lambda x, m=mark: x == m)
            for name, mark in marks.items()
        ]
        conftest.pytest_collection_modifyitems(config, items)
        return "".join(item.name for item in items)

    return call


def test_slow_tests_run_with_all_only(select):
    marks = {"a": "", "b": "slow", "c": "gpu"}
    assert select(marks, every=False) == "ac"
    assert select(marks, every=True) == "abc"


def test_the_longest_begin_both_halves_of_the_list(select):
    marks = dict.fromkeys("abcd", "") | dict.fromkeys("xyz", "longest")
    assert select(marks, every=False) == "xzabycd"
