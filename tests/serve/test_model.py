"""A model predicts, adapts and is stored; its taste is all that a person adds."""

import json
import struct

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import jiaa
from jiaa.data.images import ImageError
from jiaa.evaluate.replay import replay
from jiaa.serve import taste


@pytest.fixture(scope="module")
def content(prior, photos):
    return prior.encode(photos)


@pytest.fixture(scope="module")
def stars(photos):
    return np.linspace(1, 5, len(photos)).round()


@pytest.fixture(scope="module")
def mine(prior, content, stars):
    return prior.adapt_encoded(content[:10], stars[:10])


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


def test_a_taste_comes_back_whole_and_small(
    finished_run, prior, mine, content, tmp_path
):
    path = mine.save_taste(tmp_path / "me.safetensors")
    again = jiaa.load(finished_run, user=path)
    np.testing.assert_array_equal(again.score(content), mine.score(content))
    assert (again.ratings, again.scale) == (10, mine.scale)
    whole = (finished_run / "prior.safetensors").stat().st_size
    assert path.stat().st_size < whole / 10
    assert not any("moments" in name for name in load_file(path))


def test_nobody_has_no_taste(prior, tmp_path):
    with pytest.raises(ValueError, match=r"nobody's yet; call adapt"):
        prior.save_taste(tmp_path / "x.safetensors")


def altered(path, **changes):
    """Writes the taste file again with other arrays or other text."""
    text = {
        "format": taste.FORMAT,
        "taste": json.dumps(dict(vars(taste.read_info(path)))),
    }
    arrays = load_file(path) | changes.pop("arrays", {})
    described = json.loads(text["taste"]) | changes.pop("taste", {})
    text = text | {"taste": json.dumps(described)} | changes
    save_file(arrays, path, metadata=text)
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"taste": {"prior": "other"}}, "learned on another prior"),
        ({"format": "pickle"}, "its format is 'pickle'"),
        ({"taste": {"scale": [5, 1]}}, r"description is damaged \(scale"),
        ({"taste": {"ratings": "many"}}, "description is damaged"),
        ({"arrays": {"code": np.zeros(3)}}, "'code', which this method does not"),
        ({"arrays": {"scale": np.zeros(9, np.float32)}}, r"shape \(9,\)"),
        ({"arrays": {"scale": np.zeros((), np.float64)}}, "float64"),
        ({"arrays": {"scale": np.full((), np.nan, np.float32)}}, "not finite"),
    ],
)
def test_a_taste_from_elsewhere_can_only_be_wrong(prior, mine, tmp_path, changes, said):
    path = altered(mine.save_taste(tmp_path / "me.safetensors"), **changes)
    with pytest.raises(ValueError, match=rf"me\.safetensors .*{said}.*personalize"):
        taste.load(path, prior)


@pytest.mark.parametrize(
    "bytes_", [b"", b"\x80\x04pickle", struct.pack("<Q", 1 << 40) + b"{}", b"\0" * 64]
)
def test_a_file_that_is_no_taste_is_refused_unread(prior, tmp_path, bytes_):
    path = tmp_path / "me.safetensors"
    path.write_bytes(bytes_)
    with pytest.raises(ValueError, match="is not a taste of this prior"):
        taste.load(path, prior)
