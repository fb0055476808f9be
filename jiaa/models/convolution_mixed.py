"""A convolution whose output and two gradients are each computed the fastest way.

Each of the three maps (`convolution_maps`) has the other two as its gradients: a
`custom_vjp` in terms of them, for any order of reverse mode, around a `custom_vmap`
that sees whether the kernel carries a user axis. Forward mode (`jvp`) needs another
implementation.
"""

import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array

from jiaa.models import convolution_maps, convolution_taps, xla_flags
from jiaa.models.convolution_maps import Geometry, Pair

EIGEN_FLAG = xla_flags.LIBRARIES


class Choice(NamedTuple):
    """Use `implementation` for `operation` where all conditions hold.

    Attributes:
      operation: "output", "input_gradient" or "kernel_gradient".
      implementation: a name of `implementations(geometry)[operation]`; or, where each
        user has a kernel, "loop": one user after another, each by the choice for one
        kernel.
      evidence: the rows of docs/speed_layers.md that decided it.
      backend: "cpu"; None for all.
      users: whether the kernel (for its own gradient: any operand) has a user axis;
        None for both.
      smallest_map: rows and columns that the output has at least.
      pointwise: whether the kernel must be 1 x 1.
      eigen: whether XLA must be told to leave convolutions to Eigen (`prefer_eigen`).
      depthwise: whether each channel has a kernel of its own.
    """

    operation: str
    implementation: str
    evidence: str
    backend: str | None = None
    users: bool | None = False
    smallest_map: int = 1
    pointwise: bool = False
    eigen: bool = False
    depthwise: bool = False

    def applies(self, geometry: Geometry, *, backend: str, users: bool) -> bool:
        """Whether this choice covers such a layer."""
        return (
            self.backend in (None, backend)
            and self.users in (None, users)
            and self.depthwise == geometry.depthwise
            and min(geometry.counts) >= self.smallest_map
            and (not self.pointwise or max(geometry.kernel) == 1)
            and (not self.eigen or eigen_convolves())
        )


# The first choice that applies decides. On maps smaller than a kernel XLA's operator
# is a naive loop on a CPU (row e: 639 ms for 9). A CPU gains nothing from batching
# users' kernels, and XLA would make one grouped convolution of them, far slower.
UNMEASURED = "not measured: docs/speed_gpu.md"
LITE = "L1 L2 L3 L4 L5 L6 L7"
CHOICES = (
    Choice("output", "loop", "U1 U2", backend="cpu", users=True),
    Choice("output", "patches", UNMEASURED, users=True),
    Choice("output", "patches", "one matrix product", pointwise=True),
    Choice("output", "library", "A-E a-d", "cpu", smallest_map=4, eigen=True),
    Choice("output", "library", "A-E", "cpu", smallest_map=8),
    Choice("output", "patches", "e d2", "cpu"),
    Choice("output", "library", UNMEASURED),
    Choice("input_gradient", "loop", "U1 U2", backend="cpu", users=True),
    Choice("input_gradient", "patches", UNMEASURED, users=True),
    Choice("input_gradient", "patches", "one matrix product", pointwise=True),
    Choice("input_gradient", "library", "B-E b-d", "cpu", smallest_map=4, eigen=True),
    Choice("input_gradient", "library", "B-E", "cpu", smallest_map=8),
    Choice("input_gradient", "patches", "e d2", "cpu"),
    Choice("input_gradient", "derived", UNMEASURED),
    Choice("kernel_gradient", "loop", "U1 U2", "cpu", users=True, smallest_map=4),
    Choice("kernel_gradient", "patches", "U3", "cpu", users=True),
    Choice("kernel_gradient", "patches", UNMEASURED, users=True),
    Choice("kernel_gradient", "patches", "one matrix product", pointwise=True),
    Choice("kernel_gradient", "library", "A-E a-d", "cpu", smallest_map=4, eigen=True),
    Choice("kernel_gradient", "patches", "e, and A-E without Eigen", "cpu"),
    Choice("kernel_gradient", "derived", UNMEASURED),
    Choice("output", "taps", LITE, "cpu", users=None, depthwise=True),
    Choice("output", "library", UNMEASURED, users=None, depthwise=True),
    Choice("input_gradient", "taps", LITE, "cpu", users=None, depthwise=True),
    Choice("input_gradient", "derived", UNMEASURED, users=None, depthwise=True),
    Choice("kernel_gradient", "taps", LITE, "cpu", users=None, depthwise=True),
    Choice("kernel_gradient", "derived", UNMEASURED, users=None, depthwise=True),
)


