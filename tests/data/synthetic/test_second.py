"""Likes follow taste, which follows traits; votes follow what raters share."""

import numpy as np
import pytest
import scipy.stats

from jiaa.data.synthetic import photographs, raters
from jiaa.data.synthetic.second import liked_view, voted_view


def test_people_like_what_suits_their_traits():
    sizes = {"users": 40, "images": 200, "shown": 60, "likes": 6}
    view = liked_view(seed=0, image_size=16, **sizes)
    assert view.store.images.shape == (200, 16, 16, 3)
    assert np.abs(view.traits).max() <= 1
    np.testing.assert_array_equal(np.bincount(view.user), 6)
    pairs = view.user * 200 + view.image
    assert len(np.unique(pairs)) == len(pairs)
    facts = photographs.draw_facts(200, seed=0, group="liker")
    people = raters.draw_raters(40, seed=0, group="liker")
    liking = raters.taste(people, facts)
    assert liking[view.user, view.image].mean() > liking.mean() + 1
    again = liked_view(seed=0, image_size=16, **sizes)
    np.testing.assert_array_equal(again.image, view.image)
    with pytest.raises(ValueError, match="likes=9 of shown=8"):
        liked_view(seed=0, likes=9, shown=8)


def test_a_crowds_mean_vote_is_what_raters_share():
    counts, store = voted_view(seed=0, images=60, voters=50, image_size=16)
    assert store.images.shape == (60, 16, 16, 3)
    # As AVA's photographs, each is judged by half of the crowd or more.
    assert 25 <= counts.sum(axis=1).min() <= counts.sum(axis=1).max() <= 50
    mean = counts @ np.arange(1, 11) / counts.sum(axis=1)
    facts = photographs.draw_facts(60, seed=0, group="crowd")
    assert scipy.stats.spearmanr(mean, raters.common_taste(facts))[0] > 0.9
