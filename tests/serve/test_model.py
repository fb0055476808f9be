"""A model predicts, adapts and is stored; its taste is all that a person adds."""

import jax
import numpy as np
import pytest
from experiments import glancing
from PIL import Image

import jiaa
from jiaa.data.images import ImageError
from jiaa.evaluate.replay import replay


def test_paths_images_and_arrays_have_the_same_score(prior, photos):
    opened = Image.open(photos[0])
    scores = prior.predict([photos[0], str(photos[0]), opened, np.array(opened)])
    np.testing.assert_array_equal(scores, np.repeat(scores[:1], 4))
    np.testing.assert_array_equal(prior.predict(photos[0]), scores[:1])


def test_a_folder_is_its_photographs(prior, photos, content):
    assert len({photo.parent for photo in photos}) == 1
    np.testing.assert_array_equal(prior.predict(photos[0].parent), prior.score(content))


def test_it_learns_as_the_evaluation_does(prior, mine, content, stars):
    """The measuring protocol's model of the same ten ratings has the same scores."""
    from jiaa.types import UserTasks

    unit = stars / 5
    task = UserTasks(
        np.zeros((), np.int32),
        np.arange(10, dtype=np.int32),
        unit[:10].astype(np.float32),
        np.ones(10, bool),
    )
    played = replay(
        prior.personalizer,
        prior.prior,
        task,
        prior.store(content[:10]),
        shots=9,
        key=jax.random.key(0),
    )
    rows = played.image_ids[~played.query]
    nine = prior.adapt_encoded(content[rows], stars[rows])
    expected = played.scores * 5
    np.testing.assert_allclose(nine.score(content[:10]), expected, rtol=1e-5)


def test_adapting_moves_towards_the_ratings_and_leaves_the_prior(
    prior, mine, content, stars
):
    def miss(model):
        return np.abs(model.score(content[:10]) - stars[:10]).mean()

    before = prior.score(content)
    assert miss(mine) < miss(prior)
    np.testing.assert_array_equal(prior.score(content), before)
    assert mine.ratings == 10


@pytest.mark.parametrize("scale", [(0, 10), (1, 7)])
def test_another_scale_ranks_alike_and_its_ends_meet(prior, content, stars, scale):
    low, high = scale
    other = prior.replace(scale=(float(low), float(high)))
    moved = low + (stars - 1) / 4 * (high - low)
    mine = prior.adapt_encoded(content, stars).score(content)
    theirs = other.adapt_encoded(content, moved).score(content)
    expected = low + (mine - 1) / 4 * (high - low)
    np.testing.assert_allclose(theirs, expected, rtol=1e-4)


def test_wrong_stars_are_named(prior, content):
    with pytest.raises(ValueError, match=r"photograph 1 has 6 stars; expected 1 to 5"):
        prior.adapt_encoded(content[:2], [3, 6])
    with pytest.raises(ValueError, match=r"stars of shape \(1,\) for 2 photographs"):
        prior.adapt_encoded(content[:2], [3])
    with pytest.raises(ValueError, match=r"one photograph at least"):
        prior.adapt([], [])


def test_every_broken_photograph_is_named(prior, photos, tmp_path):
    broken = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in broken:
        path.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"(?s)2 of 3 .*a\.jpg.*b\.jpg"):
        prior.predict([*broken, photos[0]])


def test_what_was_seen_before_is_not_decoded_again(prior, photos, content, tmp_path):
    cache = prior.open_cache(tmp_path)
    first = list(prior.stream(photos[:5], cache=cache, progress=False))
    again = prior.open_cache(tmp_path)
    listed = [tmp_path / "broken.jpg", *photos[:6]]
    listed[0].write_bytes(b"no image")
    batches = list(prior.stream(listed, cache=again, progress=False))
    assert [batch.rows.tolist() for batch in first] == [list(range(5))]
    # The known ones first; then the new one, and what cannot be read.
    assert [batch.rows.tolist() for batch in batches] == [[1, 2, 3, 4, 5], [6]]
    assert list(batches[1].failures) == [0]
    np.testing.assert_allclose(batches[0].content, content[:5], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("adapt.options.width=3", "no 'width'; known: shots, shares"),
        ("adapt.options.shares=(1e999,)", r"shares=\(inf,\); expected finite numbers"),
        ("trunk.frozen=False", r"trunk\.frozen=False, but here 'blend' adapts"),
        ("trunk.shapes=(1,)", r"trunk\.shapes is \(1,\); expected pairs"),
        ("trunk.sizes=(0,)", r"trunk\.sizes is \(0,\); expected"),
        ("trunk.beside=({'backbone': 'squeezenet'},)", "beside has 1 encoders, .*of 0"),
        ("data.scale=('a',)", r"data\.scale is \('a',\); expected \(low, high\)"),
    ],
)
def test_a_setting_that_no_blend_can_have_is_named(finished_run, setting, said):
    with glancing(), pytest.raises(ValueError, match=said):
        jiaa.load(finished_run, method="blend", settings=[setting])


def test_absurd_features_end_in_words(prior, content):
    with pytest.raises(FloatingPointError, match=r"or the features hold absurd"):
        prior.score(np.full_like(content, 3e38))
