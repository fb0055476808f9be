"""How the user axis is run: the same numbers by `vmap`, chunked `map`, or unrolled.

On a CPU `map` is the best for networks (a chunk of users shares no kernel, so `vmap`
saves nothing and costs memory) and `vmap` for small heads; see DESIGN "Speed".
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

Strategy = Literal["vmap", "map", "unroll"]
STRATEGIES = ("vmap", "map", "unroll")


def over_users(
    function: Callable[..., Any], *, strategy: Strategy = "vmap", chunk: int = 1
) -> Callable[..., Any]:
    """`function` of one user -> the function of arguments with a leading user axis.

    `chunk` is how many users `map` runs at once; the last chunk may be smaller.

    Raises:
      ValueError: an unknown strategy, or a chunk for another one than "map".
    """
    _check(strategy, chunk)
    if strategy == "vmap":
        return jax.vmap(function)
    if strategy == "map":
        return lambda *args: jax.lax.map(
            lambda one: function(*one), args, batch_size=chunk if chunk > 1 else None
        )
    return lambda *args: _unroll(function, args)


def sum_over_users(
    function: Callable[..., PyTree], *, strategy: Strategy = "vmap", chunk: int = 1
) -> Callable[..., PyTree]:
    """`function` of one user -> the function of users that gives the sum of its trees.

    By `map`, the sum is carried: memory grows with the chunk, not with the number of
    users. That function's option `real`, a bool a user, says whom to leave out.

    Raises:
      ValueError: an unknown strategy, or a chunk for another one than "map".
    """
    _check(strategy, chunk)

    def summed(*args, real: Bool[Array, " user"] | None = None):
        users = jax.tree.leaves(args)[0].shape[0]
        real = jnp.ones(users, bool) if real is None else real
        if strategy == "map":
            return _carried_sum(function, args, real, size=min(chunk, users))
        return _total(over_users(function, strategy=strategy)(*args), real)

    return summed


def _check(strategy: str, chunk: int) -> None:
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; known: {STRATEGIES}")
    if chunk < 1 or (chunk > 1 and strategy != "map"):
        raise ValueError(
            f"chunk={chunk} with strategy {strategy!r}; expected 1 or more, and more "
            "than 1 only with 'map', which alone takes users in chunks"
        )


def _carried_sum(function, args, real, *, size):
    """The sum chunk by chunk; copies of the last user, not real, fill the last one."""
    users = real.shape[0]
    missing = -users % size
    if missing:
        rows = jnp.minimum(jnp.arange(users + missing), users - 1)
        args = jax.tree.map(lambda x: x[rows], args)
        real = jnp.pad(real, (0, missing))
    chunks, real = jax.tree.map(
        lambda x: x.reshape(-1, size, *x.shape[1:]), (args, real)
    )
    one = jax.eval_shape(function, *jax.tree.map(lambda x: x[0, 0], chunks))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), one)

    def add(total, chunk):
        chunk_args, chunk_real = chunk
        added = _total(jax.vmap(function)(*chunk_args), chunk_real)
        return jax.tree.map(jnp.add, total, added), None

    return jax.lax.scan(add, zeros, (chunks, real))[0]


def _total(each, real):
    """The sum over the leading axis where `real` holds."""

    def total(leaf):
        mask = real.reshape(-1, *(1,) * (leaf.ndim - 1))
        return jnp.sum(jnp.where(mask, leaf, jnp.zeros_like(leaf)), axis=0)

    return jax.tree.map(total, each)


def _unroll(function, args):
    users = jax.tree.leaves(args)[0].shape[0]
    each = [jax.tree.map(lambda x, i=i: x[i], args) for i in range(users)]
    results = [function(*one) for one in each]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)
