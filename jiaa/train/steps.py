"""One step of generic aesthetics: regression of the crowd's mean unit score.

This is BA-PIAA's first stage, and the prior that BLG-PIAA may start from: the same
network trained on the "average aesthetics", the mean of all raters' scores (slides,
note below Table II), by the mean squared error L of "Key idea".
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Shaped

from jiaa.train import mesh as train_mesh
from jiaa.types import ImageStore, TrainState, value

Batch = Int[Array, " image"] | Mapping[str, Array]
Content = Shaped[Array, "image ..."]
Metrics = dict[str, Float[Array, ""]]


@value
class CrowdScores:
    """Mean unit score of each labelled image, and its weight, if any.

    `image_ids` are rows of an `ImageStore`. Weights, such as how many people rated the
    image, are positive; their scale is free.
    """

    image_ids: Int[Array | np.ndarray, " image"]
    scores: Float[Array | np.ndarray, " image"]
    weights: Float[Array | np.ndarray, " image"] | None = None


def generic_step(
    state: TrainState,
    batch: Batch,
    *,
    crowd: CrowdScores,
    store: ImageStore | None,
    apply: Callable[..., Any],
    prepare: Callable[..., Content],
    loss: Callable[..., Float[Array, " image"]],
    optimizer: optax.GradientTransformation,
    mesh: Mesh | None = None,
) -> tuple[TrainState, Metrics]:
    """The state after one gradient step on a batch of labelled images.

    Args:
        state: its key and step give this step's augmentation and dropout, so that a
            resumed run draws the same ones.
        batch: rows of `crowd`; or {"index": rows, "images": uint8 images} from a loader
            that reads ahead, for sets beyond the memory (`store` is None then).
        crowd: what the network shall predict.
        store: uint8 images or features; an argument, because closed over it would be
            compiled in as a constant.
        apply: `apply(variables, inputs, *, mask, batch_statistics, dropout, rngs,
            mutable) -> (unit scores, {"batch_stats": ...})`, a Linen model's `apply`.
        prepare: `prepare(content, key=key) -> inputs`: crops, flips and normalises
            images, or passes features on (`models.views.ImageView.learning`).
        loss: `loss(predicted, target)` -> one value per image.
        optimizer: the transformation that made `state.opt_state`.
        mesh: devices to spread the batch over; they must divide its images.

    Raises:
        ValueError: rows without a store, or a batch that the devices do not divide.
    """
    augmentation_key, dropout_key = jax.random.split(
        jax.random.fold_in(state.key, state.step)
    )
    rows, content = _read(batch, crowd, store, mesh)
    inputs = prepare(content, key=augmentation_key)

    def mean_loss(params):
        variables = {**state.prior, "params": params}
        predicted, updated = _predict(apply, variables, inputs, key=dropout_key)
        weights = None if crowd.weights is None else jnp.take(crowd.weights, rows)
        targets = jnp.take(crowd.scores, rows)
        value = jnp.average(loss(predicted, targets), weights=weights)
        return value, updated.get("batch_stats", state.batch_stats)

    (value, batch_stats), gradient = jax.value_and_grad(mean_loss, has_aux=True)(
        state.params
    )
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    state = state.replace(
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        step=state.step + 1,
    )
    # Where it came from, so that the next step finds the same program.
    state = train_mesh.replicate(state, mesh)
    return state, {"loss": value, "gradient_norm": optax.tree.norm(gradient)}


train_step = jax.jit(
    generic_step,
    static_argnames=("apply", "prepare", "loss", "optimizer", "mesh"),
    donate_argnames="state",
)
"""`generic_step`, compiled; the state that goes in is used up."""


def _read(
    batch: Batch, crowd: CrowdScores, store: ImageStore | None, mesh: Mesh | None
) -> tuple[Int[Array, " image"], Content]:
    """Rows of the crowd's scores, and the images or features that belong to them."""
    batch = train_mesh.shard_images(batch, mesh)
    if isinstance(batch, Mapping):
        return batch["index"], batch["images"]
    if store is None:
        raise ValueError(
            "the batch holds rows only and store is None; expected an ImageStore to "
            "take the images from. Pass store=, or batches of {'index', 'images'}."
        )
    content = store.take(jnp.take(crowd.image_ids, batch))
    return batch, train_mesh.shard_images(content, mesh)


def _predict(apply, variables, inputs, *, key):
    """(unit scores, changed collections), as a network computes while it learns."""
    return apply(
        variables,
        inputs,
        mask=None,
        batch_statistics=True,
        dropout=True,
        rngs={"dropout": key},
        mutable=["batch_stats"],
    )
