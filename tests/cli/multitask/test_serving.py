"""Multi-task runs score photographs and weigh two tasks for a person."""

import experiments
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_multitask import make_tiny, shrink

import jiaa
from jiaa.cli import reports, run
from jiaa.cli.multitask import network
from jiaa.cli.multitask.predict import predict
from jiaa.cli.options import ConfigError
from jiaa.cli.problem import load
from jiaa.models.personality import AESTHETICS, unit_score


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir and its config."""
    folder = tmp_path_factory.mktemp("fused") / "run"
    with pytest.MonkeyPatch.context() as patch:
        make_tiny(patch)
        config = shrink(experiments.load("pa_iaa/oasis_squeezenet"))
        run.train(config, folder, progress=False)
        yield folder, config


@pytest.fixture(scope="module")
def workdir(trained):
    return trained[0]


@pytest.fixture(scope="module")
def photographs(trained):
    """Images, and the generic unit scores that the evaluation gives them."""
    folder, config = trained
    found, ids = network.problem(config, progress=False), np.arange(10)
    store = found.dataset.store
    options = {"ids": ids, "progress": False}
    outputs = predict(config, found.network, load(folder), store, **options)
    scores = unit_score(jnp.asarray(outputs[AESTHETICS]))
    return list(np.asarray(store.content)[ids]), np.asarray(scores)


def test_scores_are_those_of_the_evaluation(workdir, photographs):
    images, expected = photographs
    model = jiaa.load(workdir)
    np.testing.assert_allclose(model.predict(images) / 5, expected, atol=1e-5)


def test_a_person_changes_the_weights_and_their_taste_comes_back(
    workdir, photographs, tmp_path
):
    images, _ = photographs
    model = jiaa.load(workdir, method="fusion", whole=False)
    mine = model.adapt(images[:6], [5, 4, 1, 2, 5, 1])
    path = mine.save_taste(tmp_path / "me.safetensors")
    again = jiaa.load(workdir, user=path)
    np.testing.assert_array_equal(again.predict(images), mine.predict(images))
    assert not np.allclose(mine.predict(images), model.predict(images))
    assert path.stat().st_size < 1000


def test_an_export_scores_and_fuses_alike(workdir, photographs, tmp_path):
    images, _ = photographs
    mine = jiaa.load(workdir).adapt(images[:6], [5, 4, 1, 2, 5, 1])
    folder = jiaa.export(mine, tmp_path / "hub")
    again = jiaa.load(folder, user=folder / "taste.safetensors")
    np.testing.assert_array_equal(again.predict(images), mine.predict(images))
    assert "adapts by: fusion" in (folder / "README.md").read_text()


def test_other_methods_are_refused(workdir):
    with pytest.raises(ConfigError, match=r"several tasks.*expected 'fusion'"):
        jiaa.load(workdir, method="ridge")
    with pytest.raises(
        ConfigError, match=r"adapts the whole.*--set fusion\.kind=ridge"
    ):
        jiaa.load(workdir, settings=["fusion.kind=released"])


def test_a_report_has_no_maps_of_it(workdir):
    with pytest.raises(ConfigError, match="runs with one task"):
        reports.maps(workdir)
