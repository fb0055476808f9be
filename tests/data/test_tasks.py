"""Users' splits: disjoint, complete, replayable, and blind to padding and order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.data import tasks
from jiaa.data.table import DataError
from jiaa.types import Ratings, UserTasks


def some_ratings(rng, *, users=5, images=40, low=6):
    """Users `u0`, `u1`, ... with `low`, `low + 3`, ... ratings of distinct images."""
    worker, image = [], []
    for user in range(users):
        chosen = rng.choice(images, size=low + 3 * user, replace=False)
        worker += [f"u{user}"] * len(chosen)
        image += [f"i{number:02}" for number in chosen]
    stars = rng.integers(1, 6, len(image)).astype(np.float64)
    order = rng.permutation(len(image))
    return Ratings(
        np.array(worker)[order], np.array(image)[order], stars[order], (1.0, 5.0)
    )


ROWS = {f"i{number:02}": number for number in range(40)}


@pytest.fixture
def ratings(rng):
    return some_ratings(rng)


TRACED = []


@functools.partial(jax.jit, static_argnames=("shots", "query_size"))
def sample_compiled(users, key, repeat, *, shots, query_size):
    TRACED.append(shots)

    def one(task):
        own = tasks.episode_key(key, repeat=repeat, user_id=task.user_id)
        return tasks.sample_episode(task, shots=shots, query_size=query_size, key=own)

    return jax.vmap(one)(users)


def sample_all(users: UserTasks, *, shots, key, query_size=None, repeat=0):
    options = {"shots": shots, "query_size": query_size}
    return sample_compiled(users, key, jnp.int32(repeat), **options)


def chosen(examples, user):
    """The image ids that count, as a list."""
    return np.asarray(examples.image_ids)[user][
        np.asarray(examples.mask)[user]
    ].tolist()


def test_user_id_is_a_fixed_function_of_the_name():
    # By hand: `printf ann | b2sum -l 32` gives eaa8b474, less the last bit.
    assert tasks.user_id("ann") == 0xEAA8B474 >> 1
    assert 0 <= tasks.user_id("Zoë ☀") < 2**31


def test_colliding_user_ids_are_refused(monkeypatch):
    monkeypatch.setattr(tasks, "user_id", lambda name: 7)
    with pytest.raises(DataError, match="'a' and 'b' have the same user id 7"):
        tasks.user_ids(["a", "b"])


def test_tasks_hold_every_rating_once(ratings):
    users = tasks.user_tasks(ratings, ROWS)
    assert users.mask.sum() == len(ratings.stars)
    given = {
        (worker, ROWS[image], np.float32(stars / 5))
        for worker, image, stars in zip(
            ratings.worker.tolist(),
            ratings.image.tolist(),
            ratings.stars.tolist(),
            strict=True,
        )
    }
    names = sorted(set(ratings.worker.tolist()))
    assert users.user_id.tolist() == [tasks.user_id(name) for name in names]
    held = {
        (names[user], int(users.image_ids[user, column]), users.scores[user, column])
        for user, column in np.argwhere(users.mask)
    }
    assert held == given


def test_padding_is_zero_and_ids_ascend(ratings):
    users = tasks.user_tasks(ratings, ROWS, pad_to=30)
    assert users.image_ids.shape == (5, 30)
    assert not users.image_ids[~users.mask].any()
    assert not users.scores[~users.mask].any()
    for user in range(5):
        assert (np.diff(users.image_ids[user][users.mask[user]]) > 0).all()


def test_order_of_ratings_plays_no_part(ratings, rng):
    order = rng.permutation(len(ratings.stars))
    shuffled = Ratings(
        ratings.worker[order], ratings.image[order], ratings.stars[order], (1.0, 5.0)
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        tasks.user_tasks(ratings, ROWS, side={"row": ratings.stars}),
        tasks.user_tasks(shuffled, ROWS, side={"row": shuffled.stars}),
    )


def test_side_travels_with_its_rating(ratings):
    side = {"stars": ratings.stars, "wide": np.stack([ratings.stars] * 3, axis=1)}
    users = tasks.user_tasks(ratings, ROWS, side=side)
    assert users.side["wide"].shape == (*users.scores.shape, 3)
    np.testing.assert_allclose(users.side["stars"] / 5, users.scores, rtol=1e-6)
    episode = sample_all(users, shots=5, key=jax.random.key(1))
    for part in (episode.support, episode.query):
        np.testing.assert_allclose(part.side["stars"] / 5, part.scores, rtol=1e-6)
        np.testing.assert_allclose(part.side["wide"][..., 2], part.side["stars"])


def test_listed_workers_only(ratings):
    users = tasks.user_tasks(ratings, ROWS, workers=["u3", "u1"])
    assert users.user_id.tolist() == [tasks.user_id("u1"), tasks.user_id("u3")]
    with pytest.raises(DataError, match="'nobody' has no ratings"):
        tasks.user_tasks(ratings, ROWS, workers=["u1", "nobody"])


def test_wrong_ratings_are_refused(ratings):
    with pytest.raises(DataError, match=r"pad_to is 3\. Raise it to 18"):
        tasks.user_tasks(ratings, ROWS, pad_to=3)
    with pytest.raises(DataError, match=r"2 rated images .*: i38, i39; load"):
        tasks.user_tasks(
            Ratings(
                np.array(["u", "u"]), np.array(["i38", "i39"]), np.ones(2), (1.0, 5.0)
            ),
            {},
        )
    twice = np.array(["i01", "i01"])
    with pytest.raises(DataError, match="'u' rated image 'i01' more than once"):
        tasks.user_tasks(
            Ratings(np.array(["u", "u"]), twice, np.ones(2), (1.0, 5.0)), ROWS
        )


@pytest.mark.parametrize("shots", [1, 5])
def test_support_and_query_partition_the_users_ratings(ratings, shots):
    users = tasks.user_tasks(ratings, ROWS)
    for repeat in range(20):
        episode = sample_all(users, shots=shots, key=jax.random.key(0), repeat=repeat)
        assert episode.query.mask.shape == (5, 18 - shots)
        for user in range(len(users)):
            support = chosen(episode.support, user)
            query = chosen(episode.query, user)
            assert len(support) == shots
            everything = users.image_ids[user][users.mask[user]].tolist()
            assert sorted(support + query) == everything


def test_scores_stay_with_their_images(ratings):
    users = tasks.user_tasks(ratings, ROWS)
    episode = sample_all(users, shots=5, key=jax.random.key(0))
    for user in range(len(users)):
        own = dict(zip(users.image_ids[user], users.scores[user], strict=True))
        own |= {
            image: score
            for image, score, real in zip(
                users.image_ids[user], users.scores[user], users.mask[user], strict=True
            )
            if real
        }
        for part in (episode.support, episode.query):
            for image, score, real in zip(
                *(
                    np.asarray(x)[user]
                    for x in (part.image_ids, part.scores, part.mask)
                ),
                strict=True,
            ):
                assert score == (own[image] if real else 0)


def test_padding_to_a_longer_axis_changes_no_split(ratings):
    short = tasks.user_tasks(ratings, ROWS)
    long = tasks.user_tasks(ratings, ROWS, pad_to=64)
    key = jax.random.key(3)
    a, b = sample_all(short, shots=5, key=key), sample_all(long, shots=5, key=key)
    jax.tree.map(np.testing.assert_array_equal, a.support, b.support)
    columns = a.query.mask.shape[1]
    for name in ("image_ids", "scores", "mask"):
        longer = np.asarray(getattr(b.query, name))
        np.testing.assert_array_equal(getattr(a.query, name), longer[:, :columns])
        assert not longer[:, columns:].any()


def test_split_does_not_depend_on_batch_or_order(ratings):
    users = tasks.user_tasks(ratings, ROWS)
    key = jax.random.key(3)
    together = sample_all(users, shots=5, key=key)
    alone = tasks.user_tasks(ratings, ROWS, workers=["u2"])
    assert alone.mask.shape == (1, 12), "without the longer users' padding"
    own = tasks.episode_key(key, repeat=0, user_id=tasks.user_id("u2"))
    single = jax.jit(tasks.sample_episode, static_argnames="shots")(
        alone[0], shots=5, key=own
    )
    assert chosen(together.support, 2) == single.support.image_ids.tolist()
    assert chosen(together.query, 2) == (
        single.query.image_ids[single.query.mask].tolist()
    )
    backwards = jax.tree.map(lambda x: x[:, ::-1] if x.ndim > 1 else x, users)
    jax.tree.map(
        np.testing.assert_array_equal, together, sample_all(backwards, shots=5, key=key)
    )


def test_repeats_and_users_differ(ratings):
    users = tasks.user_tasks(ratings, ROWS, pad_to=20)
    same_images = UserTasks(
        users.user_id,
        np.tile(np.arange(20, dtype=np.int32), (5, 1)),
        users.scores,
        np.ones((5, 20), bool),
    )
    supports = {
        tuple(chosen(sample_all(same_images, shots=6, key=key, repeat=r).support, user))
        for key in (jax.random.key(0), jax.random.key(1))
        for r in range(3)
        for user in range(5)
    }
    assert len(supports) == 30


def test_every_image_is_drawn_equally_often():
    task = UserTasks(
        np.array(1),
        np.arange(8, dtype=np.int32),
        np.ones(8, np.float32),
        np.ones(8, bool),
    )
    keys = jax.random.split(jax.random.key(0), 4000)
    draw = functools.partial(tasks.sample_episode, task, shots=2)
    episodes = jax.jit(jax.vmap(lambda key: draw(key=key)))(keys)
    counts = np.bincount(np.asarray(episodes.support.image_ids).ravel(), minlength=8)
    # Binomial(4000, 1/4): standard deviation 27.
    assert np.abs(counts - 1000).max() < 5 * 27


def test_query_size_limits_the_query(ratings):
    users = tasks.user_tasks(ratings, ROWS)
    full = sample_all(users, shots=5, key=jax.random.key(0))
    some = sample_all(users, shots=5, key=jax.random.key(0), query_size=4)
    jax.tree.map(np.testing.assert_array_equal, full.support, some.support)
    np.testing.assert_array_equal(full.query.image_ids[:, :4], some.query.image_ids)
    assert some.query.mask.sum(axis=1).tolist() == [1, 4, 4, 4, 4]


@pytest.mark.parametrize(("shots", "query_size"), [(6, None), (30, 5)])
def test_users_with_too_few_ratings_are_masked(ratings, shots, query_size):
    users = tasks.user_tasks(ratings, ROWS)
    key = jax.random.key(0)
    episode = sample_all(users, shots=shots, query_size=query_size, key=key)
    assert episode.support.mask.shape == (5, shots)
    assert episode.query.mask.shape == (5, query_size or 12)
    assert sorted(chosen(episode.support, 0)) == users.image_ids[0, :6].tolist()
    assert not episode.query.mask[0].any()
    for part in (episode.support, episode.query):
        assert not part.scores[~part.mask].any()
        assert not part.image_ids[~part.mask].any()


def test_keys_repeats_and_users_share_one_compiled_program(ratings):
    users = tasks.user_tasks(ratings, ROWS)
    sample_all(users, shots=5, key=jax.random.key(0))
    before = len(TRACED)
    others = tasks.user_tasks(ratings, ROWS, workers=["u1", "u4"])
    others = jax.tree.map(lambda x: np.concatenate([x, x, x])[:5], others)
    for repeat in range(3):
        sample_all(users, shots=5, key=jax.random.key(repeat), repeat=repeat)
        sample_all(others, shots=5, key=jax.random.key(repeat), repeat=repeat)
    assert len(TRACED) == before


def test_check_shots_names_user_number_and_remedy(ratings):
    users = tasks.user_tasks(ratings, ROWS)
    names = {tasks.user_id(f"u{i}"): f"u{i}" for i in range(5)}
    tasks.check_shots(users, shots=5, names=names)
    with pytest.raises(DataError) as caught:
        tasks.check_shots(users, shots=6, names=names)
    assert str(caught.value) == (
        "user u0 rated 6 images; shots=6 needs at least 7. Lower shots or drop the "
        "user (min_ratings=7)"
    )
    with pytest.raises(DataError, match="u0 rated 6 images, user u1 rated 9 images; "):
        tasks.check_shots(users, shots=9, names=names)


def test_split_users_by_list_and_by_share():
    names = [f"w{i}" for i in range(20)]
    listed = tasks.split_users(names, test=["w3", "w4"])
    assert [name for name in names if listed[name] == "test"] == ["w3", "w4"]
    share = tasks.split_users(names, test=0.3, seed=1)
    assert sorted(share.values()).count("test") == 6
    assert share == tasks.split_users(reversed(names), test=0.3, seed=1)
    assert share != tasks.split_users(names, test=0.3, seed=2)
    more = tasks.split_users([*names, "late"], test=0.3, seed=1)
    assert sum(more[name] != share[name] for name in names) <= 1


def test_impossible_user_splits_are_refused():
    with pytest.raises(DataError, match="test workers without any rating: x"):
        tasks.split_users(["a", "b"], test=["x"])
    for test in (0.0, 1.0, ["a", "b"], []):
        with pytest.raises(DataError, match="of 2 workers would be test workers"):
            tasks.split_users(["a", "b"], test=test)


def test_mean_scores_by_hand():
    ratings = Ratings(
        np.array(["u", "v", "u"]),
        np.array(["a", "a", "c"]),
        np.array([1.0, 4.0, 5.0]),
        (1.0, 5.0),
    )
    means, raters = tasks.mean_scores(ratings, ["c", "b", "a"])
    np.testing.assert_allclose(means, [1.0, 0.0, 0.5])
    assert raters.tolist() == [1, 0, 2]
