"""The three bilinear maps of a convolution in one group, each in several ways.

A convolution is linear in the image and in the kernel, so what training needs are
`output` (image, kernel), `input_gradient` (output, kernel) and `kernel_gradient`
(image, output). Maps are NHWC, kernels HWIO. Which way is the fastest where:
`convolution_mixed.CHOICES`. Depthwise convolutions: `convolution_taps`.

On a CPU, XLA's operator is fast only in the one layout that its Eigen kernel takes; the
gradients that JAX derives are written in others, which end in a naive loop inside
`scan`. The functions called `..._library` bring them to that layout first.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jiaa.models.products import transposed_product

Pair = tuple[int, int]

# What a gradient copies at once: larger blocks cost page faults, smaller ones the
# matrix products their speed (docs/speed_layers.md, "Blocks").
BLOCK_BYTES = 24_000_000


def output_size(size: int, window: int, stride: int, padding: Pair) -> int:
    """Number of windows along an axis.

    Raises:
      ValueError: not even one fits.
    """
    count = (size + sum(padding) - window) // stride + 1
    if size < 1 or count < 1:
        raise ValueError(
            f"a window of {window} pixels does not fit an axis of {size} pixels "
            f"padded by {padding}: use larger images"
        )
    return count


def window_slices(
    x: Float[Array, "image height width channel"],
    *,
    axis: int,
    window: int,
    stride: int,
    count: int,
    dilation: int = 1,
) -> list[Array]:
    """What all `count` windows along `axis` hold at each offset in the window."""
    span = (count - 1) * stride + 1
    offsets = range(0, window * dilation, dilation)
    return [lax.slice_in_dim(x, o, o + span, stride, axis) for o in offsets]


class Geometry(NamedTuple):
    """Everything about a convolution that is no array.

    It has one group or, if `depthwise`, as many as there are channels.
    """

    size: Pair
    kernel: Pair
    channels: int
    strides: Pair
    padding: tuple[Pair, Pair]
    depthwise: bool = False

    @property
    def counts(self) -> Pair:
        """Output height and width."""
        fields = (self.size, self.kernel, self.strides, self.padding)
        height, width = (output_size(*field) for field in zip(*fields, strict=True))
        return height, width

    def along(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Of height and width: size, output's size, kernel, stride, padding before."""
        before = (pads[0] for pads in self.padding)
        return zip(
            self.size, self.counts, self.kernel, self.strides, before, strict=True
        )


def slices(x: Array, *, axis: int, geometry: Geometry) -> list[Array]:
    """What all windows along `axis` (1: height, 2: width) hold at each offset."""
    i = axis - 1
    pads = [(0, 0)] * 4
    pads[axis] = geometry.padding[i]
    return window_slices(
        jnp.pad(x, pads),
        axis=axis,
        window=geometry.kernel[i],
        stride=geometry.strides[i],
        count=geometry.counts[i],
    )


def gather(x: Array, geometry: Geometry) -> Array:
    """The windows, flattened: [image, out_height, out_width, kernel * channel]."""
    for axis in (2, 1):
        x = jnp.concatenate(slices(x, axis=axis, geometry=geometry), axis=-1)
    return x


def rows_of(x: Array) -> Array:
    """All leading axes in one."""
    return x.reshape(-1, x.shape[-1])


def library(x: Array, kernel: Array, *, padding: Any, **options: Any) -> Array:
    """XLA's operator; `options` are those of `lax.conv_general_dilated`."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=options.pop("strides", (1, 1)),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **options,
    )


def output_library(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """XLA's operator, in the layout that Eigen takes."""
    return library(
        x,
        kernel,
        padding=geometry.padding,
        strides=geometry.strides,
        feature_group_count=geometry.channels if geometry.depthwise else 1,
    )


