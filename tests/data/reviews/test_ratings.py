"""Levels from words, and their agreement with votes and with real critics' scores."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jiaa.data import DataError, reviews
from jiaa.data.reviews import lexicon, pccd
from jiaa.evaluate.collaborative import auc


def test_levels_rise_with_praise_and_the_lower_two_are_bad():
    texts = [
        "The focus is poor and the light is terrible.",
        "The light is too dull but the color is wonderful.",
        "Nice light.",
        "The color is wonderful, the composition is great, excellent focus!",
    ]
    rated = reviews.rate_reviews(texts, workers=1, progress=False)
    assert (np.diff(rated.balance) > 0).all()
    assert rated.level[0] == 1
    assert rated.level[-1] == 5
    assert (rated.good == (rated.level >= 3)).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\x00",
        "the and of",
        "xyzzy qwerty",
        "\U0001f600\U0001f44d",
        "Where was this?",
        "(" * 100_000,
    ],
    ids=["empty", "blank", "stop words", "unknown", "emoji", "question", "signs"],
)
def test_what_says_nothing_has_no_level(text):
    rated = reviews.rate_reviews([text], workers=1, progress=False)
    assert rated.level.tolist() == [0]
    assert np.isnan(rated.stars).all()
    assert rated.text == ("",)


def test_a_review_of_100_000_characters_has_a_level():
    text = "The light is great. The focus is poor. " * 2_600
    rated = reviews.rate_reviews([text], workers=1, progress=False)
    assert rated.level[0] > 0
    assert np.isfinite(rated.balance).all()
    words = reviews.aesthetic_words(
        ["great light " * 4_000], lexicon=lexicon.photographic()
    )
    assert words == ["light"]  # one sentence of 8,000 words


def test_workers_change_nothing_and_order_stays(monkeypatch):
    monkeypatch.setattr("jiaa.data.reviews.ratings._CHUNK", 2)
    texts = ["Great light!", "Poor focus.", "Nice.", "Why?", "A dull photo."]
    one = reviews.rate_reviews(texts, workers=1, progress=False)
    two = reviews.rate_reviews(texts, workers=2, progress=False)
    assert one.text == two.text
    np.testing.assert_array_equal(one.level, two.level)


def test_an_unknown_lexicon_is_refused():
    with pytest.raises(DataError, match="one of photographic, plain"):
        reviews.rate_reviews([], lexicon="french", progress=False)


def test_consistency_is_equation_7_by_hand():
    image = np.array([0, 0, 0, 1, 1, 3])
    good = np.array([True, True, False, False, False, True])
    crowd = np.array([True, False, True, False])  # image 2 has no review
    assert reviews.consistency(image, good, crowd) == pytest.approx((2 / 3 + 1 + 0) / 3)
    with pytest.raises(DataError, match="no reviews"):
        reviews.consistency(image[:0], good[:0], crowd)


@pytest.mark.data
def test_levels_separate_what_critics_scored_high_and_low(data_root):
    """The half of the critics on which nothing was chosen."""
    found = pccd.read_critiques(data_root / "pccd")
    test = ~found.chosen_on
    texts = [text for text, kept in zip(found.text, test, strict=True) if kept]
    scores = found.overall[test]
    ours = reviews.rate_reviews(texts, workers=1, progress=False)
    assert auc(ours.level.astype(float), scores > 8) > 0.72
    assert spearmanr(ours.level, scores)[0] > 0.5
