"""Damaged label files: an error with file and line, or every row accounted for."""

import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiaa.data.builders import builder_class
from jiaa.data.table import DataError

# Label file -> the lines that are no rows, and how many rows a result stands for.
FILES = {
    ("ava", "AVA.txt"): (0, lambda labels: len(labels.image_ids)),
    ("ava", "ilgnet_ava1_train.txt"): (
        0,
        lambda labels: (labels.image_split == "train").sum(),
    ),
    ("aadb", "train.csv"): (1, lambda labels: (labels.image_split == "train").sum()),
    ("aadb", "ratings.csv"): (1, lambda labels: len(labels.responses["stars"])),
    ("flickr_aes", "FLICKR-AES_image_labeled_by_each_worker.csv"): (
        1,
        lambda labels: len(labels.responses["stars"]),
    ),
    ("flickr_aes", "FLICKR-AES_image_score.txt"): (
        0,
        lambda labels: np.isfinite(labels.columns["published_score"]).sum(),
    ),
    ("flickr_aes", "test_workers.txt"): (
        0,
        lambda labels: len(
            set(labels.responses["worker"][labels.responses["test_worker"]].tolist())
        ),
    ),
    ("flickr_aes", "gold.csv"): (
        1,
        lambda labels: np.isfinite(labels.responses["worker_quality"]).sum(),
    ),
    ("real_cur", "REAL-CUR_scores.csv"): (1, lambda labels: len(labels.image_ids)),
    ("psycho_flickr", "users.csv"): (
        1,
        lambda labels: len(set(labels.responses["worker"].tolist())),
    ),
    ("ava_reviews", "reviews.jsonl"): (
        0,
        lambda labels: len(labels.responses["image"]),
    ),
}
ROUNDS = 40


def fields(line):
    """The line's values and what stands between them."""
    return re.split(rb"([, ]+)", line)


def delete(lines, row, random):
    parts = fields(lines[row])
    at = 2 * random.randrange((len(parts) + 1) // 2)
    lines[row] = b"".join(parts[:at] + parts[at + 2 :])


def double(lines, row, random):
    lines.insert(random.randrange(len(lines) + 1), lines[row])


def double_field(lines, row, random):
    parts = fields(lines[row])
    at = 2 * random.randrange((len(parts) + 1) // 2)
    lines[row] = b"".join([*parts[: at + 1], b",", *parts[at:]])


def swap(lines, row, random):
    parts = fields(lines[row])
    a, b = (2 * random.randrange((len(parts) + 1) // 2) for _ in "ab")
    parts[a], parts[b] = parts[b], parts[a]
    lines[row] = b"".join(parts)


def truncate(lines, row, random):
    lines[row] = lines[row][: random.randrange(len(lines[row]) + 1)]


def latin(lines, row, random):
    at = random.randrange(len(lines[row]) + 1)
    lines[row] = lines[row][:at] + b"\xe9" + lines[row][at:]


def nul(lines, row, random):
    lines[row] += b"\0"


def noise(lines, row, random):
    at = random.randrange(len(lines[row]) + 1)
    word = random.choice([b'"', b"nan", b"-1", b"1_0", b"9" * 30, b"../", b";", b"\t"])
    lines[row] = lines[row][:at] + word + lines[row][at:]


def huge(lines, row, random):
    parts = fields(lines[row])
    parts[-1] = b"1e400"
    lines[row] = b"".join(parts)


MUTATIONS = (delete, double, double_field, swap, truncate, latin, nul, noise, huge)
# What people's programs do to a file as a whole changes nothing.
HARMLESS = {
    "crlf": lambda content: content.replace(b"\n", b"\r\n"),
    "cr": lambda content: content.replace(b"\n", b"\r"),
    "bom": lambda content: b"\xef\xbb\xbf" + content,
    "spaces": lambda content: content.replace(b"\n", b"  \n"),
    "blank lines": lambda content: content.replace(b"\n", b"\n\n"),
    "no last line end": lambda content: content.rstrip(b"\n"),
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory, raw_root):
    """A function from a dataset's name to raw files that may be damaged."""
    parent = tmp_path_factory.mktemp("fuzz")

    def copy(name):
        if not (parent / name).is_dir():
            shutil.copytree(raw_root(name), parent / name)
        return parent / name

    return copy


def read(name, root):
    return builder_class(name).read_raw(root, max_missing=10_000).labels


def attempt(name, root):
    """The labels, or the faults instead."""
    try:
        return read(name, root), ()
    except DataError as error:
        return None, error.faults


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_damaged_line_is_named_or_its_row_is_there(name, file, copies):
    headers, count = FILES[name, file]
    path = copies(name) / file
    clean = path.read_bytes()
    in_file = len(clean.splitlines()) - headers
    whole = read(name, path.parent)
    unseen = in_file - count(whole)  # rows that leave no trace
    refused = []

    @settings(max_examples=ROUNDS, deadline=None, derandomize=True, database=None)
    @given(st.sampled_from(MUTATIONS), st.randoms(use_true_random=False))
    def damage(mutate, random):
        lines = clean.rstrip(b"\n").split(b"\n")
        mutate(lines, random.randrange(len(lines)), random)
        path.write_bytes(b"\n".join(lines) + b"\n")
        rows = sum(bool(line.strip()) for line in lines) - headers
        found, faults = attempt(name, path.parent)
        refused.append(bool(faults))
        for fault in faults:
            elsewhere = "workers without|have no file|ilgnet.*line|users not in"
            assert re.search(f"{file}: (line|no)|{elsewhere}", fault)
        if found and count(found) < rows - unseen:
            told = {*found.missing, *found.notes} - {*whole.missing, *whole.notes}
            assert told, f"{mutate.__name__}: a row is gone, and nobody says so"

    try:
        damage()
    finally:
        path.write_bytes(clean)
    assert sum(refused) >= len(refused) // 4


@pytest.mark.parametrize("habit", HARMLESS)
@pytest.mark.parametrize(("name", "file"), FILES)
def test_line_ends_marks_and_blanks_change_nothing(name, file, habit, copies):
    path = copies(name) / file
    clean = path.read_bytes()
    expected = read(name, path.parent)
    try:
        path.write_bytes(HARMLESS[habit](clean))
        found = read(name, path.parent)
    finally:
        path.write_bytes(clean)
    assert found.image_ids == expected.image_ids
    assert found.notes == expected.notes
    for field in ("columns", "responses"):
        for key, values in getattr(expected, field).items():
            np.testing.assert_array_equal(getattr(found, field)[key], values)


def test_all_faults_of_all_files_are_told_at_once(copies):
    root = copies("flickr_aes")
    files = {
        "FLICKR-AES_image_labeled_by_each_worker.csv": 15,
        "FLICKR-AES_image_score.txt": 12,
        "test_workers.txt": 1,
    }
    clean = {file: (root / file).read_bytes() for file in files}
    try:
        for file, bad in files.items():
            lines = clean[file].decode().splitlines()
            for row in range(1, 1 + bad):
                lines[row] = "one two, three six"
            (root / file).write_text("\n".join(lines))
        with pytest.raises(DataError) as caught:
            read("flickr_aes", root)
    finally:
        for file, content in clean.items():
            (root / file).write_bytes(content)
    for file, bad in files.items():
        told = [fault for fault in caught.value.faults if file in fault]
        assert [int(re.search(r"line (\d+)", x)[1]) for x in told] == list(
            range(2, 2 + bad)
        ), file
