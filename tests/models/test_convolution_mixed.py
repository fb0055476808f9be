import functools
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from models.test_convolution import CASES, DEPTHWISE, case, explicit

from jiaa.models import convolution_maps, convolution_mixed, xla_flags
from jiaa.models.convolution_maps import IMPLEMENTATIONS, Geometry
from jiaa.models.convolution_mixed import CHOICES, choose, implementations

ONE_GROUP = [name for name, c in CASES.items() if c[3] == (1, 1) and c[4] == 1]


def geometry_of(name, x):
    kernel, strides, padding, _, groups, channels, _ = CASES[name]
    pads = tuple(explicit(padding))
    return Geometry(x.shape[1:3], kernel, channels, strides, pads, groups > 1)


def three_maps(name):
    """Each operation's arguments and what the library makes of them."""
    x, w, _, reference = case(name)
    y, pull = jax.vjp(reference, x, w)
    cotangent = jnp.cos(y)
    dx, dw = pull(cotangent)
    return x, {
        "output": (x, w, y),
        "input_gradient": (cotangent, w, dx),
        "kernel_gradient": (x, cotangent, dw),
    }


@pytest.mark.parametrize("name", [*ONE_GROUP, *DEPTHWISE])
def test_every_implementation_of_each_map_is_the_librarys(name):
    x, maps = three_maps(name)
    geometry = geometry_of(name, x)
    for operation, (a, b, expected) in maps.items():
        for function in implementations(geometry)[operation].values():
            found = jax.jit(functools.partial(function, geometry=geometry))(a, b)
            scale = float(jnp.abs(expected).max())
            np.testing.assert_allclose(found, expected, atol=2e-5 * scale)


def test_kernel_gradients_in_blocks_of_images_are_the_sum(monkeypatch):
    # Six images of 9 x 8 windows of 36 floats: blocks of six, two and one.
    kernel, features = (3, 3), 5
    geometry = Geometry((9, 8), kernel, 4, (1, 1), ((1, 1), (1, 1)))
    x = jax.random.normal(jax.random.key(0), (6, 9, 8, 4))
    y = jax.random.normal(jax.random.key(1), (6, 9, 8, features))
    one_image = 4 * 9 * 8 * 36

    def compute(x, y):
        return convolution_maps.kernel_gradient_patches(x, y, geometry)

    expected = jax.jit(compute)(x, y)
    for images in (2.9, 0.5):
        monkeypatch.setattr(convolution_maps, "BLOCK_BYTES", int(images * one_image))
        found = jax.jit(lambda x, y: compute(x, y))(x, y)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_every_map_has_a_choice_on_every_backend_that_always_applies():
    tiny = Geometry((1, 1), (3, 3), 4, (1, 1), ((1, 1), (1, 1)))
    for geometry in (tiny, tiny._replace(depthwise=True)):
        for operation, table in implementations(geometry).items():
            own = [c for c in CHOICES if c.operation == operation]
            own = [c for c in own if c.depthwise == geometry.depthwise]
            assert {c.implementation for c in own} <= {*table, "loop"}
            assert all(c.evidence for c in own)
            for backend in ("cpu", "gpu", "tpu"):
                for users in (False, True):
                    choose(operation, geometry, backend=backend, users=users)


