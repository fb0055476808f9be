"""FLICKR-AES: the published counts, and who is a test worker."""

import numpy as np
import pytest

from jiaa.data.builders import flickr_aes
from jiaa.data.quality import weighted_means
from jiaa.data.synthetic import flickr_aes_view
from jiaa.data.synthetic.formats.flickr_aes import write_view
from jiaa.data.table import DataError


@pytest.mark.data
def test_listed_test_workers_are_the_37_of_the_paper(data_root):
    path = data_root / "flickr_aes" / flickr_aes.TEST_WORKERS
    workers = flickr_aes.read_names(path)
    assert len(set(workers)) == 37
    assert workers[:2] == ("AGXT2OHMTWBRS", "AHPUVVEDSDA5F")


def test_the_official_numbers_of_workers_come_back(tmp_path):
    view = flickr_aes_view(seed=0, train_images=400, render=False)
    size = len(view.image_names)
    pixels = np.zeros((size, 8, 8, 3), np.uint8)
    object.__setattr__(view, "images", pixels)
    labels = flickr_aes.FlickrAes.read_raw(write_view(view, tmp_path)).labels
    test = labels.responses["test_worker"]
    users = labels.responses["worker"]
    assert len(set(users[test].tolist())) == 37
    assert len(set(users[~test].tolist())) == 173
    assert not set(users[test].tolist()) & set(users[~test].tolist())
    assert (labels.image_split == "train").sum() == 400
    counts = np.unique(users[test], return_counts=True)[1]
    assert 105 <= counts.min() <= counts.max() <= 171


def test_the_weighted_score_is_the_published_one_where_gold_is_known(raw_root):
    labels = flickr_aes.FlickrAes.read_raw(raw_root("flickr_aes")).labels
    columns, responses = labels.columns, labels.responses
    np.testing.assert_allclose(
        columns["weighted_score"], columns["published_score"], atol=1e-6
    )
    quality = responses["worker_quality"]
    assert 0 <= quality.min() <= quality.max() <= 1
    by_hand = weighted_means(
        responses["stars"] / 5,
        responses["image"],
        quality,
        images=len(labels.image_ids),
    )
    np.testing.assert_allclose(columns["weighted_score"], by_hand, rtol=1e-6)


def test_a_wrong_list_of_names_is_told_line_by_line(tmp_path):
    path = tmp_path / "names"
    path.write_text("A1\n\nA2 B\nA1\n")
    with pytest.raises(DataError, match="line 3: 'A2 B': expected one name") as told:
        flickr_aes.read_names(path)
    assert "line 4: 'A1' stands in line 1 too" in str(told.value)


def test_wrong_gold_is_told(tmp_path):
    path = tmp_path / flickr_aes.GOLD
    path.write_text("worker,image,score,true_score\nann,g.jpg,4,5\nann,h.jpg,4,9\n")
    with pytest.raises(DataError, match="line 3: true_score '9'; expected 1 to 5"):
        flickr_aes.read_quality(path)
    path.write_text("worker,image,score,true_score\nann,g.jpg,4,5\nbob,g.jpg,3,5\n")
    assert flickr_aes.read_quality(path) == {"ann": 1.0, "bob": 0.5}
