"""A written world reads back bit for bit."""

import csv

import numpy as np
import pytest
from PIL import Image

from jiaa.data import folder, synthetic
from jiaa.data.synthetic import ATTRIBUTES, CONTENTS


@pytest.fixture(scope="module")
def view():
    return synthetic.flickr_aes_view(
        seed=2,
        image_size=16,
        train_users=5,
        test_users=1,
        train_images=8,
        test_ratings=(4, 4),
        gold_images=2,
        workers=1,
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_png_folder_reads_back_bit_for_bit(view, tmp_path):
    root = synthetic.write_folder(view, tmp_path / "world")
    for name, pixels in zip(view.image_names, view.images, strict=True):
        with Image.open(root / "images" / name) as image:
            np.testing.assert_array_equal(np.asarray(image), pixels)
    ratings = rows(root / "ratings.csv")
    assert [row["worker"] for row in ratings] == view.ratings.worker.tolist()
    assert [row["image"] for row in ratings] == view.ratings.image.tolist()
    assert [float(row["score"]) for row in ratings] == view.ratings.stars.tolist()


def test_images_table_holds_split_content_and_attributes(view, tmp_path):
    root = synthetic.write_folder(view, tmp_path)
    table = rows(root / "images.csv")
    assert {row["image"]: row["split"] for row in table} == view.image_split
    content = [CONTENTS.index(row["content"]) for row in table]
    assert content == view.truth.content.tolist()
    attributes = [[float(row[name]) for name in ATTRIBUTES] for row in table]
    np.testing.assert_allclose(attributes, view.truth.attributes, atol=1e-4)


def test_gold_images_stand_apart_with_their_known_stars(view, tmp_path):
    root = synthetic.write_folder(view, tmp_path)
    known = rows(root / "gold" / "images.csv")
    assert [float(row["true_stars"]) for row in known] == [5.0, 1.0]
    assert len(rows(root / "gold" / "ratings.csv")) == 2 * 6
    assert len(list((root / "images").iterdir())) == len(view.images)


def test_jpeg_folder_names_jpegs_and_looks_alike(view, tmp_path):
    root = synthetic.write_folder(view, tmp_path, suffix=".jpg")
    first = rows(root / "images.csv")[0]["image"]
    assert first == view.image_names[0].replace(".png", ".jpg")
    with Image.open(root / "images" / first) as image:
        gap = abs(np.asarray(image).astype(float) - view.images[0])
    assert gap.mean() < 12
    assert rows(root / "ratings.csv")[0]["image"].endswith(".jpg")


def test_written_folder_is_the_folder_dataset(view, tmp_path):
    found = folder.read_folder(synthetic.write_folder(view, tmp_path))
    assert len(found.ratings.stars) == len(view.ratings.stars)
    assert set(found.ratings.worker) == set(view.worker_split)


def test_unknown_suffix_is_refused(view, tmp_path):
    with pytest.raises(ValueError, match=r"suffix='.gif' must be one of"):
        synthetic.write_folder(view, tmp_path, suffix=".gif")
