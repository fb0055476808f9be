"""CFN and CFAN: attention by hand, variants, and who training has not seen."""

import dataclasses
import functools

import drawn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jiaa.models.collaborative import (
    VARIANTS,
    Collaborative,
    Reviews,
    _convolve,
    table_rows,
)
from jiaa.models.ranking import Ranking

MAP = (3, 2, 4)
SIZES = {"users": 5, "images": 6, "width": 3, "state": 2, "word_width": 2}
USER, IMAGE = jnp.array([0, 4, 1]), jnp.array([5, 0, 2])
REVIEWS = Reviews(
    jnp.arange(12).reshape(3, 2, 2) % 7, jnp.array([[2, 1], [2, 0], [0, 0]])
)


def network(name="cfan_3", **options):
    variant = VARIANTS[name]
    shape = MAP if variant.sees else None
    known = {**SIZES, "vocabulary": 7, "tags": 3, "map_shape": shape, "hidden": (4,)}
    return Collaborative(**{**known, **variant.options(), **options})


@pytest.fixture(scope="module")
def content():
    return jax.random.normal(jax.random.key(9), (3, 24))


def arguments(net, content):
    seen = content if net.map_shape is not None else None
    read = REVIEWS if net.attends or net.reads_only else None
    return USER, IMAGE, seen, read


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_predicts_its_tasks_from_its_inputs(name, content):
    net = network(name)
    given = arguments(net, content)
    variables = jax.eval_shape(net.init, jax.random.key(0), *given)
    found = jax.eval_shape(net.apply, variables, *given)
    shapes = {"user": (3,), "tag": (3, 3), "crowd": (3,)}
    assert {task: x.shape for task, x in found.items()} == {
        task: shapes[task] for task in net.tasks
    }
    parts = set(variables["params"])
    assert ("encoder" in parts) == (net.attends or name == "review_only")
    assert ("content" in parts) == VARIANTS[name].sees
    assert ("user_table" in parts) == (name != "review_only")


@functools.partial(jax.jit, static_argnums=0, static_argnames="method")
def call(net, variables, *given, method=None):
    return net.apply(variables, *given, method=method)


@pytest.fixture(scope="module")
def cfan(content):
    net = network("cfan_1")
    return net, {"params": drawn.params(net, *arguments(net, content))}


@pytest.mark.parametrize("attention", ["channel", "position"])
def test_attention_is_equation_5(cfan, content, attention):
    net, variables = cfan
    net = dataclasses.replace(net, attention=attention)
    weights = call(net, variables, content, REVIEWS, method="weights")
    np.testing.assert_allclose(weights.sum((1, 2)), 1, atol=1e-5)
    states = call(net, variables, REVIEWS, method="annotation")
    layer = jax.tree.map(np.asarray, variables["params"]["kernel"])
    states = np.asarray(states)
    kernel = 1 / (1 + np.exp(-(states @ layer["kernel"] + layer["bias"])))
    found = np.asarray(content).reshape(3, *MAP) * np.asarray(kernel)[:, None, None]
    if attention == "position":
        found = np.repeat(found.sum(-1, keepdims=True), MAP[2], axis=-1)
    powers = np.exp(found)
    expected = powers / powers.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_the_merge_is_equation_1(cfan, content):
    net, variables = cfan
    attended = call(net, variables, content, REVIEWS, method="attended")
    params = jax.tree.map(np.asarray, variables["params"])
    seen = (
        np.asarray(attended) @ params["content"]["kernel"] + params["content"]["bias"]
    )
    embedding = params["image_table"]["embedding"][IMAGE]
    for merge, factor in (("product", embedding), ("residual", 1 + embedding)):
        merged = dataclasses.replace(net, merge=merge)
        item = call(merged, variables, IMAGE, content, REVIEWS, method="item")
        np.testing.assert_allclose(item, factor * seen, atol=1e-5)


