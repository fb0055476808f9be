"""The papers' datasets as values: the same from raw files and from built records."""

import jax
import numpy as np
import pytest

import jiaa.data
from jiaa.data import published
from jiaa.data.builders import BUILDERS
from jiaa.data.builders.ava import mean_stars
from jiaa.data.photographs import Photographs
from jiaa.data.table import DataError


def load(name, root, **options):
    options = {"image_size": 16, "progress": False} | options
    return jiaa.data.load(name, root=root, **options)


@pytest.mark.parametrize("name", BUILDERS)
def test_raw_and_built_files_give_the_same_dataset(name, raw_root, data_dir):
    raw, built = load(name, raw_root(name)), load(name, data_dir(name))
    assert built.name == name
    assert built.image_names == raw.image_names
    assert built.workers == raw.workers
    assert built.notes == raw.notes
    for field in ("tasks", "metadata", "mean_scores", "raters", "store"):
        a, b = getattr(raw, field), getattr(built, field)
        jax.tree.map(np.testing.assert_array_equal, b, a)
    for root in (raw_root(name), data_dir(name)):
        files = load(name, root, images="stream").store.images
        assert isinstance(files, Photographs), "nothing is decoded yet"
        np.testing.assert_array_equal(files[np.arange(len(files))], raw.store.images)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_split_is_the_part_of_the_whole(name, raw_root, data_dir):
    whole = load(name, raw_root(name))
    names = {*whole.tasks, *whole.image_split.tolist()} - {""}
    for split in sorted(names):
        for root, images in ((raw_root(name), "device"), (data_dir(name), "stream")):
            part = load(name, root, split=split, images=images)
            rows = [whole.image_names.index(image) for image in part.image_names]
            shown = part.store.images[np.arange(len(part.store))]
            np.testing.assert_array_equal(shown, whole.store.images[rows])
            np.testing.assert_array_equal(part.mean_scores, whole.mean_scores[rows])
            assert set(part.tasks) <= {split}
            if split in part.tasks:
                a, b = part.tasks[split], whole.tasks[split]
                np.testing.assert_array_equal(a.user_id, b.user_id)
                np.testing.assert_array_equal(a.scores, b.scores)
                own = np.asarray(rows)[a.image_ids[a.mask]]
                np.testing.assert_array_equal(own, b.image_ids[b.mask])


@pytest.mark.parametrize("name", BUILDERS)
def test_an_unknown_split_is_refused(name, raw_root, data_dir):
    for root in (raw_root(name), data_dir(name)):
        with pytest.raises(DataError, match="no 'evening'"):
            load(name, root, split="evening")


@pytest.mark.parametrize("name", BUILDERS)
def test_options_are_known_and_wrong_ones_refused(name, raw_root, data_dir):
    options = jiaa.data.loader_options(name)
    assert {"image_size", "cache_dir", "max_missing", "image_folder"} <= {*options}
    assert not {"options", "raw_options", "root", "split"} & {*options}
    for root in (raw_root(name), data_dir(name)):
        with pytest.raises(TypeError, match="'image_sise'"):
            load(name, root, image_sise=3)
    with pytest.raises(DataError, match=r"image_folder='x': .* has been built"):
        load(name, data_dir(name), image_folder="x")


def test_flickr_aes_users_and_images_are_disjoint(data_dir):
    dataset = load("flickr_aes", data_dir("flickr_aes"))
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (8, 3)
    assert not set(train.user_id.tolist()) & set(test.user_id.tolist())
    seen, unseen = (set(x.image_ids[x.mask].tolist()) for x in (train, test))
    assert not seen & unseen
    assert set(dataset.generic_ids().tolist()) == seen


def test_users_and_images_on_both_sides_are_refused(data_dir):
    dataset = load("flickr_aes", data_dir("flickr_aes"))
    train = dataset.split("train")
    twice = {"train": train, "test": train}
    object.__setattr__(dataset, "tasks", twice)
    with pytest.raises(DataError, match="8 users on both sides"):
        published.check_sides(dataset)
    strangers = jax.tree.map(np.copy, train)
    object.__setattr__(strangers, "user_id", train.user_id + 1)
    object.__setattr__(dataset, "tasks", {"train": train, "test": strangers})
    with pytest.raises(DataError, match="images on both sides"):
        published.check_sides(dataset)


def test_ava_has_crowds_and_no_users(data_dir):
    dataset = load("ava", data_dir("ava"))
    assert dataset.tasks == {}
    assert "no users" in repr(dataset)
    votes = dataset.metadata["votes"]
    np.testing.assert_allclose(
        dataset.metadata["mean_score"], mean_stars(votes) / 10, rtol=1e-6
    )
    train = dataset.image_split == "train"
    assert dataset.generic_ids().tolist() == np.flatnonzero(train).tolist()
    assert (dataset.raters[train] == votes[train].sum(axis=1)).all()
    assert not dataset.mean_scores[~train].any(), "held-out means are in metadata only"


