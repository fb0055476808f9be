"""Files of features: what is read back, and what is told of those that are wrong."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from jiaa.data import DataError
from jiaa.data.feature_file import FeatureSpec, read_features, write_features

ENDINGS = (".npz", ".safetensors")
NAMES = ["a.jpg", "holiday/b.jpg", "c.jpg"]


@pytest.fixture
def features(rng):
    return rng.normal(size=(3, 4)).astype(np.float32)


def save(path, **parts):
    """A file as somebody without jiaa writes it."""
    if path.suffix == ".npz":
        np.savez(path, **parts)
        return path
    arrays = {name: parts.pop(name) for name in ("features",) if name in parts}
    save_file(arrays, path, {k: json.dumps(list(x)) for k, x in parts.items()})
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back(features, tmp_path, ending):
    path = write_features(
        tmp_path / f"f{ending}",
        NAMES,
        features,
        encoder="clip",
        view="224",
        widths=[1, 3],
    )
    found = read_features(path)
    assert found.names == tuple(NAMES)
    np.testing.assert_array_equal(found.features, features)
    assert (found.encoder, found.view) == ("clip", "224")
    assert found.spec == FeatureSpec((1, 3), "clip")
    np.testing.assert_array_equal(found.of(["c.jpg", "a.jpg"]), features[[2, 0]])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_file_from_elsewhere_needs_names_and_features_alone(
    features, tmp_path, ending, dtype
):
    path = save(tmp_path / f"f{ending}", names=NAMES, features=features.astype(dtype))
    found = read_features(path)
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, features, atol=1e-2)
    assert found.spec == FeatureSpec((4,))


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_come_composed_and_plain(features, tmp_path, ending):
    names = ["cafe\u0301.jpg", "x//./y.jpg", "z.jpg"]
    found = read_features(save(tmp_path / f"f{ending}", names=names, features=features))
    assert found.names == ("caf\u00e9.jpg", "x/y.jpg", "z.jpg")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.jpg", "b.jpg"], "2 names for 3 rows of features; expected one name a row"),
        (
            ["a.jpg", "b.jpg", "./a.jpg"],
            r"row 2: image 'a.jpg' stands in row 0 already",
        ),
        (
            ["a.jpg", "../b.jpg", "c.jpg"],
            r"row 1: image '../b.jpg' leaves the image fo",
        ),
        (["/a.jpg", "b.jpg", "c.jpg"], r"row 0: image '/a.jpg' leaves"),
        (["a.jpg", "", "c.jpg"], "row 1: the image's name is empty"),
        (["cafe\u0301", "b", "caf\u00e9"], "row 2: .* stands in row 0 already"),
    ],
)
def test_wrong_names_are_told_by_row(features, tmp_path, ending, names, said):
    path = save(tmp_path / f"f{ending}", names=names, features=features)
    with pytest.raises(DataError, match=said) as told:
        read_features(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda x: np.where(x == x[1, 2], np.nan, x),
            r"row 1: feature 2 of 'holiday/b",
        ),
        (
            lambda x: np.where(x == x[0, 0], np.inf, x),
            r"row 0: feature 0 .* is inf; exp",
        ),
        (
            lambda x: x.astype(float) * 1e300,
            r"3 wrong rows(.|\n)*e\+(299|300); expected",
        ),
        (
            lambda x: x.astype(int),
            r"'features' is int64 of shape \(3, 4\); expected flo",
        ),
        (lambda x: x[0], r"'features' is float32 of shape \(4,\)"),
        (lambda x: x[:, :0], r"shape \(3, 0\); expected"),
    ],
)
def test_wrong_features_are_told(features, tmp_path, ending, change, said):
    path = save(tmp_path / f"f{ending}", names=NAMES, features=change(features))
    with pytest.raises(DataError, match=said):
        read_features(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_without_one_of_them_says_what_it_has(features, tmp_path, ending):
    path = save(tmp_path / f"f{ending}", features=features)
    with pytest.raises(DataError, match=r"has no 'names', only (encoder, )?features"):
        read_features(path)
    path = save(tmp_path / f"g{ending}", names=NAMES)
    with pytest.raises(DataError, match=r"has no 'features', only .*names"):
        read_features(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_truncated_file_is_told(features, tmp_path, ending):
    path = write_features(tmp_path / f"f{ending}", NAMES, features)
    whole = path.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"f{ending} is no whole {ending} file"):
            read_features(path)


def test_nothing_is_unpickled(features, tmp_path):
    objects = np.asarray(NAMES, object)
    path = save(tmp_path / "f.npz", names=objects, features=features)
    with pytest.raises(DataError, match=r"'names' is an array of Python objects.*str"):
        read_features(path)
    path.write_bytes(pickle.dumps({"names": NAMES}))
    with pytest.raises(DataError, match="no whole"):
        read_features(path)


def test_text_that_is_no_utf8_is_told(features, tmp_path):
    names = np.asarray([b"a.jpg", b"\xff.jpg", b"c.jpg"])
    path = save(tmp_path / "f.npz", names=names, features=features)
    with pytest.raises(DataError, match=r"row 1: the name b'\\xff.jpg' is not UTF-8"):
        read_features(path)


def test_names_that_are_no_list_of_texts_are_told(features, tmp_path):
    path = tmp_path / "f.safetensors"
    for text, said in (
        ("[1, 2, 3]", "row 0: the name is 1; expected text"),
        ("{}", r"'names' is \{\}; expected a list of texts"),
        ("[", "'names' in the metadata is no JSON"),
    ):
        save_file({"features": features}, path, {"names": text})
        with pytest.raises(DataError, match=said):
            read_features(path)


@pytest.mark.parametrize("widths", [[1, 2], [5, -1], [2.0, 2.0]])
def test_widths_that_do_not_add_up_are_told(features, tmp_path, widths):
    path = save(tmp_path / "f.npz", names=NAMES, features=features, widths=widths)
    with pytest.raises(DataError, match=r"'widths' is .*add up to 4"):
        read_features(path)


def test_what_could_not_be_read_is_not_written(features, tmp_path):
    with pytest.raises(DataError, match=r"expected a name ending in \.npz or"):
        write_features(tmp_path / "f.csv", NAMES, features)
    with pytest.raises(DataError, match="row 1"):
        write_features(tmp_path / "f.npz", ["a", "a", "b"], features)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_or_another_kind_is_named(tmp_path):
    with pytest.raises(DataError, match=r"clip\.npz: no such file of features"):
        read_features(tmp_path / "clip.npz")
    with pytest.raises(DataError, match=r"clip\.pt: expected a file .* found '\.pt'"):
        read_features(tmp_path / "clip.pt")


def test_images_without_features_are_named(features, tmp_path):
    found = read_features(write_features(tmp_path / "f.npz", NAMES, features))
    with pytest.raises(DataError, match=r"no features of 1 of 2 images: d\.jpg"):
        found.of(["a.jpg", "d.jpg"])