def implementations(geometry: Geometry) -> dict[str, dict[str, Callable[..., Array]]]:
    """The ways that there are to compute each operation of such a layer."""
    maps = convolution_taps if geometry.depthwise else convolution_maps
    return maps.IMPLEMENTATIONS


def eigen_convolves() -> bool:
    """Whether XLA_FLAGS leave a CPU's convolutions to Eigen instead of YNNPACK."""
    flags = os.environ.get("XLA_FLAGS", "")
    return EIGEN_FLAG in flags and "CONVOLUTION" not in flags


def prefer_eigen() -> None:
    """Tells XLA to leave a CPU's convolutions to Eigen, before its first computation.

    Matrix products and sums stay with YNNPACK. Does nothing if XLA_FLAGS already say
    something about it, or for a jaxlib whose flags are not known (`xla_flags`).
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if EIGEN_FLAG not in flags and xla_flags.is_known(EIGEN_FLAG):
        kinds = ("REDUCE", "INDIVIDUAL_DOT")
        value = ",".join(f"LIBRARY_FUSION_TYPE_{kind}" for kind in kinds)
        os.environ["XLA_FLAGS"] = f"{flags} {EIGEN_FLAG}={value}".strip()


def choose(
    operation: str,
    geometry: Geometry,
    *,
    backend: str | None = None,
    users: bool = False,
) -> str:
    """Name of the implementation that `CHOICES` give for that operation."""
    backend = backend or jax.default_backend()
    return next(
        choice.implementation
        for choice in CHOICES
        if choice.operation == operation
        and choice.applies(geometry, backend=backend, users=users)
    )


def _of_users(operation: str, geometry: Geometry) -> Callable[[Array, Array], Array]:
    """The chosen implementation, and what a user axis does to it."""
    ways = implementations(geometry)[operation]

    @custom_vmap
    def compute(a, b):
        return ways[choose(operation, geometry)](a, b, geometry)

    @compute.def_vmap
    def of_users(axis_size, in_batched, a, b):
        a_batched, b_batched = in_batched
        if operation != "kernel_gradient" and not b_batched:
            # One kernel for all users: their images are one long batch.
            folded = compute(a.reshape(-1, *a.shape[2:]), b)
            return folded.reshape(axis_size, -1, *folded.shape[1:]), True
        name = choose(operation, geometry, users=True)
        axes = tuple(0 if batched else None for batched in in_batched)
        if name != "loop":
            function = functools.partial(ways[name], geometry=geometry)
            return jax.vmap(function, in_axes=axes)(a, b), True
        if not a_batched:
            return lax.map(lambda b: compute(a, b), b), True
        if not b_batched:
            return lax.map(lambda a: compute(a, b), a), True
        return lax.map(lambda pair: compute(*pair), (a, b)), True

    return compute


@functools.cache
def operations(geometry: Geometry) -> dict[str, Callable[[Array, Array], Array]]:
    """The three maps by name, differentiable in reverse any number of times."""
    table: dict[str, Callable[[Array, Array], Array]] = {}

    def define(name, first_gradient, second_gradient):
        compute = _of_users(name, geometry)
        function = jax.custom_vjp(compute)

        def forward(a, b):
            return function(a, b), (a, b)

        def backward(saved, cotangent):
            a, b = saved
            return first_gradient(cotangent, a, b), second_gradient(cotangent, a, b)

        function.defvjp(forward, backward)
        table[name] = function

    define(
        "output",
        lambda y, x, kernel: table["input_gradient"](y, kernel),
        lambda y, x, kernel: table["kernel_gradient"](x, y),
    )
    define(
        "input_gradient",
        lambda x, y, kernel: table["output"](x, kernel),
        lambda x, y, kernel: table["kernel_gradient"](x, y),
    )
    define(
        "kernel_gradient",
        lambda kernel, x, y: table["input_gradient"](y, kernel),
        lambda kernel, x, y: table["output"](x, kernel),
    )
    return table


def convolve(
    x: Array,
    kernel: Array,
    *,
    strides: Pair,
    padding: tuple[Pair, Pair],
    depthwise: bool = False,
) -> Array:
    """Cross-correlation of NHWC maps with an HWIO kernel in one group, or depthwise."""
    _, height, width, channels = x.shape
    window = (kernel.shape[0], kernel.shape[1])
    geometry = Geometry((height, width), window, channels, strides, padding, depthwise)
    return operations(geometry)["output"](x, kernel)
