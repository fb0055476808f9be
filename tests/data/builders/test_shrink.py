"""Small photographs: proportions, orientation, faults, and what a second run skips."""

import io

import numpy as np
import pytest
from PIL import Image

from jiaa.data import images
from jiaa.data.builders import shrink


def photograph(path, width, height, **options):
    """A smooth picture, which JPEG keeps almost as it is."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([255 * x / width, 255 * y / height, 0 * x + 80], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


def size_of(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return image.size


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(600, 400, (96, 64)), (400, 600, (64, 96)), (64, 900, (64, 900)), (40, 30, None)],
)
def test_the_short_side_shrinks_and_proportions_stay(tmp_path, width, height, expected):
    path = photograph(tmp_path / "a.png", width, height)
    assert size_of(shrink.shrink(path, short_side=64)) == (expected or (width, height))


def test_a_shrunk_photograph_looks_like_the_resized_original(tmp_path):
    path = photograph(tmp_path / "a.jpg", 600, 400, quality=95)
    small = images.decode(shrink.shrink(path, short_side=64)).astype(int)
    expected = images.resize_host(images.decode(path), (64, 96)).astype(int)
    assert abs(small - expected).max() <= 6


def test_a_small_upright_jpeg_keeps_its_bytes(tmp_path):
    path = photograph(tmp_path / "a.jpg", 90, 60)
    assert shrink.shrink(path, short_side=64) == path.read_bytes()


def test_a_turned_photograph_is_stored_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    path = photograph(tmp_path / "a.jpg", 90, 60, exif=exif)
    jpeg = shrink.shrink(path, short_side=64)
    assert size_of(jpeg) == (60, 90)
    np.testing.assert_allclose(
        images.decode(jpeg).astype(int), images.decode(path).astype(int), atol=8
    )


def pack(paths, folder, **options):
    options = {"short_side": 16, "workers": 1, "progress": False} | options
    return shrink.shrink_all(paths, folder=folder, **options)


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(shrink, "PACK", 4)
    (tmp_path / "raw").mkdir()
    paths = [photograph(tmp_path / "raw" / f"{n}.png", 20 + n, 20) for n in range(10)]
    paths[5].write_bytes(paths[5].read_bytes()[:40])
    paths[8].write_bytes(b"")
    return paths


def test_unreadable_photographs_are_faults_with_their_reason(paths, tmp_path):
    packs = pack(paths, tmp_path / "work")
    found = dict(packs)
    assert sorted(found) == [0, 1, 2, 3, 4, 6, 7, 9]
    assert [size_of(found[n])[0] for n in (0, 9)] == [16, 23], "29 x 20 to 23 x 16"
    assert sorted(packs.faults) == [5, 8]
    assert "5.png: not readable as an image" in packs.faults[5]
    assert "8.png: an empty file (0 bytes)" in packs.faults[8]


def test_a_second_run_decodes_nothing_but_what_changed(paths, tmp_path, monkeypatch):
    first = pack(paths, tmp_path / "work")
    decoded = []
    real = shrink.shrink

    def spy(path, *, short_side):
        decoded.append(path.name)
        return real(path, short_side=short_side)

    monkeypatch.setattr(shrink, "shrink", spy)
    again = pack(paths, tmp_path / "work")
    assert decoded == [f"{n}.png" for n in range(4, 10)], "faulty packs: once more"
    decoded.clear()
    assert list(again) == list(first)
    assert again.faults == first.faults
    photograph(paths[5], 33, 20)
    repaired = pack(paths, tmp_path / "work")
    assert sorted(repaired.faults) == [8]
    decoded.clear()
    photograph(paths[8], 20, 20)
    torn = next(x for x in repaired.files if dict(repaired)[0] in x.read_bytes())
    torn.write_bytes(torn.read_bytes()[:-30])
    assert not pack(paths, tmp_path / "work").faults
    assert decoded == ["0.png", "1.png", "2.png", "3.png", "8.png", "9.png"]
    decoded.clear()
    pack(paths, tmp_path / "work")
    assert decoded == []
    pack(paths, tmp_path / "work", short_side=17)
    assert len(decoded) == 10
