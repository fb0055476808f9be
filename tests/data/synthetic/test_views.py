"""The FLICKR-AES view has that data set's shape, and its truth ranks its stars."""

import collections
import dataclasses

import numpy as np
import pytest

from jiaa.data import synthetic
from jiaa.data.synthetic import views

SMALL = {
    "image_size": 16,
    "train_users": 6,
    "test_users": 3,
    "train_images": 60,
    "test_ratings": (12, 20),
    "gold_images": 4,
    "workers": 2,
}


@pytest.fixture(scope="module")
def unrendered():
    """The world at its default sizes, without its pixels, for three seeds."""
    return [synthetic.flickr_aes_view(seed=seed, render=False) for seed in range(3)]


@pytest.fixture(scope="module")
def small():
    return synthetic.flickr_aes_view(seed=0, **SMALL)


def by_split(view, split):
    rows = np.array([view.worker_split[w] == split for w in view.ratings.worker])
    return view.ratings.worker[rows], view.ratings.image[rows], view.ratings.stars[rows]


def test_default_users_and_images_are_those_of_flickr_aes(unrendered):
    view = unrendered[0]
    assert collections.Counter(view.worker_split.values()) == {"train": 173, "test": 37}
    assert 900 < list(view.image_split.values()).count("test") < 1150
    assert list(view.image_split.values()).count("train") == 7000
    workers, _, _ = by_split(view, "test")
    counts = collections.Counter(workers).values()
    assert len(counts) == 37
    assert min(counts) >= 105
    assert max(counts) <= 171
    workers, _, _ = by_split(view, "train")
    counts = sorted(collections.Counter(workers).values())
    assert len(counts) == 173
    assert counts[-2] > 1000
    assert counts[86] < 200


def test_users_and_images_of_the_splits_are_disjoint(unrendered):
    view = unrendered[0]
    for worker, image in zip(view.ratings.worker, view.ratings.image, strict=True):
        assert view.worker_split[worker] == view.image_split[image]


def test_images_have_five_raters_and_users_rate_an_image_once(unrendered):
    view = unrendered[0]
    pairs = set(zip(view.ratings.worker, view.ratings.image, strict=True))
    assert len(pairs) == len(view.ratings.stars)
    _, images, _ = by_split(view, "train")
    assert set(collections.Counter(images).values()) == {5}
    _, images, _ = by_split(view, "test")
    assert set(collections.Counter(images).values()) <= {4, 5, 6}


def test_oracles_lie_where_they_were_calibrated(unrendered):
    found = [synthetic.oracles(view) for view in unrendered]
    assert 0.79 < np.mean([oracle.mean_ceiling for oracle in found]) < 0.85
    assert 0.55 < np.mean([oracle.mean_perfect_generic for oracle in found]) < 0.60
    for oracle in found:
        assert oracle.mean_ceiling > oracle.mean_perfect_generic + 0.15
        assert oracle.mean_perfect_generic > 0.5
        assert (oracle.ceiling > oracle.perfect_generic).mean() > 0.9


def test_stars_are_bell_shaped_around_three(unrendered):
    for view in unrendered:
        one, two, three, four, five = np.bincount(view.ratings.stars.astype(int))[1:]
        assert one < two < three > four > five


def test_raters_disagree_about_as_much_as_in_flickr_aes(unrendered):
    """Table 1 of PAM: 0.79 stars within an image, on average."""
    view = unrendered[0]
    _, image, raters = np.unique(
        view.ratings.image, return_inverse=True, return_counts=True
    )
    mean = np.bincount(image, view.ratings.stars) / raters
    gaps = (view.ratings.stars - mean[image]) ** 2
    deviation = np.sqrt(np.bincount(image, gaps) / (raters - 1))
    assert abs(deviation.mean() - 0.79) < 0.05


def test_images_with_higher_true_scores_get_more_stars(unrendered):
    view = unrendered[0]
    row = {name: k for k, name in enumerate(view.image_names)}
    user = {name: k for k, name in enumerate(view.truth.workers)}
    truth = view.truth.unit_scores[
        [user[w] for w in view.ratings.worker], [row[i] for i in view.ratings.image]
    ]
    means = [truth[view.ratings.stars == stars].mean() * 5 for stars in range(1, 6)]
    assert all(np.diff(means) > 0.3)


def worker_quality(view):
    """Eq. 1 of PAM, averaged over the gold images of each worker."""
    gold = view.gold
    known = dict(zip(gold.image_names, gold.true_stars, strict=True))
    gap = abs(gold.ratings.stars - np.array([known[i] for i in gold.ratings.image]))
    score = np.where(gap < 2, 1.0, np.where(gap == 2, 0.5, 0.0))
    return score.reshape(len(view.truth.workers), -1).mean(1)


def test_gold_images_tell_reliable_workers_from_careless_ones(unrendered):
    quality = np.concatenate([worker_quality(view) for view in unrendered])
    reliability = np.concatenate([view.truth.reliability for view in unrendered])
    assert quality.mean() > 0.9
    careless = reliability < np.quantile(reliability, 0.1)
    assert quality[careless].mean() < quality[~careless].mean() - 0.02


