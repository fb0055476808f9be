"""Datasets by name: folders, the published files of FLICKR-AES, the real OASIS."""

import numpy as np
import pytest
from data.folders import write_folder, write_images

import jiaa.data
from jiaa.data.builders import flickr_aes
from jiaa.data.table import DataError
from jiaa.data.tasks import user_id

RATINGS = "worker,image,score\n" + "".join(
    f"w{worker},{image}.jpg,{1 + (worker + level) % 5}\n"
    for worker in range(6)
    for level, image in enumerate("abc")
)

DESCRIBED = "image,split\na.jpg,train\nb.jpg,test\nc.jpg,test\n"


def load(root, **options):
    return jiaa.data.load("folder", root=root, progress=False, image_size=8, **options)


def test_folder_becomes_a_dataset(tmp_path):
    dataset = load(write_folder(tmp_path / "holiday", RATINGS))
    assert dataset.name == "holiday"
    assert dataset.store.images.shape == (3, 8, 8, 3)
    assert dataset.store.images[:, 0, 0, 0].tolist() == [0, 1, 2], "row = sorted name"
    assert len(dataset.split("train")) == 6
    assert dataset.scale == (1.0, 5.0)
    with pytest.raises(DataError, match="pass test_users"):
        dataset.split("test")


def test_path_alone_loads_the_folder_there(tmp_path):
    root = write_folder(tmp_path, RATINGS)
    by_path = jiaa.data.load(root, progress=False, image_size=8)
    np.testing.assert_array_equal(by_path.mean_scores, load(root).mean_scores)


def test_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="'oasys' is neither a folder nor a dataset; "):
        jiaa.data.load("oasys")
    with pytest.raises(TypeError, match="image_sise"):
        jiaa.data.load("folder", root=tmp_path, image_sise=3)


def test_test_users_by_name_and_by_share(tmp_path):
    root = write_folder(tmp_path, RATINGS)
    named = load(root, test_users=["w2"])
    assert named.split("test").user_id.tolist() == [user_id("w2")]
    assert named.raters.tolist() == [5, 5, 5]
    share = load(root, test_users=0.5, seed=3)
    assert len(share.split("test")) == len(share.split("train")) == 3


@pytest.mark.parametrize("nobody", [0, 0.0, (), []])
@pytest.mark.parametrize("images", ["", DESCRIBED])
def test_no_test_users_hold_nobody_out_whatever_images_csv_says(
    tmp_path, nobody, images
):
    dataset = load(write_folder(tmp_path, RATINGS, images=images), test_users=nobody)
    assert len(dataset.split("train")) == 6
    assert dataset.generic_ids().tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no 'test' users"):
        dataset.split("test")


def test_one_test_user_is_a_name_not_a_list_of_letters(tmp_path):
    dataset = load(write_folder(tmp_path, RATINGS), test_users="w2")
    assert dataset.split("test").user_id.tolist() == [user_id("w2")]


def test_a_folder_needs_a_root_and_a_generated_world_has_none(tmp_path):
    with pytest.raises(DataError, match="where is the folder"):
        jiaa.data.load("folder")
    with pytest.raises(DataError, match="which is generated; leave root out"):
        jiaa.data.load("synthetic", root=tmp_path)


def test_the_options_of_a_loader_are_known_by_name(tmp_path):
    assert "scale" in jiaa.data.loader_options("oasis")
    assert "scale" in jiaa.data.loader_options(str(tmp_path))
    assert "test_workers" in jiaa.data.loader_options("flickr_aes")
    assert "train_users" in jiaa.data.loader_options("synthetic")
    for name in jiaa.data.DATASETS:
        assert {"image_size", "cache_dir", "progress"} <= {
            *jiaa.data.loader_options(name)
        }
    with pytest.raises(DataError, match="neither a folder nor a dataset"):
        jiaa.data.loader_options("oasys")


def test_images_of_test_users_can_be_kept_from_training(tmp_path):
    rows = "ann,a.jpg,1\nann,b.jpg,2\nbob,b.jpg,3\nbob,c.jpg,4\n"
    root = write_folder(tmp_path, "worker,image,score\n" + rows)
    dataset = load(root, test_users=["bob"], share_images=False)
    assert dataset.raters.tolist() == [1, 0, 0]
    assert dataset.image_split.tolist() == ["train", "test", "test"]


SPLIT = "image,split\na.jpg,train\nb.jpg,train\nc.jpg,test\n"


def test_raters_follow_the_split_of_their_images(tmp_path):
    rows = "ann,a.jpg,1\nann,b.jpg,2\nbob,c.jpg,3\n"
    root = write_folder(tmp_path, "worker,image,score\n" + rows, images=SPLIT)
    dataset = load(root)
    assert dataset.split("train").user_id.tolist() == [user_id("ann")]
    assert dataset.split("test").user_id.tolist() == [user_id("bob")]


def test_mixed_raters_are_an_error_or_dropped_or_divided(tmp_path):
    rows = "ann,a.jpg,1\nann,c.jpg,2\nbob,c.jpg,3\ncy,b.jpg,3\n"
    root = write_folder(tmp_path, "worker,image,score\n" + rows, images=SPLIT)
    with pytest.raises(
        DataError, match=r"1 raters .*'ann' \(1 test, 1 train\); .*Pass"
    ):
        load(root)
    dropped = load(root, mixed_raters="drop")
    assert [len(dropped.split(name)) for name in ("train", "test")] == [1, 1]
    assert dropped.notes == ("1 mixed raters left out: 'ann' (1 test, 1 train)",)
    only_mixed = write_folder(
        tmp_path / "mixed", "image,score\na.jpg,1\nc.jpg,2\n", images=SPLIT
    )
    with pytest.raises(DataError, match="no ratings left: 1 mixed raters left out"):
        load(only_mixed, mixed_raters="drop")
    divided = load(root, mixed_raters="divide")
    assert [len(divided.split(name)) for name in ("train", "test")] == [2, 2]