def test_aadb_scores_are_stars_with_and_without_raters(raw_root, tmp_path):
    with_users = load("aadb", raw_root("aadb"))
    for path in raw_root("aadb").iterdir():
        if path.name != "ratings.csv":
            (tmp_path / path.name).symlink_to(path)
    crowds = load("aadb", tmp_path)
    assert crowds.tasks == {}
    assert set(with_users.tasks) == {"train", "val", "test"}
    np.testing.assert_allclose(crowds.mean_scores, with_users.mean_scores, atol=1e-6)
    np.testing.assert_array_equal(crowds.raters, with_users.raters)


def test_aadb_raters_with_so_many_images_can_be_the_test_users(raw_root, tmp_path):
    root = raw_root("aadb")
    lines = (root / "ratings.csv").read_text().splitlines()[1:]
    raters = [line.split(",")[0] for line in lines]
    counts = sorted(raters.count(name) for name in set(raters))
    least = counts[-1]
    dataset = load("aadb", root, rater_counts=(least, 1000))
    test, train = dataset.split("test"), dataset.split("train")
    assert len(test) == sum(count >= least for count in counts)
    assert len(test) < len(test) + len(train) <= 8
    assert (test.mask.sum(axis=1) >= least).all()
    published.check_sides(dataset)
    assert set(load("aadb", root, rater_counts=(least, 1000), split="test").tasks) == {
        "test"
    }
    with pytest.raises(DataError, match="nobody rated 1000 to 2000 images"):
        load("aadb", root, rater_counts=(1000, 2000))


def test_real_cur_owners_are_test_users(data_dir):
    dataset = load("real_cur", data_dir("real_cur"))
    assert len(dataset.split("test")) == 4
    assert set(dataset.tasks) == {"test"}
    for image_ids, mask in zip(
        dataset.split("test").image_ids, dataset.split("test").mask, strict=True
    ):
        owners = {dataset.image_names[row].split("/")[0] for row in image_ids[mask]}
        assert len(owners) == 1


def test_each_user_is_tested_in_one_of_ten_folds(data_dir):
    tested, counts = [], []
    for fold in range(10):
        dataset = load("psycho_flickr", data_dir("psycho_flickr"), fold=fold)
        test, train = dataset.split("test"), dataset.split("train")
        tested += test.user_id.tolist()
        counts.append(len(test))
        assert not set(test.user_id.tolist()) & set(train.user_id.tolist())
        liked = test.side["traits"][test.mask]
        assert liked.shape[1:] == (5,)
        assert abs(liked).max() <= 1
        assert (test.scores[test.mask] == 1).all()
    assert len(tested) == len(set(tested)) == 20
    assert counts == [2] * 10
    with pytest.raises(DataError, match="no users in fold 10; expected 0 to 9"):
        load("psycho_flickr", data_dir("psycho_flickr"), fold=10)


def test_reviews_come_with_their_users_and_can_be_rated(raw_root, data_dir):
    dataset = load("ava_reviews", data_dir("ava_reviews"))
    users = dataset.split("train")
    reviews = users.side["review"][users.mask]
    assert all(isinstance(review, str) and review for review in reviews)
    share = users.side["test"][users.mask].mean()
    assert share == pytest.approx(0.1, abs=0.01)
    rated = load(
        "ava_reviews",
        raw_root("ava_reviews"),
        rate=lambda texts: np.asarray([1.0 + ("love" in text) for text in texts]),
    )
    again = rated.split("train")
    love = np.asarray(["love" in x for x in again.side["review"][again.mask]])
    np.testing.assert_allclose(again.scores[again.mask], np.where(love, 0.4, 0.2))


def test_a_split_of_the_generated_world_is_loaded_alone():
    sizes = {"train_users": 6, "test_users": 2, "train_images": 12, "gold_images": 2}
    options = {"image_size": 16, "test_ratings": (4, 5), **sizes}
    test = jiaa.data.load("synthetic", split="test", **options)
    assert set(test.tasks) == {"test"}
    assert set(test.image_split.tolist()) == {"test"}
    whole = jiaa.data.load("synthetic", **options)
    rows = np.flatnonzero(whole.image_split == "test")
    np.testing.assert_array_equal(test.store.images, whole.store.images[rows])
    assert repr(test).endswith("test 2 users)")


def test_only_keeps_what_users_of_shared_images_rated(raw_root):
    whole = load("flickr_aes", raw_root("flickr_aes"), share_images=True)
    part = whole.only("test")
    rated = whole.split("test")
    names = {whole.image_names[row] for row in rated.image_ids[rated.mask]}
    assert set(part.image_names) == names
    with pytest.raises(DataError, match="no 'dev' users"):
        whole.only("dev")
