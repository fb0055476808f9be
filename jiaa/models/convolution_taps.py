"""The three maps of a depthwise convolution, where each channel has its own kernel.

There is nothing to multiply as matrices: a few slices of the image, one for each tap of
the kernel, are weighted and added up. XLA's operator is a naive loop for as many groups
as channels on a CPU (docs/speed_layers.md, rows L). Kernels are [height, width, 1,
channel]; every map may carry a user axis.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jiaa.models import convolution_maps
from jiaa.models.convolution_maps import Geometry


def _written_out(x, rows, columns):
    # Else XLA computes the layer before this one, and asks whether a pixel is padding,
    # once for each tap.
    return lax.optimization_barrier(jnp.pad(x, ((0, 0), rows, columns, (0, 0))))


def _slice(x, start, counts, strides):
    """`counts` pixels of each map from `start` on, in steps of `strides`."""
    stop = [a + (n - 1) * s + 1 for a, n, s in zip(start, counts, strides, strict=True)]
    limits = (x.shape[0], *stop, x.shape[3])
    return lax.slice(x, (0, *start, 0), limits, (1, *strides, 1))


def output(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """The weighted sum of what all windows hold at each tap; added up in float32."""
    padded = _written_out(x, *geometry.padding)
    kernel, total = kernel.astype(jnp.float32), jnp.zeros((), jnp.float32)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            pixels = _slice(padded, (i, j), geometry.counts, geometry.strides)
            total = total + pixels * kernel[i : i + 1, j : j + 1]
    return total.astype(x.dtype)


def input_gradient(y: Array, kernel: Array, geometry: Geometry) -> Array:
    """Every tap's share, at the pixels that it met.

    The padded pixels at each remainder modulo the strides meet taps of their own: they
    are added up apart and interleaved.
    """
    (rows, columns), (down, across) = geometry.kernel, geometry.strides
    # Steps of the strides over the padded image, and outputs before the first.
    steps = tuple(
        -(-(size + sum(pads)) // stride)
        for size, pads, stride in zip(
            geometry.size, geometry.padding, geometry.strides, strict=True
        )
    )
    first = ((rows - 1) // down, (columns - 1) // across)
    pads = [
        (before, max(0, n - count))
        for before, n, count in zip(first, steps, geometry.counts, strict=True)
    ]
    padded, kernel = _written_out(y, *pads), kernel.astype(jnp.float32)

    def phase(row, column):
        total = jnp.zeros((y.shape[0], *steps, y.shape[3]), jnp.float32)
        for i in range(row, rows, down):
            for j in range(column, columns, across):
                start = (first[0] - i // down, first[1] - j // across)
                pixels = _slice(padded, start, steps, (1, 1))
                total = total + pixels * kernel[i : i + 1, j : j + 1]
        return total.astype(y.dtype)

    phases = [
        jnp.stack([phase(row, column) for column in range(across)], axis=3)
        for row in range(down)
    ]
    whole = jnp.stack(phases, axis=2)
    sides = (steps[0] * down, steps[1] * across)
    whole = whole.reshape(y.shape[0], *sides, y.shape[3])
    start = (geometry.padding[0][0], geometry.padding[1][0])
    return _slice(whole, start, geometry.size, (1, 1))


def kernel_gradient(x: Array, y: Array, geometry: Geometry) -> Array:
    """What all windows hold at each tap, times the output, summed over windows.

    Row by row of the outputs, because XLA sums over all but the last axis in strides.
    """
    (rows, columns), (down, across) = geometry.kernel, geometry.strides
    height, width = geometry.counts
    padded = _written_out(x, *geometry.padding)

    def add_row(totals, index):
        image, row = index // height, index % height
        start = (image, row * down, 0, 0)
        window = lax.dynamic_slice(padded, start, (1, rows, *padded.shape[2:]))
        outputs = lax.dynamic_slice(y, (image, row, 0, 0), (1, 1, *y.shape[2:]))[0]
        outputs = outputs.astype(jnp.float32)
        return tuple(
            total + outputs * _slice(window, (0, j), (rows, width), (1, across))[0]
            for j, total in enumerate(totals)
        ), None

    zeros = jnp.zeros((rows, width, geometry.channels), jnp.float32)
    indices = jnp.arange(math.prod(y.shape[:2]))
    totals, _ = lax.scan(add_row, (zeros,) * columns, indices)
    return jnp.stack([t.sum(1) for t in totals], axis=1)[:, :, None].astype(x.dtype)


IMPLEMENTATIONS: dict[str, dict[str, Callable[..., Array]]] = {
    "output": {"taps": output, "library": convolution_maps.output_library},
    "input_gradient": {
        "taps": input_gradient,
        "derived": convolution_maps.input_gradient_derived,
    },
    "kernel_gradient": {
        "taps": kernel_gradient,
        "derived": convolution_maps.kernel_gradient_derived,
    },
}
