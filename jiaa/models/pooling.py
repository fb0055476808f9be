"""Pooling that stays cheap under gradients inside loops, and agrees with torch's."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jiaa.models.convolution_maps import Pair, output_size, window_slices


def _windows_along(x, axis, window, stride, padding, fill):
    """What all windows along one axis hold at each offset."""
    count = output_size(x.shape[axis], window, stride, padding)
    if any(padding):
        pads = [(0, 0)] * x.ndim
        pads[axis] = padding
        # Written out: XLA would ask at each pixel of each slice whether it is padding.
        x = lax.optimization_barrier(jnp.pad(x, pads, constant_values=fill))
    return window_slices(x, axis=axis, window=window, stride=stride, count=count)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _max_along(x, axis, window, stride, padding):
    """Maximum over the windows along one axis."""
    slices = _windows_along(x, axis, window, stride, padding, -jnp.inf)
    return functools.reduce(jnp.maximum, slices)


def _max_forward(x, axis, window, stride, padding):
    out = _max_along(x, axis, window, stride, padding)
    return out, (x, out)


def _max_backward(axis, window, stride, padding, saved, cotangent):
    """The cotangent, where the maximum was: at the first of equal ones, as in torch.

    The pixels at each remainder modulo the stride are added up apart and interleaved:
    each is computed once, where a sum of spread-out maps asks `window` times.
    """
    x, out = saved
    slices = _windows_along(x, axis, window, stride, padding, -jnp.inf)
    free, shares = jnp.ones(out.shape, bool), []
    for values in slices:
        found = free & (values == out)
        shares.append(jnp.where(found, cotangent, jnp.zeros_like(cotangent)))
        free &= ~found
    padded = x.shape[axis] + sum(padding)
    length = max(-(-padded // stride), out.shape[axis] + (window - 1) // stride)
    phases = []
    for phase in range(stride):
        total = jnp.zeros_like(cotangent, shape=_resized(out.shape, axis, length))
        for offset in range(phase, window, stride):
            before = offset // stride
            pads = [(0, 0)] * x.ndim
            pads[axis] = (before, length - out.shape[axis] - before)
            total += jnp.pad(shares[offset], pads)
        phases.append(total)
    whole = jnp.stack(phases, axis + 1)
    whole = whole.reshape(_resized(out.shape, axis, length * stride))
    start = padding[0]
    return (lax.slice_in_dim(whole, start, start + x.shape[axis], axis=axis),)


_max_along.defvjp(_max_forward, _max_backward)


def _resized(shape, axis, size):
    return (*shape[:axis], size, *shape[axis + 1 :])


def _ceil_padding(size: int, window: int, stride: int, padding: int) -> Pair:
    """Padding with which the last window may overhang, but not start, past the end."""
    count = max(math.ceil((size + 2 * padding - window) / stride), 0) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1
    return padding, max((count - 1) * stride + window - size - padding, 0)


def max_pool(
    x: Float[Array, "image height width channel"],
    window: int,
    *,
    stride: int,
    padding: int = 0,
    ceil: bool = False,
) -> Float[Array, "image out_height out_width channel"]:
    """Maximum over square windows; padding never wins; `ceil` is torch's `ceil_mode`.

    A maximum along the width and then along the height, with a gradient of its own: on
    a CPU it takes a third of the time of JAX's gradient of the same
    (docs/speed_layers.md), and can be differentiated again, in reverse.
    """
    for axis in (2, 1):
        pads = (padding, padding)
        if ceil:
            pads = _ceil_padding(x.shape[axis], window, stride, padding)
        x = _max_along(x, axis, window, stride, pads)
    return x


def average_pool(
    x: Float[Array, "image height width channel"],
    window: int,
    *,
    stride: int,
    padding: int = 0,
) -> Float[Array, "image out_height out_width channel"]:
    """Mean over square windows; the zeros of the padding count, as in torch."""
    pads = (padding, padding)
    for axis in (1, 2):
        x = functools.reduce(jnp.add, _windows_along(x, axis, window, stride, pads, 0))
    return x / window**2


def _bin_matrix(bins: int, size: int) -> np.ndarray:
    """Row i averages positions floor(i size / bins) to ceil((i + 1) size / bins)."""
    matrix = np.zeros((bins, size), np.float32)
    for i in range(bins):
        start, stop = i * size // bins, -(-(i + 1) * size // bins)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def adaptive_average_pool(
    x: Float[Array, "image height width channel"], size: Pair
) -> Float[Array, "image out_height out_width channel"]:
    """Mean over `size` = (height, width) bins of any map, as torch's adaptive pool.

    Bins overlap where the sizes do not divide, and repeat pixels where the map is
    smaller.
    """
    if x.shape[1:3] == size:
        return x
    rows, columns = (
        jnp.asarray(_bin_matrix(bins, extent), x.dtype)
        for bins, extent in zip(size, x.shape[1:3], strict=True)
    )
    return jnp.einsum("ih,nhwc,jw->nijc", rows, x, columns)
