import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jiaa.models.convolution import (
    IMPLEMENTATIONS,
    Conv,
    choose_implementation,
    convolve,
)

# kernel, strides, padding, dilation, groups, channels, features
CASES = {
    "alexnet_11x11": ((11, 11), (4, 4), (2, 2), (1, 1), 1, 3, 4),
    "alexnet_5x5": ((5, 5), (1, 1), (2, 2), (1, 1), 1, 4, 3),
    "squeezenet_stem": ((3, 3), (2, 2), (0, 0), (1, 1), 1, 3, 4),
    "resnet_stem": ((7, 7), (2, 2), (3, 3), (1, 1), 1, 3, 4),
    "resnet_3x3": ((3, 3), (1, 1), (1, 1), (1, 1), 1, 4, 5),
    "resnet_3x3_stride_2": ((3, 3), (2, 2), (1, 1), (1, 1), 1, 4, 5),
    "resnet_shortcut": ((1, 1), (2, 2), (0, 0), (1, 1), 1, 4, 5),
    "inception_1x1": ((1, 1), (1, 1), (0, 0), (1, 1), 1, 4, 5),
    "inception_3x3_valid": ((3, 3), (1, 1), (0, 0), (1, 1), 1, 4, 5),
    "inception_1x7": ((1, 7), (1, 1), (0, 3), (1, 1), 1, 4, 5),
    "inception_7x1": ((7, 1), (1, 1), (3, 0), (1, 1), 1, 4, 5),
    "inception_1x3": ((1, 3), (1, 1), (0, 1), (1, 1), 1, 4, 5),
    "dilated": ((3, 3), (1, 1), (2, 2), (2, 2), 1, 4, 5),
    "grouped": ((3, 3), (1, 1), (1, 1), (1, 1), 2, 4, 6),
    "depthwise": ((3, 3), (2, 1), (1, 1), (1, 1), 4, 4, 4),
    "lite_3x3": ((3, 3), (1, 1), (1, 1), (1, 1), 6, 6, 6),
    "lite_5x5_stride_2": ((5, 5), (2, 2), ((1, 2), (2, 2)), (1, 1), 4, 4, 4),
    "depthwise_1x3_stride_3": ((1, 3), (3, 2), ((0, 0), (3, 0)), (1, 1), 4, 4, 4),
    "dilated_depthwise": ((3, 3), (1, 1), (2, 2), (2, 2), 4, 4, 4),
    "uneven": ((3, 2), (2, 3), ((1, 0), (2, 1)), (2, 1), 2, 4, 6),
}


def explicit(padding):
    return [(p, p) if isinstance(p, int) else p for p in padding]


