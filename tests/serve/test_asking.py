"""Every strategy of the active learners can ask in `jiaa rate`."""

import jax
import numpy as np
import pytest

from jiaa.personalize.active import Asker, LiveRater
from jiaa.serve.album import open_album
from jiaa.serve.asking import DESIGN, make_asker
from jiaa.serve.session import Session


@pytest.mark.parametrize("strategy", ["active_pam", "random", DESIGN])
def test_a_strategy_asks_what_is_open(prior, content, strategy):
    asker = make_asker(strategy, prior, content)
    assert isinstance(asker, Asker)
    state = asker.begin(key=jax.random.key(0))
    for image in (3, 5):
        state = asker.tell(state, image, 4.0)
    left = set(range(len(content))) - {3, 5, 1}
    assert set(np.asarray(asker.next_images(state, 2, without=[1])).tolist()) < left
    none = asker.next_images(state, 1, without=range(len(content)))
    assert len(none) == 0


def test_a_session_with_another_strategy(prior, content, tiny_world, tmp_path):
    album = open_album(tiny_world / "images")
    asker = make_asker("random", prior, content)
    assert isinstance(asker, LiveRater)
    path = tmp_path / "ratings.csv"
    session = Session(prior, album, content, ratings=path, asker=asker)
    first = session.view()["question"]["image"]
    view = session.rate(first, 4)
    assert view["question"]["image"] != first
    assert 0 <= view["question"]["share"] <= 1
    assert not view["question"]["designed"]
    assert session.undo()["question"]["image"] == first


def test_an_unknown_strategy_is_named(prior, content):
    with pytest.raises(ValueError, match=r"unknown strategy 'x'; known: .*active_pam"):
        make_asker("x", prior, content)
