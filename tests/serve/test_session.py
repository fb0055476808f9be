"""A session keeps each rating, learns it, and takes it back as if it never was."""

import csv
import os
import threading

import numpy as np
import pytest

import jiaa
from jiaa.data import DataError
from jiaa.serve import ratings as ratings_file
from jiaa.serve import session as sessions
from jiaa.serve.album import open_album
from jiaa.serve.ratings import OwnRatings, write_ratings
from jiaa.serve.session import Session


@pytest.fixture(scope="module")
def album(tiny_world):
    return open_album(tiny_world / "images")


@pytest.fixture(scope="module")
def content(prior, album):
    return prior.encode(album.paths)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ratings.csv"


@pytest.fixture
def begin(prior, album, content, path):
    """Starts a session on the same ratings.csv."""
    return lambda **options: Session(prior, album, content, ratings=path, **options)


def rows(path):
    with path.open(newline="") as file:
        return [(row["image"], float(row["score"])) for row in csv.DictReader(file)]


def answer(session, *stars):
    for each in stars:
        session.rate(session.view()["question"]["image"], each)


def test_each_rating_is_on_the_disk_and_learned(begin, prior, content, path):
    session = begin()
    asked = [session.view()["question"]["image"]]
    answer(session, 5)
    asked.append(session.view()["question"]["image"])
    answer(session, 1)
    view = session.view()
    names = session.album.names
    assert rows(path) == [(names[asked[0]], 5), (names[asked[1]], 1)]
    assert (view["rated"], view["photos"]) == (2, len(names))
    expected = prior.adapt_encoded(content[asked], [5, 1]).score(content)
    order = np.argsort(-expected, kind="stable")[: len(view["ranking"])]
    assert [row["image"] for row in view["ranking"]] == order.tolist()
    found = [row["score"] for row in view["ranking"]]
    np.testing.assert_allclose(found, expected[order].clip(1, 5), atol=0.006)


def test_undo_is_as_if_it_had_never_been(begin, path):
    session = begin()
    answer(session, 4, 2)
    before = session.view()
    answer(session, 5)
    session.undo()
    after = session.view()
    assert rows(path)[:2] == rows(path)
    for key in ("rated", "skipped", "question", "can_undo"):
        assert after[key] == before[key], key
    names = [[row["name"] for row in view["ranking"]] for view in (before, after)]
    assert names[0] == names[1]
    session.undo()
    session.undo()
    assert not session.view()["can_undo"]
    assert rows(path) == []
    with pytest.raises(ValueError, match="nothing to undo"):
        session.undo()


def test_a_skipped_photograph_is_not_asked_until_undone(begin, path):
    session = begin()
    first = session.view()["question"]["image"]
    view = session.skip(first)
    assert view["question"]["image"] != first
    assert view["skipped"] == 1
    assert not path.exists()
    assert session.undo()["question"]["image"] == first


def test_a_session_goes_on_where_the_last_one_stopped(begin):
    session = begin()
    answer(session, 4, 2, 5)
    again = begin()
    first, second = session.view(), again.view()
    for key in ("rated", "question", "can_undo"):
        assert first[key] == second[key], key
    assert [row["score"] for row in first["ranking"]] == [
        row["score"] for row in second["ranking"]
    ]


def test_ratings_of_photographs_elsewhere_are_kept(begin, path):
    write_ratings(path, {"elsewhere.jpg": 3.0})
    session = begin()
    answer(session, 4)
    assert rows(path)[0] == ("elsewhere.jpg", 3)
    assert session.view()["rated"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker,image,score\nann,a.jpg,3\n", "has a column `worker`"),
        ("image,score,why\na.jpg,3,its light\n", "has a column `why`"),
        ("notes\n", "column"),
    ],
)
def test_what_the_page_would_not_write_again_is_not_written_over(
    begin, path, text, said
):
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        begin()
    assert path.read_text() == text


def test_ratings_come_back_with_all_their_digits(path):
    write_ratings(path, {"a.jpg": 3.1234567})
    OwnRatings(path, scale=(1, 5)).give("b.jpg", 4.0)
    assert rows(path) == [("a.jpg", 3.1234567), ("b.jpg", 4)]


@pytest.mark.parametrize("text", ["", "\ufeffImage, Score\r\n"])
def test_a_file_without_ratings_is_begun(path, text):
    path.write_text(text, encoding="utf-8")
    assert OwnRatings(path, scale=(1, 5)).stars == {}