def case(name, *, size=(17, 14), images=2):
    kernel, strides, padding, dilation, groups, channels, features = CASES[name]
    keys = jax.random.split(jax.random.key(sum(map(ord, name))))
    x = jax.random.normal(keys[0], (images, *size, channels))
    w = jax.random.normal(keys[1], (*kernel, channels // groups, features))
    options = {"strides": strides, "dilation": dilation, "groups": groups}

    def reference(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            strides,
            explicit(padding),
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    return x, w, functools.partial(convolve, padding=padding, **options), reference


def loss(function, x, w):
    return jnp.mean(jnp.sin(function(x, w)))


def all_orders(function):
    """The value, both gradients, and the gradients of their squared lengths."""

    def gradients(x, w):
        return jax.grad(functools.partial(loss, function), (0, 1))(x, w)

    def lengths(x, w):
        return sum(jnp.sum(g**2) for g in gradients(x, w))

    return jax.jit(
        lambda x, w: (function(x, w), gradients(x, w), jax.grad(lengths, (0, 1))(x, w))
    )


def assert_equal_trees(found, expected):
    for f, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert f.shape == e.shape
        scale = float(jnp.abs(e).max())
        np.testing.assert_allclose(f, e, atol=2e-5 * scale, rtol=1e-4)


PLAIN = [name for name, c in CASES.items() if c[3] == (1, 1) and c[4] == 1]
DEPTHWISE = [n for n, c in CASES.items() if c[3] == (1, 1) and c[4] == c[5] == c[6]]
PATCHES = ["alexnet_5x5", "resnet_3x3_stride_2", "resnet_shortcut"]
PATCHES += [name for name in CASES if name not in PLAIN]


@pytest.mark.parametrize(
    ("implementation", "name"),
    [("mixed", name) for name in (*PLAIN, *DEPTHWISE)]
    + [("patches", name) for name in PATCHES],
)
def test_all_agree_with_the_library_up_to_second_order(implementation, name):
    x, w, ours, reference = case(name)
    found = all_orders(functools.partial(ours, implementation=implementation))(x, w)
    assert_equal_trees(found, all_orders(reference)(x, w))


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet_3x3", (9, 10)), ("resnet_3x3", (2, 2)), ("lite_5x5_stride_2", (9, 10))],
    ids=["library", "patches", "taps"],
)
def test_a_user_axis_changes_nothing_up_to_second_order(axes, name, size):
    x, w, ours, reference = case(name, size=size)
    xs = x if axes[0] is None else jnp.stack([x, 2 * x, x[:, ::-1]])
    ws = w if axes[1] is None else jnp.stack([w, w + 1, -w])
    found, expected = (
        jax.vmap(all_orders(function), in_axes=axes)(xs, ws)
        for function in (functools.partial(ours, implementation="mixed"), reference)
    )
    assert_equal_trees(found, expected)


@pytest.mark.parametrize("name", ["resnet_3x3_stride_2", "uneven"])
def test_the_library_implementation_is_the_library(name):
    x, w, ours, reference = case(name)
    found = ours(x, w, implementation="library")
    np.testing.assert_array_equal(found, reference(x, w))


@pytest.mark.parametrize(
    ("implementation", "name"),
    [*((way, "resnet_3x3") for way in IMPLEMENTATIONS), ("mixed", "lite_3x3")],
)
def test_users_with_kernels_of_their_own_learn_as_if_alone(implementation, name):
    x, w, ours, _ = case(name, size=(6, 5))
    function = functools.partial(ours, implementation=implementation)

    def learn(w, x):
        def step(w, _):
            return w - 0.1 * jax.grad(loss, 2)(function, x, w), None

        return lax.scan(step, w, length=3)[0]

    xs = jnp.stack([x, 2 * x, x[:, ::-1]])
    ws = jnp.stack([w, w + 1, -w])
    together = jax.jit(jax.vmap(learn))(ws, xs)
    learn = jax.jit(learn)
    alone = jnp.stack([learn(w, x) for w, x in zip(ws, xs, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_kernel_that_ends_at_the_last_pixel_is_counted():
    # By hand: three windows of two pixels at stride two along six pixels of 1..6.
    x = jnp.arange(1.0, 7.0).reshape(1, 1, 6, 1)
    w = jnp.asarray([10.0, 1.0]).reshape(1, 2, 1, 1)
    for implementation in IMPLEMENTATIONS:
        out = convolve(x, w, strides=(1, 2), implementation=implementation)
        np.testing.assert_array_equal(out.ravel(), [12, 34, 56])


def test_layers_of_one_group_and_depthwise_ones_are_mixed_and_others_are_not():
    for backend in ("cpu", "gpu", "tpu"):
        assert choose_implementation(backend) == "mixed"
    assert choose_implementation("cpu", plain=False) == "patches"
    assert choose_implementation("gpu", plain=False) == "library"
    x, w, ours, _ = case("grouped")
    with pytest.raises(ValueError, match=r"groups 2.*'patches' or 'library'"):
        ours(x, w, implementation="mixed")
    np.testing.assert_allclose(ours(x, w), ours(x, w, implementation="patches"))
    x, w, ours, _ = case("lite_3x3")
    np.testing.assert_array_equal(ours(x, w), ours(x, w, implementation="mixed"))
    x, w, ours, _ = case("dilated_depthwise")
    with pytest.raises(ValueError, match=r"dilation \(2, 2\): use"):
        ours(x, w, implementation="mixed")


def test_depthwise_layers_in_half_precision_are_added_up_in_float32():
    x, w, ours, _ = case("lite_5x5_stride_2", size=(40, 40))
    x, w = (a.astype(jnp.bfloat16) for a in (x, w))
    found = jax.jit(all_parts(ours))(x, w)
    exact = jax.jit(all_parts(ours))(x.astype(jnp.float32), w.astype(jnp.float32))
    for half, single in zip(found, exact, strict=True):
        assert half.dtype == jnp.bfloat16
        half = half.astype(jnp.float32)
        np.testing.assert_allclose(half, single, rtol=2**-8, atol=1e-4)


def all_parts(function):
    """The value, and both gradients of its sum."""

    def parts(x, w):
        y, pull = jax.vjp(function, x, w)
        return y, *pull(jnp.ones_like(y))

    return parts


def test_the_argument_overrides_the_environment_which_overrides_the_table(monkeypatch):
    x, w, ours, _ = case("resnet_3x3")

    def uses_the_library(**options):
        # A new function each time: a trace is remembered, the environment with it.
        jaxpr = str(jax.make_jaxpr(lambda x, w: ours(x, w, **options))(x, w))
        return "conv_general_dilated" in jaxpr and "custom_vjp" not in jaxpr

    monkeypatch.delenv("JIAA_CONVOLUTION", raising=False)
    if jax.default_backend() == "cpu":
        assert not uses_the_library()
    monkeypatch.setenv("JIAA_CONVOLUTION", "library")
    assert uses_the_library()
    assert not uses_the_library(implementation="patches")


def test_wrong_arguments_are_named():
    x, w, ours, _ = case("resnet_3x3")
    with pytest.raises(ValueError, match=r"'fft'.*\['library', 'mixed', 'patches'\]"):
        ours(x, w, implementation="fft")
    with pytest.raises(ValueError, match="does not fit 4 channels"):
        convolve(x, w[:, :, :3])
    with pytest.raises(
        ValueError, match="window of 3 pixels does not fit an axis of 2"
    ):
        convolve(x[:, :2], w)


def test_the_layer_has_a_kernel_and_a_bias_and_computes_in_its_dtype(next_key):
    x = jax.random.normal(next_key(), (2, 8, 8, 3))
    layer = Conv(4, (3, 3), padding=(1, 1), dtype=jnp.bfloat16)
    variables = layer.init(next_key(), x)
    shapes = jax.tree.map(lambda p: (p.shape, p.dtype.name), variables["params"])
    assert shapes == {"kernel": ((3, 3, 3, 4), "float32"), "bias": ((4,), "float32")}
    params = variables["params"] | {"bias": jnp.arange(4.0)}
    out = layer.apply({"params": params}, x)
    assert out.dtype == jnp.bfloat16
    exact = Conv(4, (3, 3), padding=(1, 1)).apply({"params": params}, x)
    np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.1)
    expected = (
        convolve(x, params["kernel"], padding=(1, 1)) + params["bias"][None, None, None]
    )
    np.testing.assert_allclose(exact, expected, rtol=1e-6)
    assert "bias" not in Conv(4, (1, 1), use_bias=False).init(next_key(), x)["params"]
