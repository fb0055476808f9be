"""AVA's label file and ILGnet's lists, the real ones where they are at hand."""

import time

import numpy as np
import pytest

from jiaa.data.builders import ava
from jiaa.data.table import DataError

ROWS = """1 953619 0 1 5 17 38 36 15 6 5 1 1 22 1396
2 953958 10 7 15 26 26 21 10 8 1 2 15 21 1396
3 954184 0 0 4 8 41 56 10 3 4 0 0 0 1396
"""


def write(root, rows=ROWS, train="", val=""):
    (root / "images").mkdir()
    (root / ava.VOTES).write_text(rows)
    for line in rows.splitlines():
        (root / "images" / f"{line.split()[1]}.jpg").touch()
    for split, text in (("train", train), ("test", val)):
        if text:
            (root / ava.LISTS[split]).write_text(text)
    return root


def read(root, **options):
    return ava.Ava.read_raw(root, **options).labels


def test_columns_are_votes_tags_and_challenge(tmp_path):
    labels = read(write(tmp_path))
    assert labels.image_ids == ("953619.jpg", "953958.jpg", "954184.jpg")
    assert labels.columns["votes"][1].tolist() == [10, 7, 15, 26, 26, 21, 10, 8, 1, 2]
    assert labels.columns["tags"].tolist() == [[1, 22], [15, 21], [0, 0]]
    assert labels.columns["challenge"].tolist() == [1396] * 3


def test_mean_stars_by_hand():
    votes = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 3, 1, 0, 0, 0, 0, 0, 0]])
    assert ava.mean_stars(votes).tolist() == [5.5, 3.25]


def test_lists_place_images_and_say_what_they_leave_open(tmp_path):
    lists = {"train": "953619.jpg 1\n7.jpg 0\n", "val": "953958.jpg 0\n"}
    labels = read(write(tmp_path, **lists))
    assert labels.image_split.tolist() == ["train", "test"]
    assert labels.notes == (
        "1 of 2 train images have no votes",
        "1 images in no list left out: 954184.jpg",
    )


def test_a_label_that_the_votes_contradict_is_named(tmp_path):
    root = write(tmp_path, train="953619.jpg 0\n954184.jpg 1", val="953958.jpg 0")
    with pytest.raises(
        DataError, match=r"train.txt: 1 wrong row\n  line 1: 953619.jpg "
    ):
        read(root)


def test_an_image_in_both_lists_and_a_lonely_list_are_refused(tmp_path):
    root = write(tmp_path, train="953619.jpg 1\n", val="953619.jpg 1\n")
    with pytest.raises(
        DataError, match=r"in two splits: 953619.jpg \(train and test\)"
    ):
        read(root)
    (root / ava.LISTS["test"]).unlink()
    with pytest.raises(DataError, match=r"val\.txt: No such file"):
        read(root)


def test_without_lists_a_seed_draws_eight_percent(tmp_path):
    row = "{0} {0} 1 1 1 1 1 1 1 1 1 1 0 0 1\n"
    root = write(tmp_path, "".join(row.format(n) for n in range(1, 101)))
    first, other = read(root), read(root, seed=1)
    assert (first.image_split == "test").sum() == 8
    assert (read(root).image_split == first.image_split).all()
    assert (other.image_split != first.image_split).any()


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ("4 5 0 0 0 0 0 0 0 0 0 0 1 1 1", "image 5 has no votes"),
        ("4 5 0 0 0 0 0 1 0 0 0 0 67 1 1", "tag 67; expected 0 to 66"),
        ("4 953619 0 0 0 0 0 1 0 0 0 0 6 1 1", "image 953619 stands in line 1 too"),
        ("4 5 0 0 0 0 0 1 0 0 0 0 6 1", "14 values; expected 15"),
        ("4 5 0 0 0 0 0 1.5 0 0 0 0 6 1 1", "'1.5'; expected whole numbers"),
        ("4 5 0 0 0 0 0 -1 0 0 0 0 6 1 1", "'-1'; expected whole numbers"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, finding):
    root = write(tmp_path)
    (root / ava.VOTES).write_text(ROWS + "\n" + row + "\n")
    with pytest.raises(DataError, match=f"line 5: {finding}"):
        read(root)


@pytest.mark.data
def test_the_real_file_reads_fast_and_its_means_are_right(data_root):
    path = data_root / "ava" / ava.VOTES
    start = time.process_time()
    rows = ava.read_votes(path)
    assert time.process_time() - start < 1
    assert len(rows) == len(set(rows[:, 1].tolist())) == 25_551
    votes = rows[:, 2:12]
    means = ava.mean_stars(votes)
    squares = votes @ np.arange(1, 11) ** 2 / votes.sum(axis=1)
    # Independently, and for every row: each vote written out.
    counts = np.array(
        [line.split()[2:12] for line in path.read_text().splitlines()], int
    )
    one_by_one = np.repeat(np.tile(np.arange(1.0, 11), len(counts)), counts.ravel())
    ends = np.cumsum(counts.sum(axis=1))
    ballots = np.split(one_by_one, ends[:-1])
    np.testing.assert_allclose(means, [x.mean() for x in ballots])
    deviations = np.sqrt(squares - means**2)
    np.testing.assert_allclose(deviations, [x.std() for x in ballots])
    assert (votes.sum(axis=1).min(), votes.sum(axis=1).max()) == (80, 549)
    assert means.mean() == pytest.approx(5.3820, abs=1e-4)
    assert set(np.unique(rows[:, 12:14])) <= set(range(67))
    assert len(np.unique(rows[:, 14])) == 1_397


@pytest.mark.data
def test_the_real_lists_cover_the_real_rows(data_root, tmp_path):
    for name in (ava.VOTES, *ava.LISTS.values()):
        (tmp_path / name).symlink_to(data_root / "ava" / name)
    split = ava.read_lists(tmp_path)
    assert sum(of == "train" for of in split.values()) == 235_529
    assert sum(of == "test" for of in split.values()) == 20_000
    rows = ava.read_votes(tmp_path / ava.VOTES)
    names = [f"{number}.jpg" for number in rows[:, 1]]
    ava.check_list_labels(tmp_path, names, rows[:, 2:12])  # 1: a mean above 5
    placed, notes = ava._placed(names, split, 0)
    assert sum(of == "train" for of in placed.values()) == 23_534
    assert sum(of == "test" for of in placed.values()) == 2_017
    assert notes == (
        "211995 of 235529 train images have no votes",
        "17983 of 20000 test images have no votes",
    )