@pytest.fixture
def flags(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    return monkeypatch


LARGE = Geometry((16, 16), (3, 3), 64, (1, 1), ((1, 1), (1, 1)))
SMALL = LARGE._replace(size=(2, 2))


def test_a_cpu_uses_the_library_for_kernel_gradients_only_where_eigen_computes_it(
    flags,
):
    def found(geometry):
        operations = ("output", "input_gradient", "kernel_gradient")
        return [choose(o, geometry, backend="cpu") for o in operations]

    assert found(LARGE) == ["library", "library", "patches"]
    convolution_mixed.prefer_eigen()
    assert found(LARGE) == ["library", "library", "library"]
    assert found(SMALL) == ["patches", "patches", "patches"]


def test_eigen_is_preferred_beside_other_flags_and_never_against_the_users(flags):
    convolution_mixed.prefer_eigen()
    once = os.environ["XLA_FLAGS"]
    assert once.startswith("--xla_cpu_multi_thread_eigen=false --xla_cpu")
    assert convolution_mixed.eigen_convolves()
    convolution_mixed.prefer_eigen()
    assert os.environ["XLA_FLAGS"] == once
    own = f"{convolution_mixed.EIGEN_FLAG}=LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
    flags.setenv("XLA_FLAGS", own)
    convolution_mixed.prefer_eigen()
    assert os.environ["XLA_FLAGS"] == own
    assert not convolution_mixed.eigen_convolves()


def test_a_jaxlib_whose_flags_are_unknown_is_left_alone(flags):
    flags.setattr(xla_flags, "version", lambda package: "0.99.0")
    before = os.environ["XLA_FLAGS"]
    convolution_mixed.prefer_eigen()
    assert os.environ["XLA_FLAGS"] == before


def test_users_kernels_are_a_loop_on_a_cpu_and_a_batched_product_elsewhere():
    for operation in IMPLEMENTATIONS:
        assert choose(operation, LARGE, backend="cpu", users=True) == "loop"
        assert choose(operation, LARGE, backend="gpu", users=True) == "patches"
    assert choose("output", LARGE, backend="gpu") == "library"


def test_depthwise_layers_are_taps_on_a_cpu_and_xlas_operator_elsewhere():
    geometry = LARGE._replace(depthwise=True)
    for users in (False, True):
        options = {"users": users}
        found = [choose(o, geometry, backend="cpu", **options) for o in IMPLEMENTATIONS]
        assert found == ["taps"] * 3
        found = [choose(o, geometry, backend="gpu", **options) for o in IMPLEMENTATIONS]
        assert found == ["library", "derived", "derived"]


@pytest.mark.parametrize("name", ["resnet_3x3", "lite_3x3"])
def test_the_choice_for_other_backends_gives_the_same_numbers(monkeypatch, name):
    # No GPU is needed to compute by its choices: batched products, JAX's gradients.
    x, w, _, reference = case(name, size=(9, 10))
    xs, ws = jnp.stack([x, 2 * x]), jnp.stack([w, w + 1])

    def gradients(function):
        def loss(x, w):
            return jnp.sum(jnp.sin(function(x, w)))

        return jax.vmap(jax.grad(loss, (0, 1)))(xs, ws), jax.grad(loss, (0, 1))(x, w)

    options = {"strides": (1, 1), "padding": ((1, 1), (1, 1))}
    options["depthwise"] = name == "lite_3x3"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    convolution_mixed.operations.cache_clear()
    found = gradients(functools.partial(convolution_mixed.convolve, **options))
    convolution_mixed.operations.cache_clear()
    for f, e in zip(
        jax.tree.leaves(found), jax.tree.leaves(gradients(reference)), strict=True
    ):
        np.testing.assert_allclose(f, e, atol=2e-5 * float(jnp.abs(e).max()))


def test_learning_in_a_loop_meets_only_the_layout_that_eigen_takes():
    # In others, XLA's convolution is a naive loop inside `scan`.
    def loss(w, x):
        for strides in ((1, 1), (2, 2)):
            options = {"strides": strides, "padding": ((1, 1), (1, 1))}
            x = convolution_mixed.convolve(x, w, **options)
        return jnp.sum(jnp.sin(x))

    def learn(w, x):
        def step(w, _):
            return w - jax.grad(loss)(w, x), None

        return lax.scan(step, w, length=2)[0]

    w, x = jnp.ones((3, 3, 4, 4)), jnp.ones((2, 16, 16, 4))
    users = jnp.stack([w, 2 * w, -w])
    programs = (
        jax.jit(learn).lower(w, x),
        jax.jit(jax.vmap(learn, in_axes=(0, None))).lower(users, x),
    )
    for program in programs:
        text = program.as_text("hlo")
        layouts = re.findall(r"dim_labels=([\w>-]+)", text)
        assert layouts
        assert set(layouts) == {"b01f_01io->b01f"}
        assert "feature_group_count" not in text
