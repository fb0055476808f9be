"""From a review's words to a rating: types, cleaning, levels, agreement with votes."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from jiaa.data import DataError, reviews
from jiaa.data.reviews import Kind, lexicon, pccd, statistics, vocabulary
from jiaa.data.reviews.lexicon import Lexicon
from jiaa.evaluate.collaborative import auc

PHOTO = lexicon.photographic()


# The paper's own examples of the four types (Sec. 4.1).
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The color is wonderful and the composition is great!", Kind.RULES),
        ("I like this photo!", Kind.FEELING),
        ("How handsome the boy is!", Kind.AMBIGUOUS),
        ("Do you live in the steeple?", Kind.EQUIVOCAL),
    ],
)
def test_the_papers_examples_have_the_papers_types(text, kind):
    (sentence,) = reviews.read_sentences(text, lexicon=PHOTO)
    assert sentence.kind is kind


def test_cleaning_rewrites_feelings_and_drops_what_says_nothing():
    text = "The light is great! I like this photo! How handsome the boy is! Who knows?"
    sentences = reviews.read_sentences(text, lexicon=PHOTO)
    assert reviews.clean(sentences) == "The light is great. The photo is good."
    _, opinion, _ = reviews.rate(text, lexicon=PHOTO)
    kept = sentences[0].opinion + sentences[1].opinion
    assert opinion == kept  # the boy's looks are no part of it


def test_negation_turns_praise_into_blame_and_softens_it_back():
    words = Lexicon({"good": 2.0, "bad": -2.0})
    assert words.opinion(["good"]).positive == 1.0
    assert words.opinion(["not", "good"]).negative == 1.0
    assert words.opinion(["not", "bad"]).positive == 0.5
    reach = ["not", "a", "b", "c", "good"]
    assert words.opinion(reach).positive == 1.0  # four words on, no more


def test_a_phrase_that_ends_in_a_negation_negates():
    words = Lexicon({"is not": -0.5, "good": 2.0})
    assert words.opinion("this is not good".split()).positive == 0.0


def test_a_wish_is_no_praise():
    words = Lexicon({"better": 2.0})
    assert words.opinion("it would be better".split()).negative == 0.5
    plain = dataclasses.replace(words, wishes=False)
    assert plain.opinion("it would be better".split()).positive == 1.0


def test_a_phrase_stands_before_its_words():
    words = Lexicon({"out of focus": -2.0, "focus": 2.0})
    assert words.opinion("all out of focus".split()).positive == 0.0


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
    nothing = reviews.rate_reviews(["Where was this?", ""], progress=False)
    assert nothing.level.tolist() == [0, 0]
    assert np.isnan(nothing.stars).all()
    assert nothing.text == ("", "")


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


def test_a_vocabulary_ignores_order_and_knows_its_rare_words():
    texts = ["Light, light and shade", "The light"]
    words = vocabulary.build_vocabulary(texts, size=2, min_count=1)
    assert words == vocabulary.build_vocabulary(texts[::-1], size=2, min_count=1)
    assert words.words == ("light", "and")  # of once-seen words the first by alphabet
    numbers, counts = words.encode(["light the and shade", ""], length=3)
    assert numbers.tolist() == [[2, 1, 3], [0, 0, 0]]
    assert counts.tolist() == [3, 0]
    assert len(words) == 4


def test_words_beside_verdicts_are_the_corpus_own():
    texts = ["The composition is great.", "Poor composition.", "We went by train."] * 9
    found = vocabulary.aesthetic_words(texts, lexicon=PHOTO, min_count=5)
    assert found[0] == "composition"
    assert "great" not in found


def test_statistics_by_hand():
    user, image = np.array([0, 0, 1, 1, 1]), np.array([4, 4, 4, 5, 6])
    whole = statistics.review_statistics(user, image)
    assert (whole.images, whole.users, whole.reviews) == (3, 2, 5)
    assert whole.reviews_per_image == pytest.approx(5 / 3)
    assert whole.users_per_image == pytest.approx(4 / 3)
    assert (whole.reviews_of_an_image, whole.users_of_an_image) == ((1, 3), (1, 2))
    tags = np.zeros((7, 2), int)
    tags[5], tags[6] = (9, 3), (3, 0)
    by_tag = statistics.statistics_by_tag(user, image, tags, most=2)
    assert {tag: x.images for tag, x in by_tag.items()} == {3: 2, 9: 1, 0: 3}
    shares = statistics.level_shares(image, np.array([5, 0, 1, 2, 2]), of=4)
    assert shares.tolist() == [0.5, 0, 0, 0, 0.5]


@pytest.mark.data
def test_levels_separate_what_critics_scored_high_and_low(data_root):
    """The half of the critics on which nothing was chosen."""
    found = pccd.read_critiques(data_root / "pccd")
    test = ~found.chosen_on
    texts = [text for text, kept in zip(found.text, test, strict=True) if kept]
    scores = found.overall[test]
    ours = reviews.rate_reviews(texts, workers=1, progress=False)
    plain = np.array([lexicon.analyser().polarity_scores(x)["compound"] for x in texts])
    assert auc(ours.level.astype(float), scores > 8) > 0.72
    assert auc(ours.level.astype(float), scores > 8) > auc(plain, scores > 8) + 0.1
    assert spearmanr(ours.level, scores)[0] > 0.5


def test_damaged_critiques_are_all_named(tmp_path):
    good = {"critic": "a", "overall": 8, "comments": {"focus": "sharp"}}
    lines = [json.dumps(good), "{", json.dumps({**good, "overall": "high"})]
    (tmp_path / pccd.CRITIQUES).write_text("\n".join(lines))
    with pytest.raises(DataError) as raised:
        pccd.read_critiques(tmp_path)
    assert len(raised.value.faults) == 2
