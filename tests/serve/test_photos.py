"""Photographs are found once, decoded in order, and one broken file costs no other."""

import os

import numpy as np
import pytest
from PIL import Image

from jiaa.data.images import HAS_HEIF, ImageError, decode_resized
from jiaa.serve.photos import decode_batches, decode_photo, find_photos


def save(path, colour="red", size=(12, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "b.JPG")
    save(tmp_path / "a" / "c.png")
    save(tmp_path / "a" / "d.webp")
    save(tmp_path / ".hidden" / "e.png")
    (tmp_path / "._b.JPG").write_bytes(b"a Mac's shadow")
    (tmp_path / "notes.txt").write_text("no photograph")
    return tmp_path


def test_a_folder_stands_for_the_photographs_below_it(folder):
    found = [path.relative_to(folder).as_posix() for path in find_photos([folder])]
    assert found == ["b.JPG", "a/c.png", "a/d.webp"]


def test_a_file_is_listed_once_and_may_end_in_anything(folder):
    odd = save(folder / "photo", format="PNG")
    assert find_photos([odd, folder / "b.JPG", folder])[:2] == [odd, folder / "b.JPG"]
    assert len(find_photos([odd, folder / "b.JPG", folder])) == 4


def test_a_folder_behind_a_link_is_not_entered(folder, tmp_path_factory):
    save(tmp_path_factory.mktemp("elsewhere") / "x.png")
    os.symlink(tmp_path_factory.getbasetemp(), folder / "link")
    assert len(find_photos([folder])) == 3


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "no such file"), ("empty", "no photograph")]
)
def test_what_is_not_there_is_named(tmp_path, name, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"{name}: {said}"):
        find_photos([tmp_path / name])


def test_batches_keep_the_order_and_one_broken_file_costs_no_other(tmp_path):
    colours = ["black", "white", "gray", "red", "blue"]
    paths = [save(tmp_path / f"{x}.png", x) for x in colours]
    paths[2].write_bytes(paths[2].read_bytes()[:40])
    batches = list(decode_batches(paths, size=(4, 4), batch_size=2, workers=2))
    assert [batch.rows.tolist() for batch in batches] == [[0, 1], [3, 4]]
    (why,) = batches[1].failures.values()
    assert list(batches[1].failures) == [2]
    assert "gray.png: not readable as an image" in why
    np.testing.assert_array_equal(
        batches[1].images[1], decode_resized(paths[4], size=(4, 4))
    )


def test_files_images_and_arrays_are_the_same_photograph(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    shown = [
        decode_photo(photo, size=(8, 8))
        for photo in (tmp_path / "x.png", Image.open(tmp_path / "x.png"), noise)
    ]
    np.testing.assert_array_equal(shown[0], shown[1])
    np.testing.assert_array_equal(shown[0], shown[2])


@pytest.mark.parametrize("kind", ["file", "image"])
def test_exif_orientation_is_applied(tmp_path, kind):
    half = np.zeros((8, 16, 3), np.uint8)
    half[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(half).save(tmp_path / "x.png", exif=exif)
    path = tmp_path / "x.png"
    photo = path if kind == "file" else Image.open(path)
    shown = decode_photo(photo, size=(16, 8))
    assert shown[:8].max() == 0
    assert shown[8:].min() == 255


def test_heic_is_read_where_the_library_has_it(tmp_path):
    path = tmp_path / "x.heic"
    if not HAS_HEIF:
        path.write_bytes(b"\0\0\0\x18ftypheic")
        with pytest.raises(
            ImageError, match=r"x\.heic: .*needs the package pillow-heif"
        ):
            decode_photo(path, size=(4, 4))
        return
    Image.new("RGB", (64, 64), (200, 30, 90)).save(path)
    shown = decode_photo(path, size=(4, 4))
    np.testing.assert_allclose(shown, np.full((4, 4, 3), (200, 30, 90)), atol=4)


def test_an_array_that_is_no_photograph_is_refused():
    with pytest.raises(ValueError, match=r"float64 .*\(4, 4\).*uint8"):
        decode_photo(np.zeros((4, 4)), size=(4, 4))


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    bomb = save(tmp_path / "bomb.png", size=(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # refused at twice as many
    with pytest.raises(ImageError, match=r"bomb\.png: .*decompression bomb"):
        decode_photo(bomb, size=(8, 8))