RATED = """worker, imagePair, score
 {ids[0]}, a.jpg, 4
 {ids[0]}, b.jpg, 2
 A1TRAIN, b.jpg, 5
 A1TRAIN, c.jpg, 1
 A2TRAIN, c.jpg, 3
 A2TRAIN, lost.jpg, 3
"""
WORKERS = ("AGXT2OHMTWBRS", "AHPUVVEDSDA5F")


def write_flickr(root, *, workers=WORKERS[:1], images="40K"):
    root.mkdir(exist_ok=True)
    (root / flickr_aes.RATINGS).write_text(RATED.format(ids=WORKERS))
    (root / flickr_aes.TEST_WORKERS).write_text("\r\n".join(workers) + "\n\n")
    write_images(root / images, ["a.jpg", "b.jpg", "c.jpg"])
    return root


def load_flickr(root, **options):
    options = {"progress": False, "image_size": 8} | options
    return jiaa.data.load("flickr_aes", root=root, **options)


def test_flickr_aes_reads_its_published_files(tmp_path):
    root = write_flickr(tmp_path)
    (root / flickr_aes.SCORES).write_text("a.jpg 0.75\nc.jpg 0.4\n")
    dataset = load_flickr(root)
    assert dataset.image_names == ("a.jpg", "b.jpg", "c.jpg")
    assert dataset.missing == ("lost.jpg",)
    test = dataset.split("test")
    assert test.user_id.tolist() == [user_id(WORKERS[0])]
    np.testing.assert_allclose(test.scores, [[0.8, 0.4]])
    np.testing.assert_allclose(dataset.metadata["published_score"], [0.75, np.nan, 0.4])
    assert dataset.image_split.tolist() == ["test", "test", "train"]
    assert dataset.raters.tolist() == [0, 0, 2], "b.jpg is a test image"
    np.testing.assert_allclose(dataset.mean_scores, [0, 0, 0.4])
    assert load_flickr(root, share_images=True).raters.tolist() == [0, 1, 2]


def test_flickr_aes_says_what_is_wrong_with_its_files(tmp_path):
    root = write_flickr(tmp_path / "data")
    with pytest.raises(DataError, match="1 of 4 images have no file; max_missing=0"):
        load_flickr(root, max_missing=0)
    (root / flickr_aes.SCORES).write_text("image score\na.jpg 0.5\nb.jpg 75\n")
    with pytest.raises(DataError, match="line 3: score '75'; expected a number from 0"):
        load_flickr(root)
    (root / flickr_aes.SCORES).unlink()
    write_flickr(root, workers=["A0UNKNOWN"])
    with pytest.raises(DataError, match="test workers without any rating: A0UNKNOWN"):
        load_flickr(root)
    (root / flickr_aes.TEST_WORKERS).write_text("\n")
    with pytest.raises(DataError, match="no names; expected one a line"):
        load_flickr(root)
    write_flickr(root)
    (root / "40K").rename(root / "photos")
    with pytest.raises(
        DataError, match="no folder of photographs; expected one of 40K"
    ):
        load_flickr(root)
    assert len(load_flickr(root, image_folder="photos").image_names) == 3


def test_default_root_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("JIAA_DATA", raising=False)
    with pytest.raises(
        DataError, match="where is oasis\\? Pass root=FOLDER, or set JIAA"
    ):
        jiaa.data.load("oasis")
    write_folder(tmp_path / "oasis", RATINGS)
    monkeypatch.setenv("JIAA_DATA", str(tmp_path))
    dataset = jiaa.data.load("oasis", progress=False, image_size=8)
    assert dataset.name == "oasis"
    assert dataset.scale == (1.0, 7.0)


@pytest.mark.data
def test_listed_test_workers_are_the_37_of_the_paper(data_root):
    path = data_root / "flickr_aes" / flickr_aes.TEST_WORKERS
    workers = flickr_aes.read_names(path)
    assert len(set(workers)) == 37
    assert workers[:2] == WORKERS


@pytest.mark.data
def test_oasis_is_what_its_description_says(oasis_root):
    dataset = jiaa.data.load("oasis", root=oasis_root, progress=False, image_size=32)
    train, test = dataset.split("train"), dataset.split("test")
    assert (len(train), len(test)) == (508, 145)
    assert train.mask.sum() + test.mask.sum() == 84_029
    seen, unseen = set(train.image_ids[train.mask]), set(test.image_ids[test.mask])
    assert (len(seen), len(unseen)) == (254, 133)
    assert not seen & unseen
    assert len(dataset.workers) == 653
    counts = np.concatenate([train.mask.sum(axis=1), test.mask.sum(axis=1)])
    assert (counts.min(), counts.max()) == (126, 133)
    assert set(dataset.metadata) == {"category", "theme"}
    assert dataset.missing == ()
    assert dataset.notes == ()
    constant = [
        len(set(scores[mask].tolist())) == 1
        for users in (train, test)
        for scores, mask in zip(users.scores, users.mask, strict=True)
    ]
    assert sum(constant) == 2
    stars = np.unique(np.round(train.scores[train.mask] * 7, 4))
    assert stars.tolist() == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(dataset.generic_ids(), sorted(seen))
