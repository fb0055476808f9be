"""How the user axis is run: the same numbers by `vmap`, chunked `map`, or unrolled.

`auto` chooses for the device at hand by `RULES`, whose rows are measured
(docs/speed_users.md) or, for a GPU, reckoned, and by the memory that is free. It
chooses when a program is traced, so once a compilation, and logs what it chose with the
numbers behind it. Under `shard_map` the users that count are those of one device.
"""

import logging
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from jiaa.meta import memory

Strategy = Literal["auto", "vmap", "map", "unroll"]
STRATEGIES = ("auto", "vmap", "map", "unroll")

logger = logging.getLogger(__name__)


class Rule(NamedTuple):
    """Run users by `strategy` where all conditions hold; None holds everywhere.

    Attributes:
      strategy: "vmap" (as many at once as the memory allows) or "map" (one at a time).
      evidence: the rows of docs/speed_users.md that decided it, or what else did.
      backend: "cpu", "gpu" or "tpu".
      largest_user: most bytes that one user's learning takes (`memory.peak_bytes`).
    """

    strategy: str
    evidence: str
    backend: str | None = None
    largest_user: int | None = None

    def applies(self, backend: str, user_bytes: int) -> bool:
        """Whether this rule covers users of that size on that backend."""
        return self.backend in (None, backend) and (
            self.largest_user is None or user_bytes <= self.largest_user
        )


# The first rule that applies decides. On a CPU one operation for all users saves the
# cost of starting many small ones; as soon as a user's arrays outgrow the core's own
# cache, that is less than what it costs to leave it. An accelerator wants large
# operations; but a user who fills it alone should have the library's convolutions,
# which kernels with a user axis do not.
RECKONED = "an estimate, not measured: docs/speed_gpu.md"
RULES = (
    Rule("vmap", "rows H1 H2", backend="cpu", largest_user=150_000),
    Rule("map", "rows H3 H4 H5 N1 N2", backend="cpu"),
    Rule("vmap", RECKONED, largest_user=200_000_000),
    Rule("map", RECKONED),
)


def choose(
    user_bytes: int,
    *,
    users: int,
    usable: int | None = None,
    backend: str | None = None,
) -> tuple[Strategy, int]:
    """The strategy and chunk that `auto` takes; said in one line of the log.

    Args:
      user_bytes: what one user's learning takes at once.
      users: how many there are, on one device.
      usable: bytes that they may take together; by default `memory.usable_bytes()`.
      backend: by default JAX's own.

    Returns:
      ("vmap", 1) for all users at once, or ("map", how many at once).
    """
    usable = memory.usable_bytes() if usable is None else usable
    backend = backend or jax.default_backend()
    rule = next(rule for rule in RULES if rule.applies(backend, user_bytes))
    at_once = 1 if rule.strategy == "map" else fitting(user_bytes, users, usable)
    together = 1 < users == at_once
    strategy, chunk = ("vmap", 1) if together else ("map", at_once)
    say = logger.warning if user_bytes > usable else logger.info
    say(
        "user axis on %s: %s, %d of %d users at once; one takes about %.3g MB, and "
        "%.4g MB may be used (rule: %s, by %s)",
        backend,
        strategy,
        at_once,
        users,
        user_bytes / 1e6,
        usable / 1e6,
        rule.strategy,
        rule.evidence,
    )
    return strategy, chunk


def fitting(user_bytes: int, users: int, usable: int) -> int:
    """How many users to run at once: as few rounds as fit, all about as large.

    Nine users of whom eight fit run as 5 + 4, not as 8 + 1: a round costs as much
    memory with one user missing.
    """
    most = max(1, min(users, usable // max(1, user_bytes)))
    return -(-users // -(-users // most))


def over_users(
    function: Callable[..., Any], *, strategy: Strategy = "vmap", chunk: int = 1
) -> Callable[..., Any]:
    """`function` of one user -> the function of arguments with a leading user axis.

    `chunk` is how many users `map` runs at once; the last chunk may be smaller.

    Raises:
      ValueError: an unknown strategy, or a chunk for another one than "map".
    """
    _check(strategy, chunk)
    if strategy == "auto":

        def chosen(*args):
            one, strategy, chunk = _chosen(function, args)
            return over_users(one, strategy=strategy, chunk=chunk)(*args)

        return chosen
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
        users = _count(args)
        real = jnp.ones(users, bool) if real is None else real
        if strategy == "auto":
            one, chosen, size = _chosen(function, args)
            add_up = sum_over_users(one, strategy=chosen, chunk=size)
            return add_up(*args, real=real)
        if strategy == "map":
            return _carried_sum(function, args, real, size=min(chunk, users))
        return _total(over_users(function, strategy=strategy)(*args), real)

    return summed


def _chosen(function, args):
    """(the function of one user, to be traced no second time; strategy; chunk)."""
    one = jax.jit(function)
    user_bytes = memory.peak_bytes(one.trace(*_first(args)).jaxpr)
    return one, *choose(user_bytes, users=_count(args))


def _first(args):
    """Shapes and types of one user's arguments."""
    return jax.eval_shape(lambda many: jax.tree.map(lambda x: x[0], many), args)


def _count(args):
    return jax.tree.leaves(args)[0].shape[0]


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
    one = jax.eval_shape(function, *_first(args))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), one)

    # One user alone is not batched: an axis of 1 would hide from the layers that there
    # is one kernel.
    run = jax.vmap(function) if size > 1 else _alone(function)

    def add(total, chunk):
        chunk_args, chunk_real = chunk
        added = _total(run(*chunk_args), chunk_real)
        return jax.tree.map(jnp.add, total, added), None

    return jax.lax.scan(add, zeros, (chunks, real))[0]


def _alone(function):
    """`function` of arguments with a user axis of 1, without batching."""

    def run(*args):
        result = function(*jax.tree.map(lambda x: x[0], args))
        return jax.tree.map(lambda x: x[None], result)

    return run


def _total(each, real):
    """The sum over the leading axis where `real` holds."""

    def total(leaf):
        mask = real.reshape(-1, *(1,) * (leaf.ndim - 1))
        return jnp.sum(jnp.where(mask, leaf, jnp.zeros_like(leaf)), axis=0)

    return jax.tree.map(total, each)


def _unroll(function, args):
    users = _count(args)
    each = [jax.tree.map(lambda x, i=i: x[i], args) for i in range(users)]
    results = [function(*one) for one in each]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)