def test_gold_images_are_in_no_split(unrendered):
    for view in unrendered:
        assert not set(view.gold.image_names) & set(view.image_split)


def test_same_seed_gives_the_same_bits_whatever_the_workers(small):
    again = synthetic.flickr_aes_view(seed=0, **(SMALL | {"workers": 1}))
    np.testing.assert_array_equal(small.images, again.images)
    np.testing.assert_array_equal(small.gold.images, again.gold.images)
    for field in ("worker", "image", "stars"):
        np.testing.assert_array_equal(
            getattr(small.ratings, field), getattr(again.ratings, field)
        )
    np.testing.assert_array_equal(small.truth.unit_scores, again.truth.unit_scores)


def test_without_rendering_all_but_the_pixels_is_there(small):
    view = synthetic.flickr_aes_view(seed=0, **SMALL, render=False)
    assert view.images.shape == (len(small.images), 0, 0, 3)
    np.testing.assert_array_equal(view.ratings.stars, small.ratings.stars)
    np.testing.assert_array_equal(view.truth.unit_scores, small.truth.unit_scores)


def test_a_world_may_have_no_gold_images():
    view = synthetic.flickr_aes_view(seed=0, **(SMALL | {"gold_images": 0}))
    assert len(view.gold.ratings.stars) == len(view.gold.images) == 0


def test_another_seed_gives_another_world(small):
    other = synthetic.flickr_aes_view(seed=1, **SMALL)
    assert (small.images[:50] != other.images[:50]).mean() > 0.8
    assert (small.truth.traits != other.truth.traits).all()


def test_more_training_images_leave_the_test_split_as_it_is(small):
    larger = synthetic.flickr_aes_view(seed=0, **(SMALL | {"train_images": 70}))
    for mine, theirs in zip(
        by_split(small, "test"), by_split(larger, "test"), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(small.images[:60], larger.images[:60])
    np.testing.assert_array_equal(small.images[60:], larger.images[70:])


def test_sizes_are_parameters(small):
    assert small.images.shape == (len(small.image_names), 16, 16, 3)
    assert collections.Counter(small.worker_split.values()) == {"train": 6, "test": 3}
    assert small.truth.unit_scores.shape == (9, len(small.image_names))
    workers, _, _ = by_split(small, "test")
    assert all(12 <= n <= 20 for n in collections.Counter(workers).values())
    assert len(small.gold.ratings.stars) == 9 * 4


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train_users": 3}, "train_users=3 cannot give"),
        ({"train_images": 1, "train_users": 6}, "train_images=1 .* Raise train_images"),
        ({"test_users": 0}, "must be positive"),
        ({"test_ratings": (20, 12)}, "ascending"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        synthetic.flickr_aes_view(seed=0, **(SMALL | sizes))


@pytest.mark.parametrize(
    ("users", "total", "most"),
    [(6, 300, 60), (5, 25, 5), (173, 35_000, 7_000), (7, 7, 3)],
)
def test_counts_of_ratings_keep_their_sum_and_bounds(users, total, most, rng):
    counts = views.heavy_tailed_counts(users, total=total, most=most, rng=rng)
    assert counts.sum() == total
    assert counts.min() >= 1
    assert counts.max() <= most


def test_dealing_keeps_degrees_and_mixes_users(rng):
    counts = np.array([40, 30, 20, 10, 60, 40])
    user, image = views.deal(counts, 60, rng=rng)
    np.testing.assert_array_equal(np.bincount(user), counts)
    assert set(np.bincount(image, minlength=60)) <= {3, 4}
    assert len(set(zip(user, image, strict=True))) == 200
    shared = len(set(image[user == 0]) & set(image[user == 1]))
    assert 10 <= shared <= 29  # 20 expected if independent; blocks would share few


def test_constant_rater_has_no_oracle(small):
    first = small.truth.workers[-1]
    stars = np.where(small.ratings.worker == first, 3, small.ratings.stars)
    ratings = dataclasses.replace(small.ratings, stars=stars.astype(np.float32))
    found = synthetic.oracles(dataclasses.replace(small, ratings=ratings))
    np.testing.assert_array_equal(found.defined, [True, True, False])
    assert found.ceiling[-1] == 0
    assert found.mean_ceiling == pytest.approx(found.ceiling[:2].mean())


def test_unknown_split_of_oracles_is_refused(small):
    with pytest.raises(ValueError, match=r"split='dev' is unknown"):
        synthetic.oracles(small, split="dev")


def test_version_one_is_frozen(small):
    """Results were measured on this world: what changes it needs a new VERSION."""
    assert synthetic.VERSION == 1
    assert small.ratings.stars[:12].tolist() == [4, 2, 5, 3, 2, 2, 3, 3, 4, 1, 3, 2]
    assert small.ratings.stars[-12:].tolist() == [3, 4, 4, 3, 3, 3, 3, 4, 4, 4, 3, 4]
    np.testing.assert_allclose(
        small.truth.unit_scores[[0, 5, 8], [0, 30, 61]],
        [0.51872, 0.70821, 0.59594],
        atol=1e-5,
    )
    means = [[93.28, 108.27, 94.43], [180.12, 183.75, 128.39]]
    np.testing.assert_allclose(small.images[:2].mean((1, 2)), means, atol=0.5)
