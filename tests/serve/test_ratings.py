"""ratings.csv is read for one person, and written so that it reads back."""

import pytest

from jiaa.data import DataError
from jiaa.data.folder import read_ratings
from jiaa.serve.ratings import read_rated, write_ratings


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "sub/b.jpg", "c, d.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def test_what_is_written_reads_back_in_order(folder, tmp_path):
    stars = {"sub/b.jpg": 5.0, "a.jpg": 1.0, "c, d.jpg": 2.5}
    write_ratings(tmp_path / "r.csv", stars)
    found = read_rated(tmp_path / "r.csv", folder)
    assert dict(zip(found.names, found.stars, strict=True)) == stars
    assert found.names == tuple(stars)
    assert found.paths[0] == folder / "sub" / "b.jpg"
    assert read_ratings(tmp_path / "r.csv", scale=(1, 5)).stars.tolist() == [5, 1, 2.5]


def test_photographs_that_are_gone_are_left_out(folder, tmp_path):
    write_ratings(tmp_path / "r.csv", {"gone.jpg": 5.0, "a.jpg": 1.0})
    assert read_rated(tmp_path / "r.csv", folder).names == ("a.jpg",)
    with pytest.raises(DataError, match=r"1 of 2 images have no file"):
        read_rated(tmp_path / "r.csv", folder, max_missing=0)


def test_one_of_several_people_is_read(folder, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("worker,image,score\nann,a.jpg,5\nbob,a.jpg,2\n")
    assert read_rated(path, folder, worker="bob").stars == (2,)
    with pytest.raises(DataError, match=r"2 people: ann, bob; say whose"):
        read_rated(path, folder)
    with pytest.raises(DataError, match="no worker 'eve', only ann, bob"):
        read_rated(path, folder, worker="eve")
