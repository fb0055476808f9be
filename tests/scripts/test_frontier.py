"""The frontier's one call against the protocol's, hypothesis by hypothesis."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from personalize.test_ridge import Scored

from jiaa.evaluate.personalization import personalization
from jiaa.personalize import Blend
from jiaa.personalize.blend import LOG_PRIOR
from jiaa.types import ImageStore, UserTasks
from scripts import bench_frontier
from scripts._frontier import srocc_of_settings

IMAGES, WIDTH, RATERS, SHOTS, REPEATS = 24, 6, 4, 7, 2
IMPOSSIBLE = -1e9


@pytest.fixture(scope="module")
def blend():
    return Blend(Scored(), WIDTH, shares=(0.0, 0.5, 1.0), strengths=(1.0, 10.0))


@pytest.fixture(scope="module")
def world():
    """(prior, store, tasks): half of the raters like what the crowd dislikes."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(IMAGES, WIDTH)).astype(np.float32)
    head = (0.1 * rng.normal(size=(WIDTH, 1))).astype(np.float32)
    params = {"head": {"kernel": head, "bias": np.full(1, 0.5, np.float32)}}
    prior = jax.tree.map(jnp.asarray, {"params": params, "batch_stats": {}})
    crowd = (features @ head)[:, 0] + 0.5
    turned = np.where(np.arange(RATERS) % 2, 1 - crowd[:, None], crowd[:, None]).T
    scores = turned + 0.1 * rng.normal(size=(RATERS, IMAGES))
    mask = np.ones((RATERS, IMAGES), bool)
    mask[-1, 15:] = False
    tasks = UserTasks(
        user_id=np.arange(RATERS, dtype=np.int32),
        image_ids=np.where(mask, np.arange(IMAGES, dtype=np.int32), 0),
        scores=np.where(mask, scores, 0).astype(np.float32),
        mask=mask,
    )
    return prior, ImageStore(features=jnp.asarray(features)), tasks


def log_priors_of(blend, rng):
    """Each hypothesis for certain, then two in between."""
    count = len(blend.hypotheses)
    sure = np.where(np.eye(count, dtype=bool), 0, IMPOSSIBLE)
    between = np.stack([np.zeros(count), rng.normal(size=count)])
    return np.concatenate([sure, between]).astype(np.float32)


@pytest.fixture(scope="module")
def found(blend, world):
    """(log priors, SROCC [user setting])."""
    prior, store, tasks = world
    directions = blend.directions(prior, store.features)
    crowd = Scored().apply(prior, store.features, method="score")
    log_priors = log_priors_of(blend, np.random.default_rng(0))
    options = {"shots": SHOTS, "repeats": REPEATS, "key": jax.random.key(5)}
    kernel = blend.kernel(directions, directions)
    return log_priors, srocc_of_settings(
        blend, kernel, crowd, tasks, log_priors, **options
    )


def test_a_blend_that_is_sure_of_one_hypothesis_is_that_hypothesis(blend, found):
    count = len(blend.hypotheses)
    _, values = found
    assert values.shape == (RATERS, 2 * count + 2)
    np.testing.assert_allclose(values[:, count : 2 * count], values[:, :count])


@pytest.mark.parametrize("row", [0, 3, 6, 7, 8])
def test_each_setting_is_what_the_protocol_measures(blend, world, found, row):
    prior, store, tasks = world
    log_priors, values = found
    inner = {LOG_PRIOR: jnp.asarray(log_priors[row])}
    prior = {**prior, "params": {**prior["params"], "inner": inner}}
    options = {"shots": (SHOTS,), "repeats": REPEATS, "progress": False}
    got = personalization(
        dataclasses.replace(blend, shots=SHOTS),
        prior,
        tasks,
        store,
        key=jax.random.key(5),
        **options,
    )
    expected = got.values["srocc"][0].mean(axis=1)
    column = len(blend.hypotheses) + row
    np.testing.assert_allclose(values[:, column], expected, atol=1e-5)


def axis_of(blend, name, group, srocc):
    """What the script keeps of a folder: one group, ten ratings."""
    rows = bench_frontier.settings_of(blend, ["a run"], srocc, own=0)
    group = {"group": group, "shots": 10, "users": len(srocc), "settings": rows}
    return {"root": name, "prior": "a run", "groups": [group]}


def test_the_figure_has_a_line_a_strength_and_a_star_for_the_blend(blend):
    rng = np.random.default_rng(1)
    count = len(blend.hypotheses) + 1
    values = rng.uniform(0.1, 0.6, (2, RATERS, count))
    x = axis_of(blend, "oasis", "all", values[0])
    y = axis_of(blend, "vessel", "art", values[1])
    (axes,) = bench_frontier.figure(x, y).axes
    means = values.mean(axis=1)
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["own taste 1"], means[:, 0:6:2].T, atol=1e-4)
    np.testing.assert_allclose(lines["own taste 10"], means[:, 1:6:2].T, atol=1e-4)
    np.testing.assert_allclose(lines["the blend"], means[None, :, -1], atol=1e-4)
    assert axes.get_xlabel() == "oasis: SROCC with 10 own ratings"
    assert axes.get_ylabel() == "art: SROCC with 10 own ratings"


def test_each_setting_is_told_with_its_distance_from_the_blend(blend):
    count = len(blend.hypotheses) + 2
    values = np.tile(np.linspace(0.1, 0.5, count), (3, 1))
    values[1] += 0.1
    values[2, 0] = np.nan  # a rater without a coefficient counts nowhere
    rows = bench_frontier.settings_of(blend, ["one", "two"], values, own=1)
    assert [row["name"] for row in rows[-2:]] == ["blend, one", "blend, two"]
    assert rows[-1]["share"] is None
    assert rows[0]["srocc"] == pytest.approx(0.15)
    assert rows[0]["error"] == pytest.approx(0.05)
    assert rows[0]["behind"] == pytest.approx(0.4)
    assert rows[0]["behind_error"] == 0
    assert rows[-1]["behind"] == 0


def test_the_table_tells_how_far_the_best_fixed_setting_is_ahead(blend):
    count = len(blend.hypotheses) + 1
    values = np.tile(np.linspace(0.5, 0.1, count), (3, 1))
    x, y = (axis_of(blend, name, name, values) for name in ("oasis", "art"))
    lines = bench_frontier.table(x, y).splitlines()
    assert lines[0] == "| setting | oasis, 10 | art, 10 |"
    assert "**0.500**" in lines[2]
    assert lines[-2].startswith("| blend, a run | 0.100 ± 0.000 ★ |")
    assert lines[-1].endswith("| +0.400 ± 0.000 | +0.400 ± 0.000 |")