def test_a_rating_that_cannot_be_written_is_not_learned(begin, monkeypatch):
    session = begin()
    answer(session, 4)
    before = session.view()

    def full(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(ratings_file, "write_ratings", full)
    with pytest.raises(OSError, match="No space"):
        answer(session, 5)
    assert session.view() == before


def test_what_another_program_wrote_is_not_written_over(begin, path):
    session = begin()
    answer(session, 4)
    write_ratings(path, {"mine.jpg": 2.0})
    before = session.view()
    for change in (lambda: answer(session, 5), session.undo):
        with pytest.raises(OSError, match=r"another program .* reads them"):
            change()
    assert rows(path) == [("mine.jpg", 2)]
    assert session.view() == before


def test_two_tabs_at_once_lose_nothing(begin, path):
    session = begin()
    count = len(session.album)
    threads = [
        threading.Thread(target=session.rate, args=(image, 1 + image % 5))
        for image in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = session.album.names
    assert dict(rows(path)) == {names[i]: 1 + i % 5 for i in range(count)}
    assert session.view()["rated"] == count
    assert session.view()["question"] is None


@pytest.mark.parametrize("skips", [0, 1])
def test_undo_goes_back_further_than_what_is_kept_at_hand(begin, monkeypatch, skips):
    monkeypatch.setattr(sessions, "UNDONE", 1)
    session, views = begin(), []
    for stars in (4, 2, 5):
        views.append(session.view())
        for _ in range(skips):
            session.skip(session.view()["question"]["image"])
        answer(session, stars)
    for view in reversed(views):
        for _ in range(1 + skips):
            session.undo()
        assert session.view()["question"] == view["question"]


def test_a_method_that_diverges_keeps_the_rating_and_the_ranking(begin, path):
    session = begin()
    answer(session, 4)
    before = session.view()["ranking"]
    true, room = session._program

    def diverged(*arguments):
        adapted, unit = true(*arguments)
        return adapted, unit * np.nan

    session._program = diverged, room
    with pytest.raises(FloatingPointError, match=r"2 ratings .* --method ridge"):
        answer(session, 5)
    assert len(rows(path)) == 2
    after = session.view()["ranking"]
    assert [x["score"] for x in after] == [x["score"] for x in before]


@pytest.mark.parametrize(("image", "stars"), [(-1, 3), (10**6, 3), (0, 0), (0, 6)])
def test_wrong_ratings_are_refused(begin, image, stars, path):
    session = begin()
    with pytest.raises(ValueError, match="expected"):
        session.rate(image, float(stars))
    assert not path.exists()


def test_the_programs_room_grows_beside_the_work(begin, monkeypatch):
    monkeypatch.setattr(sessions, "ROOM", 8)
    session = begin()
    answer(session, *[1, 2, 3, 4, 5] * 2)
    assert session.view()["rated"] == 10
    assert session._program[1] == 16
    assert threading.active_count() < 8


def test_all_photographs_may_be_answered(begin):
    session = begin()
    for image in range(1, len(session.album)):
        session.skip(image)
    assert session.view()["question"]["image"] == 0
    assert session.rate(0, 3)["question"] is None


def test_the_taste_is_kept_as_well(begin, finished_run, content, tmp_path):
    session = begin(taste=tmp_path / "me.safetensors")
    answer(session, 4, 2)
    mine = jiaa.load(finished_run, user=tmp_path / "me.safetensors")
    assert mine.ratings == 2
    ranking = session.view()["ranking"]
    scores = mine.score(content)[[row["image"] for row in ranking]].clip(1, 5)
    np.testing.assert_allclose([row["score"] for row in ranking], scores, atol=0.006)


def test_a_link_out_of_the_folder_is_no_photograph_of_it(tmp_path, photos):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "own.png").write_bytes(photos[0].read_bytes())
    (tmp_path / "secret.png").write_bytes(photos[1].read_bytes())
    os.symlink(tmp_path / "secret.png", tmp_path / "album" / "link.png")
    os.symlink(tmp_path / "album" / "own.png", tmp_path / "album" / "alias.png")
    assert open_album(tmp_path / "album").names == ("alias.png", "own.png")


@pytest.mark.parametrize(
    "name", [b" a.png", b"a\r.png", b"\xff.png", b"a\\b.png", b"c:a.png"]
)
def test_names_that_no_ratings_file_gives_back_are_passed_over(
    name, tmp_path, photos, caplog
):
    data = photos[0].read_bytes()
    odd = [b"a,b.png", b'"a".png', b"a\nb.png", b"#a.png", b"=1.png", "ä.png".encode()]
    for one in (name, *odd):
        with open(os.path.join(os.fsencode(tmp_path), one), "wb") as file:
            file.write(data)
    names = open_album(tmp_path).names
    assert len(names) == len(odd)
    assert "1 photographs passed over" in caplog.text
    write_ratings(tmp_path / "r.csv", dict.fromkeys(names, 3.0))
    assert tuple(OwnRatings(tmp_path / "r.csv", scale=(1, 5)).stars) == names


def test_of_a_large_folder_some_are_drawn(tiny_world):
    some = open_album(tiny_world / "images", most=5)
    assert len(some) == 5
    assert some.names == open_album(tiny_world / "images", most=5).names
    assert list(some.names) == sorted(some.names)
