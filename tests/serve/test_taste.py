"""A taste file brings back what a person changed, and can do no harm."""

import json
import struct

import numpy as np
import pytest
from experiments import glancing
from safetensors.numpy import load_file, save_file

import jiaa
from jiaa.serve import taste


@pytest.fixture(scope="module")
def prior(finished_run):
    """The finished run, which adapts as it did when it was trained: by steps."""
    with glancing():
        yield jiaa.load(finished_run, method="own")


def test_a_taste_comes_back_whole_and_small(
    finished_run, prior, mine, content, tmp_path
):
    path = mine.save_taste(tmp_path / "me.safetensors")
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    again = jiaa.load(finished_run, user=path)
    np.testing.assert_array_equal(again.score(content), mine.score(content))
    assert (again.ratings, again.scale) == (10, mine.scale)
    whole = (finished_run / "prior.safetensors").stat().st_size
    assert path.stat().st_size < whole / 10
    assert not any("moments" in name for name in load_file(path))


@pytest.mark.parametrize("method", ["pam", "bayesian_ridge", "blend"])
def test_a_taste_of_another_method_comes_back(
    finished_run, content, stars, method, tmp_path
):
    other = jiaa.load(finished_run, method=method)
    mine = other.adapt_encoded(content[:10], stars[:10])
    again = jiaa.load(finished_run, user=mine.save_taste(tmp_path / "me.safetensors"))
    np.testing.assert_array_equal(again.score(content), mine.score(content))
    assert not np.allclose(mine.score(content), other.score(content))


def test_a_taste_like_the_priors_has_no_array(finished_run, content, stars, tmp_path):
    other = jiaa.load(finished_run, method="blend")
    nobody = other.adapt_encoded(content[:10], stars[:10]).like_the_prior()
    path = nobody.save_taste(tmp_path / "me.safetensors")
    assert not load_file(path)
    again = jiaa.load(finished_run, user=path)
    np.testing.assert_array_equal(again.score(content), nobody.score(content))
    np.testing.assert_allclose(again.score(content), other.score(content), rtol=1e-6)


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
    text = text | {"taste": changes.pop("taste_text", json.dumps(described))} | changes
    save_file(arrays, path, metadata=text)
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"taste": {"prior": "other"}}, "learned on another prior"),
        ({"format": "pickle"}, "its format is 'pickle'"),
        ({"taste": {"scale": [5, 1]}}, r"description is damaged \(scale"),
        ({"taste": {"ratings": "many"}}, "description is damaged"),
        ({"taste": {"ratings": float("inf")}}, "description is damaged"),
        ({"taste": {"room": 1 << 60}}, "description is damaged"),
        ({"taste": {"method": "ridge"}}, "learned by 'ridge', not 'finetune'"),
        ({"taste_text": "[" * 10_000}, "description is damaged"),
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


def test_damage_is_refused_or_harmless(prior, mine, content, tmp_path, rng):
    """Any bytes: a file is refused with its name, or scores come out."""
    path = mine.save_taste(tmp_path / "me.safetensors")
    whole, outcomes = path.read_bytes(), []
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for round_ in range(60):
        damaged = bytearray(whole)
        place = int(rng.integers(header if round_ % 4 else len(whole)))
        kept = damaged[place : place + 1] * int(rng.integers(3))
        damaged[place : place + int(rng.integers(3))] = kept or b"%"
        path.write_bytes(damaged)
        try:
            loaded = taste.load(path, prior)
            outcomes.append(f"{len(loaded.score(content))} scores")
        except (ValueError, FloatingPointError) as error:
            outcomes.append(str(error))
    ends = (str(path), f"{len(content)} scores")
    assert all(said.startswith(ends) or "not finite" in said for said in outcomes)
    assert sum(said.startswith(str(path)) for said in outcomes) > 20


def test_a_taste_that_cannot_be_written_is_an_error_of_the_system(
    mine, tmp_path, monkeypatch
):
    def save_elsewhere(arrays, path, metadata):
        save_file(arrays, tmp_path / "gone" / "x", metadata=metadata)

    monkeypatch.setattr(taste, "save_file", save_elsewhere)
    with pytest.raises(FileNotFoundError, match=r"me\.safetensors"):
        mine.save_taste(tmp_path / "me.safetensors")


def test_absurd_numbers_end_in_words(prior, mine, content, tmp_path):
    path = mine.save_taste(tmp_path / "me.safetensors")
    arrays = {"offset": np.full((), 3e38, np.float32)}
    loaded = taste.load(altered(path, arrays=arrays), prior)
    with pytest.raises(FloatingPointError, match=r"scores are not finite; the taste"):
        loaded.score(content)


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"\x80\x04pickle",
        struct.pack("<Q", 1 << 40) + b"{}",
        b"\0" * 64,
        struct.pack("<Q", 50_000) + b'{"a":' * 10_000,
    ],
)
def test_a_file_that_is_no_taste_is_refused_unread(prior, tmp_path, bytes_):
    path = tmp_path / "me.safetensors"
    path.write_bytes(bytes_)
    with pytest.raises(ValueError, match="is not a taste of this prior"):
        taste.load(path, prior)
