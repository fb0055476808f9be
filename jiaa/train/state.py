"""The state that a training step takes and returns."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key, PyTree

from jiaa.types import TrainState


def create_train_state(
    variables: Mapping[str, PyTree],
    *,
    optimizer: optax.GradientTransformation,
    key: Key[Array, ""],
) -> TrainState:
    """The state at step 0, from a model's `{"params": ..., "batch_stats": ...}`.

    `batch_stats` may be missing (a model without BatchNorm). The arrays are copies:
    training steps donate the state's buffers, and `variables` has to outlive them.

    Raises:
        ValueError: `variables` has no params, or a collection that would be lost.
    """
    unknown = sorted(set(variables) - {"params", "batch_stats"})
    if "params" not in variables or unknown:
        raise ValueError(
            f"variables has the collections {sorted(variables)}; expected 'params' and "
            "perhaps 'batch_stats'. Pass these two of what the model's init returned."
        )
    params = copy(variables["params"])
    return TrainState(
        params=params,
        batch_stats=copy(variables.get("batch_stats", {})),
        opt_state=optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
        key=jnp.copy(key),
    )


def copy(tree: PyTree) -> PyTree:
    """The same values in buffers of their own, on the same devices."""
    return jax.tree.map(jnp.copy, tree)


def first_bad_leaf(state: TrainState) -> str | None:
    """Path of a leaf that is not finite ("params/head/kernel"), or None: all are well.

    The optimizer's state may hold infinities (a best loss so far), but no NaN.
    """
    parts = {"params": state.params, "batch_stats": state.batch_stats}
    finite = _all_finite(parts, state.opt_state)
    for path, good in jax.tree_util.tree_leaves_with_path(jax.device_get(finite)):
        if not good:
            return jax.tree_util.keystr(path, simple=True, separator="/")
    return None


@jax.jit
def _all_finite(parts: dict[str, PyTree], opt_state: PyTree) -> dict[str, Any]:
    def holds(test):
        def of(leaf):
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                return jnp.array(True)
            return jnp.all(test(leaf))

        return of

    checked = jax.tree.map(holds(jnp.isfinite), parts)
    return {
        **checked,
        "opt_state": jax.tree.map(holds(lambda leaf: ~jnp.isnan(leaf)), opt_state),
    }
