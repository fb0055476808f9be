"""Matrix products whose gradients come out in the layout in which they are used.

JAX writes the gradient of a right factor as a transposed product, and on a CPU XLA
leaves the turning to what follows: Adam then reads it with strides, which took a third
of an AlexNet's time.
"""

from typing import Any

import jax
from jax import lax
from jaxtyping import Array, Float


def transposed_product(
    x: Float[Array, "row left"], y: Float[Array, "row right"]
) -> Float[Array, "left right"]:
    """x^T y, laid out as it is written."""
    contracted = (((0,), (0,)), ((), ()))
    if x.shape[0] < x.shape[1]:
        return lax.dot_general(x, y, contracted)
    # For tall matrices Eigen is up to twice as fast the other way round, and the result
    # is small to turn. The barrier keeps the turning out of what follows.
    return lax.optimization_barrier(lax.dot_general(y, x, contracted)).T


@jax.custom_vjp
def product(
    x: Float[Array, "row inner"], matrix: Float[Array, "inner column"]
) -> Float[Array, "row column"]:
    """`x @ matrix`; differentiable in reverse any number of times."""
    return x @ matrix


def _forward(x, matrix):
    return product(x, matrix), (x, matrix)


def _backward(saved, cotangent):
    x, matrix = saved
    return product(cotangent, matrix.T), _left_product(x, cotangent)


@jax.custom_vjp
def _left_product(x, y):
    return transposed_product(x, y)


def _left_forward(x, y):
    return _left_product(x, y), (x, y)


def _left_backward(saved, cotangent):
    x, y = saved
    return product(y, cotangent.T), product(x, cotangent)


product.defvjp(_forward, _backward)
_left_product.defvjp(_left_forward, _left_backward)


def dense_product(
    x: Array, kernel: Array, dimensions: Any, precision: Any = None, **options: Any
) -> Array:
    """`product` in the form of `lax.dot_general`, for `nn.Dense(dot_general=...)`.

    Raises:
      ValueError: anything but the last axis of `x` against the first of a matrix.
    """
    expected = (((x.ndim - 1,), (0,)), ((), ()))
    if dimensions != expected or kernel.ndim != 2 or precision is not None or options:
        raise ValueError(
            f"dense_product contracts {expected} at default precision; got "
            f"{dimensions}, precision {precision}, {options}: use lax.dot_general"
        )
    rows = product(x.reshape(-1, x.shape[-1]), kernel)
    return rows.reshape(*x.shape[:-1], -1)
