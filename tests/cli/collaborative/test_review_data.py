"""Table 1, Fig. 2 and eq. 7 of a generated world's reviews."""

import pytest

from configs.cfan import oasis, synthetic_reviews
from jiaa.cli.collaborative import describe, review_data
from jiaa.cli.options import ConfigError
from jiaa.report import figures


def test_reviews_are_described(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save", lambda _, path: drawn.append(path.name))
    config = synthetic_reviews.get_config()
    config.data.cache_dir = str(tmp_path)
    config.world.update({"images": 5, "users": 4, "image_size": 16})
    text = describe(config, tmp_path, progress=False).read_text()
    assert "| images |" in text
    assert "overall" in text
    assert "Consistency with the votes (eq. 7): 0." in text
    assert len(drawn) == 2
    assert all(f"({name})" in text for name in drawn)
    # Of a corpus that rates one photograph, one is shown.
    labels = review_data.open_source(
        "ava_reviews", review_data.write_world(config, "ava_reviews"), progress=False
    ).labels
    said = labels.responses
    rated = review_data.reviews.rate_reviews(
        [
            x if i == 2 else "?"
            for i, x in zip(said["image"], said["review"], strict=True)
        ],
        progress=False,
    )
    assert len(review_data._levels(labels, rated, tmp_path)) == 1


def test_a_dataset_without_reviews_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'oasis' has no reviews"):
        describe(oasis.get_config(), tmp_path)