@pytest.mark.parametrize("interaction", ["product", "joined"])
def test_the_prediction_is_equation_2(interaction):
    net = network("cfn_pure", interaction=interaction)
    user, item = (jax.random.normal(jax.random.key(i), (3, 3)) for i in (3, 4))
    variables = {"params": drawn.params(net, user, item, method="judge")}
    found = call(net, variables, user, item, method="judge")
    params = jax.tree.map(np.asarray, variables["params"])
    both = np.asarray(user) * np.asarray(item)
    if interaction == "joined":
        both = np.concatenate([both, user, item], axis=1)
    for task in ("user", "tag"):
        first, last = params[task]["Dense_0"], params[task]["Dense_1"]
        hidden = np.maximum(both @ first["kernel"] + first["bias"], 0)
        expected = hidden @ last["kernel"] + last["bias"]
        np.testing.assert_allclose(found[task].reshape(3, -1), expected, atol=1e-5)


def test_a_kernel_of_several_positions_is_a_convolution():
    maps, kernel = (
        jax.random.normal(jax.random.key(i), s)
        for i, s in enumerate(((2, 5, 4, 3), (2, 27)))
    )
    found = jax.jit(_convolve, static_argnames="size")(maps, kernel, size=3)
    for pair in range(2):
        weights = np.asarray(kernel[pair]).reshape(3, 3, 3)
        for channel in range(3):
            expected = scipy.signal.correlate2d(
                maps[pair, ..., channel], weights[..., channel], mode="same"
            )
            np.testing.assert_allclose(found[pair, ..., channel], expected, atol=1e-5)


def test_reviews_that_are_not_there_do_not_count(cfan):
    net, variables = cfan
    whole = call(net, variables, REVIEWS, method="annotation")
    one = Reviews(REVIEWS.words[:, :1], REVIEWS.length[:, :1])
    first = call(net, variables, one, method="annotation")
    np.testing.assert_allclose(whole[1], first[1], atol=1e-6)  # has one review
    assert not whole[2].any()  # has none


def test_the_unseen_have_the_last_row():
    net = network("cfn_pure", tags=3)
    variables = {"params": drawn.params(net, USER, IMAGE)}
    unseen = jnp.array([-1])
    tables = variables["params"]
    np.testing.assert_array_equal(
        call(net, variables, unseen, method="user")[0],
        tables["user_table"]["embedding"][-1],
    )
    np.testing.assert_array_equal(
        call(net, variables, unseen, method="item")[0],
        tables["image_table"]["embedding"][-1],
    )
    assert tables["user_table"]["embedding"].shape[0] == 6
    assert [table_rows(n, 4) for n in (6, 7, 8)] == [8, 8, 12]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tasks": ("user", "mood")}, "expected some of"),
        ({"attention": "all"}, "attention='all'"),
        ({"map_shape": None}, "attends=True without map_shape"),
        ({"kernel_size": 2}, "kernel_size=2"),
        ({"tags": 1}, "tags=1"),
        ({"vocabulary": 0}, "vocabulary=0"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        network("cfan_3", **options)


def test_vbpr_is_its_equation_4(content):
    net = Ranking(users=5, images=6, width=2, map_shape=MAP)
    variables = {"params": drawn.params(net, USER, IMAGE, content)}
    variables["params"]["image_bias"]["embedding"] = jnp.arange(7.0)[:, None]
    found = call(net, variables, USER, IMAGE, content)["user"]
    params = jax.tree.map(np.asarray, variables["params"])
    seen = np.asarray(content).reshape(3, 6, 4).mean(1)
    for pair, (user, image) in enumerate(zip(USER, IMAGE, strict=True)):
        factors = params["user_table"]["embedding"][user]
        expected = params["image_bias"]["embedding"][image, 0]
        expected += factors[:2] @ params["image_table"]["embedding"][image]
        expected += factors[2:] @ (seen[pair] @ params["content"]["kernel"])
        expected += seen[pair] @ params["content_bias"]["kernel"][:, 0]
        np.testing.assert_allclose(found[pair], expected, atol=1e-5)
    with pytest.raises(ValueError, match="VBPR sees images"):
        net.apply(variables, USER, IMAGE)
