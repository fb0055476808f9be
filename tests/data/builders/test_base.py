"""What every builder promises: from raw files to records, nothing lost on the way."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data.builders import raw

from jiaa.data import images
from jiaa.data.builders import BUILDERS, builder_class, prepare, prepared
from jiaa.data.builders.labels import check_disjoint
from jiaa.data.table import DataError

pytestmark = pytest.mark.parametrize("name", BUILDERS)


def both(name, raw_root, data_dir):
    """The labels as read from raw files, and from records."""
    read = builder_class(name).read_raw(raw_root(name))
    builder = prepared.find(data_dir(name), name, short_side=256)
    return read, *prepared.read(builder)


def test_records_say_what_the_raw_files_say(name, raw_root, data_dir):
    read, labels, _ = both(name, raw_root, data_dir)
    assert labels.image_ids == read.labels.image_ids
    assert labels.image_split.tolist() == read.labels.image_split.tolist()
    for field in ("columns", "responses"):
        written, found = getattr(read.labels, field), getattr(labels, field)
        assert set(found) == set(written)
        for key, values in written.items():
            if values.dtype.kind == "f":
                values = values.astype(np.float32)
            np.testing.assert_array_equal(found[key], values, err_msg=key)
    assert labels.notes == read.labels.notes
    assert labels.missing == ()


def test_records_show_the_raw_photographs(name, raw_root, data_dir):
    read, _, photographs = both(name, raw_root, data_dir)
    assert len(photographs) == len(read.paths)
    for row in (0, len(photographs) // 2, len(photographs) - 1):
        np.testing.assert_array_equal(
            images.decode(photographs[row]), images.decode(read.paths[row])
        )


def test_no_image_is_on_two_sides(name, raw_root, data_dir):
    builder = prepared.find(data_dir(name), name, short_side=256)
    ids = {
        split: [record["image_id"] for record in prepared.records(builder, split)]
        for split in builder.info.splits
    }
    check_disjoint(ids, what="images")
    assert sum(map(len, ids.values())) == len(set().union(*ids.values()))


def test_it_is_a_builder_that_tfds_knows(name, data_dir):
    builder = tfds.builder(name, data_dir=data_dir(name))
    assert isinstance(builder, builder_class(name))
    assert "year={" in builder.info.citation
    assert builder.info.homepage.startswith("http")
    assert len(builder.info.redistribution_info.license) > 40
    split = next(iter(builder.info.splits))
    record = builder.as_data_source(split=split)[0]
    assert record["image"].dtype == np.uint8
    assert "tensorflow" not in sys.modules


def test_its_docstring_and_card_say_where_files_go(name):
    cls = builder_class(name)
    module = sys.modules[cls.__module__]
    card = Path(__file__).parents[3] / "docs" / "datasets" / f"{name}.md"
    text = card.read_text()
    for heading in ("Source", "Licence", "Raw files", "Splits", "Known faults"):
        assert f"## {heading}" in text, f"{card}: no {heading}"
    assert module.__doc__
    assert len(cls.MANUAL_DOWNLOAD_INSTRUCTIONS) > 100


def test_building_twice_gives_the_same_bytes(name, raw_root, data_dir, tmp_path):
    prepare.prepare(name, raw_root(name), tmp_path, workers=1, progress=False)
    first = raw.snapshot(data_dir(name) / name)
    again = raw.snapshot(tmp_path / name)
    kept = [file for file in again if file.endswith("array_record-00000-of-00001")]
    assert kept
    assert set(again) == set(first), "no work is left behind"
    for file in kept:
        assert again[file] == first[file], file


def test_missing_and_corrupt_photographs_count_against_the_limit(
    name, raw_root, tmp_path
):
    root = tmp_path / "raw"
    shutil.copytree(raw_root(name), root)
    files = sorted(root.rglob("*.jpg"))
    files[0].unlink()
    files[1].write_bytes(b"no image")
    # A favourite that is not in its folder is no favourite.
    missing = int(name != "psycho_flickr")
    options = {"workers": 1, "progress": False}
    with pytest.raises(DataError, match=f"max_missing={missing} (are|is) tolerated"):
        prepare.prepare(name, root, tmp_path / "data", max_missing=missing, **options)
    counts = prepare.prepare(name, root, tmp_path / "data", max_missing=2, **options)
    assert (counts[-1].missing, counts[-1].corrupt) == (missing, 1)
    builder = prepared.find(tmp_path / "data", name, short_side=256)
    labels, photographs = prepared.read(builder)
    assert len(photographs) == counts[-1].images
    assert len(labels.missing) == missing + 1


def test_the_table_counts_what_is_there(name, raw_root):
    counts = prepare.check(name, raw_root(name))
    labels = builder_class(name).read_raw(raw_root(name)).labels
    assert counts[-1].images == len(labels.image_ids)
    assert sum(count.images for count in counts[:-1]) == counts[-1].images
    assert sum(count.ratings for count in counts[:-1]) == counts[-1].ratings
    lines = prepare.table(counts).splitlines()
    assert lines[0].split() == [
        "split",
        "images",
        "users",
        "ratings",
        "missing",
        "corrupt",
    ]
    assert len({len(line) for line in lines}) == 1
