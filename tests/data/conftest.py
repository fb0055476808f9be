"""Raw and prepared datasets of every format, written once a session."""

import pytest
from data.builders import raw

from jiaa.data.builders import prepare


@pytest.fixture(scope="session")
def raw_root(tmp_path_factory):
    """A function from a dataset's name to its raw files; do not change these."""
    parent = tmp_path_factory.mktemp("raw")

    def root(name):
        if not (parent / name).is_dir():
            raw.write(name, parent / name)
        return parent / name

    return root


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory, raw_root):
    """A function that prepares a dataset and returns the folder of prepared ones."""
    folder = tmp_path_factory.mktemp("prepared")

    def prepared(name):
        if not (folder / name).is_dir():
            prepare.prepare(name, raw_root(name), folder, workers=1, progress=False)
        return folder

    return prepared
