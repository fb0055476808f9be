"""The inner loop: one user's parameters after a few gradient steps on their ratings.

Slides, "Key idea": theta_i' = Adam(L, theta) for S steps, with L the mean squared error
of unit scores, L = 1/M sum_i (y^_i - y_i)^2. Everything that a meta-learner may want to
vary is a field of `InnerLoop`: the loss, the optimizer, the rates, which parameters
adapt, and what BatchNorm does.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

from jiaa import losses
from jiaa.meta.calibration import Calibration
from jiaa.meta.inner_optimizer import InnerOptimizer
from jiaa.models.views import FeatureView, View
from jiaa.train import parts
from jiaa.types import Examples, ImageStore

__all__ = [
    "Calibration",
    "InnerLoop",
    "InnerOptimizer",
    "carried_statistics",
    "loss_function",
    "model_params",
]


class Batch(NamedTuple):
    """What one inner step learns from."""

    inputs: Shaped[Array, "image ..."]
    scores: Float[Array, " image"]
    mask: Bool[Array, " image"]
    key: Key[Array, ""]  # of dropout


SHIFT_FREE = ("centred", "rank")
CHOICES = {
    "batch_norm": ("frozen", "reset", "carry"),
    "reduction": ("mean", "sum"),
}
FEATURES = FeatureView()
ADAM = InnerOptimizer()


@dataclasses.dataclass(frozen=True)
class InnerLoop:
    """How one user's ratings change the prior; static under jit.

    A prior is `{"params": ..., "batch_stats": ...}`. The state that the methods hand on
    holds "params" (those that adapt, None in place of the others), "batch_stats",
    "moments" of the optimizer, and the user's "scale" and "offset" (`calibrate`).

    Attributes:
      model: scores inputs: `model.apply(variables, inputs, mask=, batch_statistics=,
        dropout=, method=)` -> unit scores. What it computes in (float32 or bfloat16) is
        its own `dtype`; parameters, moments and losses are float32.
      view: how the store's content becomes the model's input.
      method: the model's method; "score" when the content is a frozen trunk's features.
      optimizer: the inner optimizer.
      adapts: which parameters change: "all", "head", "batch_norm", "last" or a path
        pattern (`train.parts`).
      loss: a name in `losses.LOSSES`, or a function (predicted, target, mask) -> one
        value per example.
      reduction: "mean" or "sum" over the images; with "sum", more ratings pull harder
        against `decay`.
      decay: rate of decay towards the prior while adapting, added to the gradient
        (L2-SP: Li et al., ICML 2018); 0 or more.
      calibrate: whether a user's scores are brought to the raters' usual spread first,
        and predictions back to the user's own spread and mean (`Calibration`).
      batch_norm: "frozen" uses the prior's statistics; "reset" and "carry" normalise by
        the batch and update the user's own statistics, which the outer update drops
        ("reset") or averages into the prior's ("carry").
      dropout: whether dropout is active while adapting.
      batch_size: images per step, drawn anew at each step; `None` takes all (the
        papers').
      second_order: whether outer gradients pass through the inner ones.
      remat: for `second_order`: the outer backward pass keeps each step's parameters
        alone and computes its activations again.

    Raises:
      ValueError: an unknown word; second order through adam without `eps_root`;
        `calibrate` with a loss that a constant changes.
    """

    model: nn.Module
    view: View = FEATURES
    method: str = "__call__"
    optimizer: InnerOptimizer = ADAM
    adapts: str = "all"
    loss: str | Callable[..., Float[Array, " image"]] = "mse"
    reduction: str = "mean"
    decay: float = 0.0
    calibrate: Calibration | None = None
    batch_norm: str = "frozen"
    dropout: bool = False
    batch_size: int | None = None
    second_order: bool = False
    remat: bool = False

    def __post_init__(self):
        """Refuses unknown words, and what would give NaN without one."""
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(
                    f"{field} is {getattr(self, field)!r}; expected one of {known}"
                )
        adam = self.optimizer.name == "adam"
        if self.second_order and adam and not self.optimizer.eps_root:
            raise ValueError(
                "second_order through adam with eps_root=0 has a NaN gradient wherever "
                "a gradient is 0; give the inner optimizer eps_root, such as 1e-8"
            )
        if self.calibrate is not None and self.loss not in SHIFT_FREE:
            raise ValueError(
                f"calibrate needs a loss that no constant changes, one of "
                f"{SHIFT_FREE}; this loop's is {self.loss!r}"
            )

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior with this loop's own meta-parameters (learned inner rates) added.

        They are `prior["params"]["inner"]["log_rates"]`, a scalar logarithm a tensor.
        """
        if not self.optimizer.learned:
            return prior
        log_rates = self.optimizer.initial_log_rates(self._chosen(prior))
        params = {**prior["params"], "inner": {"log_rates": log_rates}}
        return {**prior, "params": params}

    def start(self, prior: PyTree) -> dict[str, Any]:
        """The state before any step: what adapts, statistics and optimizer moments."""
        chosen = self._chosen(prior)
        return {
            "params": chosen,
            "batch_stats": prior["batch_stats"],
            "moments": self.optimizer.direction.init(chosen),
            "scale": jnp.ones(()),
            "offset": jnp.zeros(()),
        }

    def begin(self, prior: PyTree, support: Examples) -> dict[str, Any]:
        """The state before any step; with the user's scale, if the loop calibrates."""
        state = self.start(prior)
        if self.calibrate is None:
            return state
        return {**state, "scale": self.calibrate.scale(support)}

    def run(
        self,
        prior: PyTree,
        state: dict[str, Any],
        examples: Examples,
        store: ImageStore,
        *,
        steps: int,
        key: Key[Array, ""],
        rate_scale: Float[Array, ""] | float = 1.0,
    ) -> tuple[dict[str, Any], Float[Array, " step"]]:
        """Adam(L, theta) for S steps from `state` (slides' listing, lines 7 and 8).

        Args:
          prior: what all users share; `decay` pulls towards it.
          state: where to start; of `begin`, or of an earlier run.
          examples: one user's, padded; masked rows play no part.
          store: images or features; `examples.image_ids` are its rows.
          steps: S; 0 leaves the state as it is.
          key: minibatches, augmentation and dropout of step s follow from
            `fold_in(key, s)`.
          rate_scale: multiplies every learning rate.

        Returns:
          The state after `steps` steps, and the loss before each of them.
        """
        content = self._content(examples, store)
        rates = self.optimizer.rates_of(prior, state["params"])
        rates = jax.tree.map(lambda rate: rate_scale * rate, rates)

        def step(state, index):
            step_key = jax.random.fold_in(key, index)
            batch = self._batch(content, examples, state, step_key)
            (loss, stats), gradient = self._gradient(prior, state, batch)
            scale = self.optimizer.rate_scale(index)
            now = jax.tree.map(lambda rate: scale * rate, rates)
            changed = self._descend(prior, state, gradient, now)
            return {**state, **changed, "batch_stats": stats}, loss

        if self.remat:
            step = jax.checkpoint(step)
        return jax.lax.scan(step, state, jnp.arange(steps))

    def first_loss(
        self,
        prior: PyTree,
        state: dict[str, Any],
        examples: Examples,
        store: ImageStore,
        *,
        key: Key[Array, ""],
    ) -> Float[Array, ""]:
        """The loss that `run` with this key would start from."""
        content = self._content(examples, store)
        batch = self._batch(content, examples, state, jax.random.fold_in(key, 0))
        return self._loss(state["params"], prior, state["batch_stats"], batch)[0]

    def finish(
        self, prior: PyTree, state: dict[str, Any], support: Examples, store: ImageStore
    ) -> dict[str, Any]:
        """The state with the user's offset: predictions get the support's mean."""
        if self.calibrate is None:
            return state
        predicted = self.predict(prior, state, support.image_ids, store)
        mask = jnp.asarray(support.mask)
        gap = jnp.where(mask, support.scores - predicted, 0.0)
        return {**state, "offset": state["offset"] + losses.masked_mean(gap, mask)}

    def whole(self, prior: PyTree, state: dict[str, Any]) -> PyTree:
        """All parameters of the state's network: what adapted, and the prior's."""
        return self._merged(prior, state["params"])

    def predict(
        self,
        prior: PyTree,
        state: dict[str, Any],
        image_ids: Int[Array | np.ndarray, " image"],
        store: ImageStore,
    ) -> Float[Array, " image"]:
        """Unit scores of images by the state's network; BatchNorm by its statistics."""
        scores = self.model.apply(
            {
                "params": self.whole(prior, state),
                "batch_stats": state["batch_stats"],
            },
            self.view.predicting(store.take(image_ids)),
            method=self.method,
        )
        return state["offset"] + state["scale"] * scores

    def _chosen(self, prior):
        """The parameters that adapt."""
        return parts.partition(model_params(prior), self.adapts)[0]

    def _merged(self, prior, chosen):
        _, rest = parts.partition(model_params(prior), self.adapts)
        return parts.merge(chosen, rest)

    def _content(self, examples, store):
        """The examples' content, as inputs already if every step sees the same ones."""
        content = store.take(examples.image_ids)
        return content if self.view.augment else self.view.predicting(content)

    def _batch(self, content, examples, state, key) -> Batch:
        """One step's images, with the user's scores at the usual spread."""
        rows, mask = self._draw(examples.mask, key)
        inputs = content[rows]
        if self.view.augment:
            inputs = self.view.learning(inputs, key=jax.random.fold_in(key, 1))
        scores = examples.scores[rows] / state["scale"]
        return Batch(inputs, scores, mask, jax.random.fold_in(key, 2))

    def _draw(self, mask, key):
        """Row numbers of one step's batch, and which are real; padding comes last."""
        if self.batch_size is None or self.batch_size >= mask.shape[0]:
            return jnp.arange(mask.shape[0]), mask
        order = jnp.where(mask, jax.random.uniform(key, mask.shape), jnp.inf)
        rows = jnp.argsort(order)[: self.batch_size]
        return rows, mask[rows]

    def _gradient(self, prior, state, batch):
        """((loss, statistics after the batch), gradient of what adapts)."""
        value, gradient = jax.value_and_grad(self._loss, has_aux=True)(
            state["params"], prior, state["batch_stats"], batch
        )
        if not self.second_order:
            gradient = jax.lax.stop_gradient(gradient)
        return value, gradient

    def _descend(self, prior, state, gradient, rates):
        """Parameters and moments after a step against the gradient."""
        if self.decay:
            gradient = jax.tree.map(
                lambda grad, param, start: grad + self.decay * (param - start),
                gradient,
                state["params"],
                self._chosen(prior),
            )
        updates, moments = self.optimizer.direction.update(gradient, state["moments"])
        params = jax.tree.map(
            lambda param, rate, update: param - rate * update,
            state["params"],
            rates,
            updates,
        )
        return {"params": params, "moments": moments}

    def _loss(self, chosen, prior, batch_stats, batch: Batch):
        """(loss of the batch, BatchNorm statistics after it)."""
        predicted, updated = self.model.apply(
            {"params": self._merged(prior, chosen), "batch_stats": batch_stats},
            batch.inputs,
            mask=batch.mask,
            batch_statistics=self.batch_norm != "frozen",
            dropout=self.dropout,
            rngs={"dropout": batch.key},
            mutable=["batch_stats"],
            method=self.method,
        )
        # A padded row's score may be anything, NaN included: it must not reach the
        # loss.
        scores = jnp.where(batch.mask, batch.scores, 0.0)
        per_image = loss_function(self.loss)(predicted, scores, batch.mask)
        stats = updated.get("batch_stats", batch_stats)
        if self.reduction == "sum":
            return jnp.sum(jnp.where(batch.mask, per_image, 0.0)), stats
        return losses.masked_mean(per_image, batch.mask), stats


def carried_statistics(learner: Any, state: PyTree) -> PyTree:
    """BatchNorm statistics of a user's state that outer updates average, or ().

    `learner` is an `InnerLoop`, or has one as `.loop`; they are averaged if its
    `batch_norm` is "carry".
    """
    loop = getattr(learner, "loop", learner)
    if getattr(loop, "batch_norm", None) != "carry":
        return ()
    return state["batch_stats"]


def loss_function(loss: str | Callable) -> Callable[..., Float[Array, " image"]]:
    """A loss by its name in `losses.LOSSES`; a function is returned as it is.

    Raises:
      ValueError: an unknown name; lists the known ones.
    """
    if callable(loss):
        return loss
    if loss not in losses.LOSSES:
        raise ValueError(f"unknown loss {loss!r}; known: {sorted(losses.LOSSES)}")
    return losses.LOSSES[loss]


def model_params(prior: PyTree) -> PyTree:
    """The network's parameters without those of the inner loop itself."""
    return {name: tree for name, tree in prior["params"].items() if name != "inner"}
