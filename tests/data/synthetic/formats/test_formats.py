"""The world in the raw formats of the real datasets: same seed, same bytes."""

import json

import numpy as np
import pytest
from data.builders import raw

from jiaa.data.builders import BUILDERS, ava, psycho_flickr, real_cur
from jiaa.data.synthetic import formats, photographs, raters
from jiaa.data.synthetic.formats import ava as ava_format
from jiaa.data.synthetic.formats.files import check_suffix


def test_every_builder_has_a_raw_format():
    assert set(formats.FORMATS) == set(BUILDERS)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_same_seed_writes_the_same_files(name, raw_root, tmp_path):
    first = raw.snapshot(raw_root(name))
    assert raw.snapshot(raw.write(name, tmp_path / "again")) == first
    assert raw.snapshot(raw.write(name, tmp_path / "other", seed=2)) != first


def test_votes_follow_what_all_raters_share():
    facts = photographs.draw_facts(400, seed=3, group="crowd")
    votes = ava_format.draw_votes(facts, voters=200, seed=3)
    assert 100 <= votes.sum(axis=1).min() <= votes.sum(axis=1).max() <= 200
    means = ava.mean_stars(votes)
    assert np.corrcoef(means, raters.common_taste(facts))[0, 1] > 0.85
    assert means.mean() == pytest.approx(5.4, abs=0.3)


def test_label_rows_can_exceed_photographs(tmp_path):
    formats.FORMATS["ava"](tmp_path, images=3, rows=50, voters=10, image_size=16)
    assert len(ava.read_votes(tmp_path / "AVA.txt")) == 50
    assert len(list((tmp_path / "images").iterdir())) == 3
    labels = ava.Ava.read_raw(tmp_path, max_missing=47).labels
    assert len(labels.image_ids) == 3
    assert len(labels.missing) == 47


def test_albums_have_the_sizes_of_real_cur(tmp_path, monkeypatch):
    def blank(facts, **_):
        return np.zeros((len(facts), 8, 8, 3), np.uint8)

    monkeypatch.setattr(photographs, "photograph", blank)
    labels = real_cur.RealCur.read_raw(formats.FORMATS["real_cur"](tmp_path)).labels
    users, counts = np.unique(labels.responses["worker"], return_counts=True)
    assert len(users) == 14
    assert 190 <= counts.min() <= counts.max() <= 225
    assert counts.mean() == 205


def test_favourites_tell_their_likers_taste(raw_root):
    root = raw_root("psycho_flickr")
    traits = psycho_flickr.read_traits(root / psycho_flickr.USERS)
    people = raters.draw_raters(20, seed=1, group="liker")
    expected = np.rint(4 * people.traits) / 4
    np.testing.assert_array_equal(list(traits.values()), expected)
    facts = photographs.draw_facts(60, seed=1, group="liker")
    liking = raters.taste(people, facts)
    names = raters.image_names(facts, ".jpg")
    gains = []
    for user, name in enumerate(traits):
        liked = {path.name for path in (root / "images" / name).iterdir()}
        own = np.isin(names, list(liked))
        gains.append(liking[user, own].mean() - liking[user].mean())
    assert np.mean(gains) > 0.2


def test_reviews_say_what_their_stars_say(raw_root):
    lines = (raw_root("ava_reviews") / "reviews.jsonl").read_text().splitlines()
    reviews = [json.loads(line) for line in lines]
    for review in reviews:
        praise = any(word in review["review"] for word in ("great", "beauti", "strong"))
        assert praise == (review["score"] >= 3)
    assert len({(review["image"], review["user"]) for review in reviews}) == len(lines)


def test_an_unknown_suffix_is_refused():
    with pytest.raises(ValueError, match=r"suffix='\.bmp' must be one of"):
        check_suffix(".bmp")