def output_patches(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Windows times the kernel as a matrix."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    out = rows_of(gather(x, geometry)) @ matrix
    return out.reshape(x.shape[0], *geometry.counts, -1)


def input_gradient_library(y: Array, kernel: Array, geometry: Geometry) -> Array:
    """The output, spread by the strides, under the kernel turned around."""
    padding = []
    for size, count, k, stride, before in geometry.along():
        low = k - 1 - before
        padding.append((low, size - ((count - 1) * stride + 1) + k - 1 - low))
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    return library(y, turned, padding=padding, lhs_dilation=geometry.strides)


def input_gradient_patches(y: Array, kernel: Array, geometry: Geometry) -> Array:
    """Every window's gradient, added up where windows overlap."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    windows = lax.dot_general(rows_of(y), matrix, (((1,), (1,)), ((), ())))
    shape = (y.shape[0], *geometry.size, geometry.channels)
    scatter = jax.linear_transpose(
        functools.partial(gather, geometry=geometry),
        jax.ShapeDtypeStruct(shape, y.dtype),
    )
    return scatter(windows.reshape(*y.shape[:3], -1))[0]


def kernel_gradient_patches(x: Array, y: Array, geometry: Geometry) -> Array:
    """Windows, transposed, times the output."""
    columns = math.prod(geometry.kernel) * geometry.channels

    def product(x, y):
        return transposed_product(rows_of(gather(x, geometry)), rows_of(y))

    copied = columns * math.prod(geometry.counts)
    out = _sum_of_blocks(product, x, y, numbers=copied)
    return out.reshape(*geometry.kernel, geometry.channels, -1)


def kernel_gradient_library(x: Array, y: Array, geometry: Geometry) -> Array:
    """XLA's operator on turned arrays: channels as images, and images as channels."""
    padding = []
    for size, count, k, stride, before in geometry.along():
        padding.append((before, k + (count - 1) * stride - size - before))
    x, y = _behind_a_fence(_turned, x, y)
    out = library(x, y, padding=padding, rhs_dilation=geometry.strides)
    return out.transpose(1, 2, 0, 3)


def _turned(x, y):
    return x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)


def _behind_a_fence(function, x, y):
    """`function(x, y)`, compiled apart from what comes before it and after it.

    XLA would fold the turning into a layout that Eigen does not take, or into the
    BatchNorm before it, which it then computes again in strides: ten times the time of
    turning. `optimization_barrier` is gone before XLA fuses; the branches of a
    condition are compiled on their own. Both are `function`.
    """
    return lax.cond(y.ravel()[0] < jnp.inf, function, function, x, y)


def _sum_of_blocks(product, x, y, *, numbers):
    """The sum over images, so many at a time that few fresh pages are written.

    `numbers` is how many floats `product` copies for one image.
    """
    images = x.shape[0]
    most = max(1, BLOCK_BYTES // (4 * numbers))
    block = next(n for n in range(min(most, images), 0, -1) if images % n == 0)
    if block == images:
        return product(x, y)
    x, y = (a.reshape(-1, block, *a.shape[1:]) for a in (x, y))
    total = jnp.zeros_like(jax.eval_shape(product, x[0], y[0]))
    return lax.scan(lambda sum_, xy: (sum_ + product(*xy), None), total, (x, y))[0]


def input_gradient_derived(y: Array, kernel: Array, geometry: Geometry) -> Array:
    """The gradient as JAX writes it, which compilers for GPUs and TPUs know."""
    shape = (y.shape[0], *geometry.size, geometry.channels)
    transposed = jax.linear_transpose(
        lambda x: output_library(x, kernel, geometry),
        jax.ShapeDtypeStruct(shape, y.dtype),
    )
    return transposed(y)[0]


def kernel_gradient_derived(x: Array, y: Array, geometry: Geometry) -> Array:
    """The gradient as JAX writes it, which compilers for GPUs and TPUs know."""
    inputs = 1 if geometry.depthwise else geometry.channels
    shape = (*geometry.kernel, inputs, y.shape[-1])
    transposed = jax.linear_transpose(
        lambda kernel: output_library(x, kernel, geometry),
        jax.ShapeDtypeStruct(shape, x.dtype),
    )
    return transposed(y)[0]


IMPLEMENTATIONS: dict[str, dict[str, Callable[..., Array]]] = {
    "output": {"library": output_library, "patches": output_patches},
    "input_gradient": {
        "library": input_gradient_library,
        "patches": input_gradient_patches,
        "derived": input_gradient_derived,
    },
    "kernel_gradient": {
        "library": kernel_gradient_library,
        "patches": kernel_gradient_patches,
        "derived": kernel_gradient_derived,
    },
}
