"""Branches by hand; tasks that share a trunk and nothing else."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.kong import KongNet
from jiaa.models.personality import (
    Branch,
    MultiTask,
    WeightedFusion,
    create_multi_task,
    unit_score,
)


class Means(nn.Module):
    """A backbone of one dense layer on each image's mean colour."""

    @nn.compact
    def __call__(self, images, *, mask=None, batch_statistics=False, dropout=False):
        return {"pooled": nn.Dense(4, name="dense")(images.mean((1, 2)))}


def branch(outputs, output, **options):
    return Branch(hidden=(3, 2), outputs=outputs, output=output, **options)


def network(**options):
    heads = {
        "aesthetics": branch(5, "softmax", **options),
        "traits": branch(5, "tanh", **options),
    }
    return MultiTask(Means(), nn.FrozenDict(heads))


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.normal(size=(6, 2, 2, 3)), jnp.float32)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("softmax", [[1 / 6, 2 / 6, 3 / 6]]),
        ("tanh", [[0.0, 0.6, 0.8]]),
        ("sigmoid", [[1 / 2, 2 / 3, 3 / 4]]),
    ],
)
def test_outputs_are_the_papers_functions(output, expected):
    # log 1, 2, 3: e^x sums to 6 (eq. 1 of PA_IAA); sigmoid is n / (n + 1) (eq. 1 of
    # PDMTL), tanh (n^2 - 1) / (n^2 + 1) (eq. 4 of PA_IAA).
    head = Branch(hidden=(), outputs=3, output=output)
    bias = jnp.log(jnp.arange(1.0, 4.0))
    params = {"output": {"kernel": jnp.zeros((2, 3)), "bias": bias}}
    got = head.apply({"params": params}, jnp.ones((1, 2)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_branch_is_two_layers_each_with_batch_norm(rng):
    head = branch(5, "tanh", batch_norm=True, output_norm=True)
    features = jnp.asarray(rng.normal(size=(7, 4)), jnp.float32)
    variables = jax.jit(head.init)(jax.random.key(0), features)
    learning = {"batch_statistics": True, "mutable": ["batch_stats"]}
    got, _ = jax.jit(lambda v, x: head.apply(v, x, **learning))(variables, features)
    x, params = np.asarray(features), jax.tree.map(np.asarray, variables["params"])

    def normalised(x):
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    for name in ("dense1", "dense2"):
        x = x @ params[name]["kernel"] + params[name]["bias"]
        x = np.maximum(normalised(x), 0)
    x = x @ params["output"]["kernel"] + params["output"]["bias"]
    np.testing.assert_allclose(got, np.tanh(normalised(x)), atol=1e-4)


def test_a_task_that_is_not_asked_for_leaves_no_trace(images):
    model = network(batch_norm=True)
    variables = jax.jit(model.init)(jax.random.key(0), images)

    def loss(params):
        outputs, changed = model.apply(
            {**variables, "params": params},
            images,
            tasks=("traits",),
            batch_statistics=True,
            mutable=["batch_stats"],
        )
        assert list(outputs) == ["traits"]
        return jnp.sum(outputs["traits"] ** 2), changed["batch_stats"]

    gradient, stats = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    assert all(not x.any() for x in jax.tree.leaves(gradient["branches_aesthetics"]))
    assert any(x.any() for x in jax.tree.leaves(gradient["backbone"]))
    before = variables["batch_stats"]["branches_aesthetics"]
    after = stats.get("branches_aesthetics", before)
    jax.tree.map(np.testing.assert_array_equal, before, after)
    moved = stats["branches_traits"]["norm1"]["mean"]
    assert np.abs(moved).max() > 0


def test_the_generic_score_is_the_mean_of_the_distribution(images):
    # Eq. 3: (1 * .1 + 2 * .2 + 3 * .3 + 4 * .4) / 4 stars.
    shares = jnp.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(unit_score(shares), [0.75], rtol=1e-6)
    np.testing.assert_allclose(unit_score(jnp.array([[0.3]])), [0.3])
    model = network()
    variables = jax.jit(model.init)(jax.random.key(0), images)
    features = model.apply(variables, images, method="features")
    outputs = model.apply(variables, images)
    score = model.apply(variables, features, method="score")
    np.testing.assert_allclose(score, unit_score(outputs["aesthetics"]), rtol=1e-6)


def test_the_released_fusion_starts_at_the_generic_score(images):
    first = network()
    small = Branch(hidden=(3,), outputs=5, output="linear", zero=True)
    fused = WeightedFusion(first, small)
    variables = jax.jit(fused.init)(jax.random.key(0), images)
    outputs = first.apply({"params": variables["params"]["network"]}, images)
    got = fused.apply(variables, images)
    np.testing.assert_allclose(got, unit_score(outputs["aesthetics"]), rtol=1e-6)
    kernel = variables["params"]["weights"]["output"]["kernel"]
    variables["params"]["weights"]["output"]["kernel"] = jnp.ones_like(kernel)
    weights = small.apply(
        {"params": variables["params"]["weights"]},
        first.apply(
            {"params": variables["params"]["network"]}, images, method="features"
        ),
    )
    expected = np.asarray(got) + (weights * outputs["traits"]).sum(-1)
    np.testing.assert_allclose(fused.apply(variables, images), expected, atol=1e-6)


@pytest.mark.parametrize("parts", [{}, {"attributes": 3}, {"contents": 4}])
def test_kongs_score_is_the_mean_over_contents(images, parts):
    model = KongNet(Means(), hidden=3, **parts)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    outputs = model.apply(variables, images)
    assert outputs["aesthetics"].shape == (6, 1)
    assert set(outputs) - {"aesthetics"} == {
        {"attributes": "attributes", "contents": "content"}[name] for name in parts
    }
    if "contents" in parts:
        np.testing.assert_allclose(outputs["content"].sum(1), 1, rtol=1e-5)
        # With the same score for each content, the probabilities make no difference.
        score = variables["params"]["score"]
        score["kernel"] = jnp.repeat(score["kernel"][:, :1], 4, axis=1)
        plain = {name: x[..., :1] for name, x in score.items()}
        shallow = {k: x for k, x in variables["params"].items() if "content" not in k}
        alone = KongNet(Means(), hidden=3).apply(
            {"params": {**shallow, "score": plain}}, images
        )
        same = model.apply(variables, images)
        np.testing.assert_allclose(same["aesthetics"], alone["aesthetics"], rtol=1e-5)


def test_unknown_names_are_told():
    with pytest.raises(ValueError, match=r"no branch \['votes'\]"):
        network().init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)), tasks=("votes",))
    with pytest.raises(ValueError, match="unknown tap 'last'"):
        create_multi_task(backbone="resnet18", branches={}, tap="last")
    made = create_multi_task(backbone="densenet121", branches={"a": {"outputs": 2}})
    assert hash(made) == hash(
        create_multi_task(backbone="densenet121", branches={"a": {"outputs": 2}})
    )
