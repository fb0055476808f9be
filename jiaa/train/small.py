"""Training of networks so small that all their steps are one compiled call."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key, PyTree


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a small network is trained: AdamW, the rate along a cosine to 0."""

    steps: int = 1500
    batch_size: int = 64
    rate: float = 3e-3
    weight_decay: float = 1e-3


def descend(
    loss: Callable[..., Array],
    params: PyTree,
    schedule: Schedule,
    *,
    key: Key[Array, ""],
) -> PyTree:
    """`params` after the schedule's steps on `loss(params, key)`, which draws batches.

    Raises:
      FloatingPointError: it diverged.
    """
    rate = optax.cosine_decay_schedule(schedule.rate, schedule.steps)
    optimizer = optax.adamw(rate, weight_decay=schedule.weight_decay)

    @jax.jit
    def run(params):
        def step(carry, number):
            params, state = carry
            gradient = jax.grad(loss)(params, jax.random.fold_in(key, number))
            change, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, change), state), None

        start = params, optimizer.init(params)
        return jax.lax.scan(step, start, jnp.arange(schedule.steps))[0][0]

    learned = run(params)
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(learned)):
        raise FloatingPointError(
            f"weights are not finite after {schedule.steps} steps; lower the rate "
            f"{schedule.rate}"
        )
    return learned
