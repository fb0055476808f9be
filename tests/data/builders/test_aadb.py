"""AADB: counts of the real files, and each photograph in one split."""

import copy
import functools
import shutil
from pathlib import Path

import numpy as np
import pytest

from jiaa.data.builders import aadb
from jiaa.data.table import DataError


@functools.cache
def split_files(data_root):
    folder = data_root / "aadb"
    return {split: aadb.read_split(folder / f"{split}.csv") for split in aadb.SPLITS}


@pytest.mark.data
def test_the_real_tables_are_those_of_the_authors(data_root):
    tables = copy.deepcopy(split_files(data_root))
    counts = {split: len(rows) for split, rows in tables.items()}
    assert counts == {"train": 8_458, "val": 500, "test": 1_000}
    aadb.compare_with_authors(data_root / "aadb" / aadb.AUTHORS, tables)
    name = next(iter(tables["test"]))
    tables["test"][name][-1] += 0.05
    with pytest.raises(DataError, match=f"{name} has score 0.7"):
        aadb.compare_with_authors(data_root / "aadb" / aadb.AUTHORS, tables)
    tables["train"].popitem()
    with pytest.raises(DataError, match=r"2 wrong rows"):
        aadb.compare_with_authors(data_root / "aadb" / aadb.AUTHORS, tables)


@pytest.mark.data
def test_real_scores_are_means_of_stars_on_a_scale_from_zero(data_root):
    values = np.concatenate(
        [np.asarray(list(rows.values())) for rows in split_files(data_root).values()]
    )
    score, attributes = values[:, -1], values[:, :-1]
    assert (score.min(), score.max()) == (0, 1)
    # With five raters, (mean stars - 1) / 4 is a multiple of 0.05.
    assert np.isclose(score * 20, np.rint(score * 20), atol=1e-6).mean() > 0.9
    assert (attributes.min(), attributes.max()) == (-1, 1)
    repetition, symmetry = attributes[:, 7], attributes[:, 9]
    assert repetition.min() == symmetry.min() == 0


@pytest.mark.data
def test_real_photographs_are_in_one_split_each(data_root):
    tables = split_files(data_root)
    shared = set(tables["val"]) & set(tables["test"])
    assert len(shared) == 127
    assert not set(tables["train"]) & {*tables["val"], *tables["test"]}
    for name in shared:
        assert tables["val"][name][-1] == tables["test"][name][-1]
    split, notes = aadb._one_split_each(tables)
    counts = {of: list(split.values()).count(of) for of in aadb.SPLITS}
    assert counts == {"train": 8_457, "val": 373, "test": 1_000}
    assert notes == (
        "1 train images left out: they are test images too",
        "127 val images left out: they are test images too",
    )
    photos = [aadb.photo_id(name) for name in split]
    assert len(set(photos)) == len(photos)


@pytest.mark.data
def test_the_card_tells_the_real_means(data_root):
    card = Path(__file__).parents[3] / "docs" / "datasets" / "aadb.md"
    told = {}
    for line in card.read_text().splitlines():
        if line.startswith("|") and ", mean" in line:
            name, *means = [cell.strip() for cell in line.strip("|").split("|")]
            told[name.removesuffix(", mean")] = [float(mean) for mean in means]
    tables = split_files(data_root)
    of = {x: np.asarray(list(tables[x].values())) for x in aadb.SPLITS}
    names = [*aadb.ATTRIBUTES.values(), "score"]
    spelt = {"color_harmony": "colour harmony", "vivid_color": "vivid colour"}
    spelt["interesting_content"] = "content"
    assert len(told) == 12
    for column, name in enumerate(names):
        means = [of[split][:, column].mean() for split in ("train", "val", "test")]
        expected = told[spelt.get(name, name.replace("_", " "))]
        np.testing.assert_allclose(means, expected, atol=6e-4, err_msg=name)


def test_a_photograph_is_told_by_its_number():
    assert aadb.photo_id("farm1_339_19549261143_43dde4ddc6_b.jpg") == "19549261143"
    assert aadb.photo_id("holiday.jpg") == "holiday.jpg"


def test_test_keeps_what_stands_in_several_splits():
    row = [0.0] * 12
    tables = {
        "test": {"farm1_1_7_aa_b.jpg": row},
        "val": {"farm1_1_7_aa_b.jpg": row, "farm1_1_8_aa_b.jpg": row},
        "train": {"farm1_1_7_bb_b.jpg": row, "farm1_1_9_aa_b.jpg": row},
    }
    split, notes = aadb._one_split_each(tables)
    assert split == {
        "farm1_1_7_aa_b.jpg": "test",
        "farm1_1_8_aa_b.jpg": "val",
        "farm1_1_9_aa_b.jpg": "train",
    }
    assert len(notes) == 2


def test_wrong_values_are_named_with_their_column(raw_root, tmp_path):
    root = tmp_path / "raw"
    shutil.copytree(raw_root("aadb"), root)
    lines = (root / "val.csv").read_text().splitlines()
    values = lines[1].split(",")
    values[5], values[-1] = "1.2", "0.5"
    doubled = lines[2]
    (root / "val.csv").write_text(
        "\n".join([lines[0], ",".join(values), doubled, doubled])
    )
    with pytest.raises(
        DataError, match=r"line 2: light '1\.2'; expected -1 to 1"
    ) as told:
        aadb.Aadb.read_raw(root)
    assert "line 4: image" in told.value.faults[1]


def test_ratings_of_unknown_images_are_counted(raw_root, tmp_path):
    root = tmp_path / "raw"
    shutil.copytree(raw_root("aadb"), root)
    whole = aadb.Aadb.read_raw(root).labels
    with (root / aadb.RATINGS).open("a") as file:
        file.write("somebody,elsewhere.jpg,3\n")
    labels = aadb.Aadb.read_raw(root).labels
    assert labels.notes == ("1 ratings of images in no split left out",)
    assert len(labels.responses["stars"]) == len(whole.responses["stars"])
    (root / aadb.RATINGS).unlink()
    assert len(aadb.Aadb.read_raw(root).labels.responses["stars"]) == 0
