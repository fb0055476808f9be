"""How the user axis is run: the same numbers by `vmap`, chunked `map`, or unrolled.

On a CPU `map` is the best for networks (a chunk of users shares no kernel, so `vmap`
saves nothing and costs memory) and `vmap` for small heads; see DESIGN "Speed".
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Strategy = Literal["vmap", "map", "unroll"]
STRATEGIES = ("vmap", "map", "unroll")


def over_users(
    function: Callable[..., Any], *, strategy: Strategy = "vmap", chunk: int = 1
) -> Callable[..., Any]:
    """`function` of one user -> the function of arguments with a leading user axis.

    `chunk` is how many users `map` runs at once; the last chunk may be smaller.
    """
    if strategy == "vmap":
        return jax.vmap(function)
    if strategy == "map":
        return lambda *args: jax.lax.map(
            lambda one: function(*one), args, batch_size=chunk if chunk > 1 else None
        )
    if strategy == "unroll":
        return lambda *args: _unroll(function, args)
    raise ValueError(f"unknown strategy {strategy!r}; known: {STRATEGIES}")


def sum_over_users(
    function: Callable[..., tuple[PyTree, PyTree]],
    *,
    strategy: Strategy = "vmap",
    chunk: int = 1,
) -> Callable[..., tuple[PyTree, PyTree]]:
    """`function` of one user -> (total, each); the function of users -> (sum, stacked).

    By `map`, the sum is carried: memory doesn't grow with the number of users.
    """
    if strategy != "map":
        run = over_users(function, strategy=strategy)

        def summed(*args):
            totals, each = run(*args)
            return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), totals), each

        return summed

    def carried(*args):
        users = jax.tree.leaves(args)[0].shape[0]
        size = min(chunk, users)
        if users % size:
            raise ValueError(f"{users} users do not divide into chunks of {size}")
        chunks = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), args)
        first = jax.tree.map(lambda x: x[0, 0], chunks)
        total, _ = jax.eval_shape(function, *first)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), total)

        def add(total, chunk_args):
            totals, each = jax.vmap(function)(*chunk_args)
            return jax.tree.map(lambda a, b: a + jnp.sum(b, 0), total, totals), each

        total, each = jax.lax.scan(add, zeros, chunks)
        each = jax.tree.map(lambda leaf: leaf.reshape(users, *leaf.shape[2:]), each)
        return total, each

    return carried


def _unroll(function, args):
    users = jax.tree.leaves(args)[0].shape[0]
    each = [jax.tree.map(lambda x, i=i: x[i], args) for i in range(users)]
    results = [function(*one) for one in each]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)
