"""The inner loop: one user's parameters after a few gradient steps on their ratings.

Slides, "Key idea": theta_i' = Adam(L, theta) for S steps. Everything that a
meta-learner may want to vary is a field of `InnerLoop`: the loss, the optimizer, a rate
per group of parameters (or learned, one per tensor: Li et al., Meta-SGD, 2017), which
parameters adapt, and what BatchNorm does.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa import losses
from jiaa.models.views import FeatureView, View
from jiaa.train import parts
from jiaa.types import Examples, ImageStore


@dataclasses.dataclass(frozen=True)
class InnerOptimizer:
    """What turns a gradient into a step; hashable, so that it can be static under jit.

    `rates` pairs a path pattern with a learning rate; the first that matches wins. With
    `learned`, the rates start there and live on in `prior["params"]["inner"]`.
    """

    name: Literal["adam", "sgd"] = "adam"
    rates: tuple[tuple[str, float], ...] = ((".*", 1e-3),)
    learned: bool = False
    momentum: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    # Second order differentiates the root at gradient 0: it must stay above 0 there.
    eps_root: float = 0.0

    @property
    def direction(self) -> optax.GradientTransformation:
        """The step for a learning rate of 1, uphill."""
        if self.name == "adam":
            return optax.scale_by_adam(self.b1, self.b2, self.eps, self.eps_root)
        if self.name == "sgd":
            return optax.trace(self.momentum) if self.momentum else optax.identity()
        raise ValueError(f"inner optimizer {self.name!r}; expected 'adam' or 'sgd'")

    def initial_rates(self, params: PyTree) -> PyTree:
        """One rate for each tensor of `params`, by path."""
        return parts.values_by_path(params, self.rates)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far users' spreads are trusted: unit scores' usual `spread`, its weight.

    A user's variance is taken as (1 - weight) * sample variance + weight * spread^2.
    """

    spread: float
    weight: float = 0.2

    def scale(self, examples: Examples) -> Float[Array, ""]:
        """The user's spread over the usual one."""
        scores = jnp.where(examples.mask, examples.scores, 0.0)
        mean = losses.masked_mean(scores, jnp.asarray(examples.mask))
        gap = jnp.where(examples.mask, scores - mean, 0.0)
        variance = losses.masked_mean(gap**2, jnp.asarray(examples.mask))
        usual = self.spread**2
        return jnp.sqrt((1 - self.weight) * variance / usual + self.weight)


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

    Attributes:
      model: scores inputs: `model.apply(variables, inputs, mask=, batch_statistics=,
        dropout=, method=)` -> unit scores.
      view: how the store's content becomes the model's input.
      method: the model's method; "score" when the content is a frozen trunk's features.
      optimizer: the inner optimizer.
      adapts: which parameters change: "all", "head", "batch_norm" or a path pattern.
      loss: a name in `losses.LOSSES`, or a function (predicted, target, mask) -> one
        value
        per example.
      reduction: "mean" or "sum" over the images; with "sum", more ratings pull harder
        against `decay`.
      decay: rate of decay towards the prior while adapting, added to the gradient
        (L2-SP: Li et al., ICML 2018).
      calibrate: whether a user's scores are brought to the raters' usual spread first,
        and predictions back to the user's own spread and mean (`Calibration`).
      batch_norm: "frozen" uses the prior's statistics; "reset" and "carry" normalise by
        the batch and update the user's own statistics, which the outer update drops
        ("reset") or averages into the prior's ("carry").
      dropout: whether dropout is active while adapting.
      batch_size: images per step, drawn anew at each step; `None` takes all (the
        papers').
      second_order: whether outer gradients pass through the inner ones.
      remat: recompute activations in the backward pass, for less memory.
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

    def start(self, prior: PyTree) -> dict[str, Any]:
        """The state before any step: what adapts, statistics and optimizer moments."""
        chosen, _ = parts.partition(model_params(prior), self.adapts)
        return {
            "params": chosen,
            "batch_stats": prior["batch_stats"],
            "moments": self.optimizer.direction.init(chosen),
            "scale": jnp.ones(()),
            "offset": jnp.zeros(()),
        }

    def whole(self, prior: PyTree, state: dict[str, Any]) -> PyTree:
        """All parameters of the state's network: what adapted, and the prior's."""
        return self._merged(prior, state["params"])

    def _merged(self, prior: PyTree, chosen: PyTree) -> PyTree:
        _, rest = parts.partition(model_params(prior), self.adapts)
        return parts.merge(chosen, rest)

    def begin(self, prior: PyTree, support: Examples) -> dict[str, Any]:
        """The state before any step; with the user's scale, if the loop calibrates."""
        state = self.start(prior)
        if self.calibrate is None:
            return state
        if self.loss not in SHIFT_FREE:
            raise ValueError(
                f"calibrate needs a loss that no constant changes, one of "
                f"{SHIFT_FREE}; this loop's is {self.loss!r}"
            )
        return {**state, "scale": self.calibrate.scale(support)}

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

    def learnable(self, params: PyTree) -> PyTree:
        """`params` with this loop's own meta-parameters (learned inner rates) added."""
        if not self.optimizer.learned:
            return params
        chosen, _ = parts.partition(params, self.adapts)
        rates = self.optimizer.initial_rates(chosen)
        # Without the gaps of what does not adapt: a file holds arrays alone.
        log_rates = {
            path: jnp.log(jnp.float32(rate))
            for path, rate in traverse_util.flatten_dict(rates).items()
            if rate is not None
        }
        log_rates = traverse_util.unflatten_dict(log_rates)
        return {**params, "inner": {"log_rates": log_rates}}

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
        """The state after `steps` steps on `examples`, and the loss before each."""
        rates = self._rates(prior, state["params"])
        anchor, _ = parts.partition(model_params(prior), self.adapts)
        direction = self.optimizer.direction
        content = store.take(examples.image_ids)
        inputs = None if self.view.augment else self.view.predicting(content)

        def step(state, index):
            step_key = jax.random.fold_in(key, index)
            rows, mask = self._draw(examples.mask, step_key)
            batch = (
                self.view.learning(content[rows], key=jax.random.fold_in(step_key, 1))
                if inputs is None
                else inputs[rows]
            )
            (loss, stats), grads = jax.value_and_grad(self._loss, has_aux=True)(
                state["params"],
                prior,
                state["batch_stats"],
                batch,
                examples.scores[rows] / state["scale"],
                mask,
                jax.random.fold_in(step_key, 2),
            )
            if not self.second_order:
                grads = jax.lax.stop_gradient(grads)
            if self.decay:
                grads = jax.tree.map(
                    lambda grad, param, start: grad + self.decay * (param - start),
                    grads,
                    state["params"],
                    anchor,
                )
            updates, moments = direction.update(grads, state["moments"])
            params = jax.tree.map(
                lambda param, rate, update: param - rate_scale * rate * update,
                state["params"],
                rates,
                updates,
            )
            changed = {"params": params, "batch_stats": stats, "moments": moments}
            return {**state, **changed}, loss

        if self.remat:
            step = jax.checkpoint(step)
        return jax.lax.scan(step, state, jnp.arange(steps))

    def predict(
        self,
        prior: PyTree,
        state: dict[str, Any],
        image_ids: Int[Array | np.ndarray, " image"],
        store: ImageStore,
    ) -> Float[Array, " image"]:
        """Unit scores of images by the state's network."""
        scores = self.model.apply(
            {
                "params": self.whole(prior, state),
                "batch_stats": state["batch_stats"],
            },
            self.view.predicting(store.take(image_ids)),
            method=self.method,
        )
        return state["offset"] + state["scale"] * scores

    def _rates(self, prior, chosen):
        if self.optimizer.learned:
            learned = prior["params"]["inner"]["log_rates"]
            log_rates: dict[tuple, Any] = dict(traverse_util.flatten_dict(learned))
            places = traverse_util.flatten_dict(chosen, keep_empty_nodes=True)
            rates = {
                path: jnp.exp(log_rates[path]) if _is_array(leaf) else leaf
                for path, leaf in places.items()
            }
            return traverse_util.unflatten_dict(rates)
        return self.optimizer.initial_rates(chosen)

    def _draw(self, mask, key):
        """Row numbers of one step's batch, and which are real; padding comes last."""
        if self.batch_size is None or self.batch_size >= mask.shape[0]:
            return jnp.arange(mask.shape[0]), mask
        order = jnp.where(mask, jax.random.uniform(key, mask.shape), jnp.inf)
        rows = jnp.argsort(order)[: self.batch_size]
        return rows, mask[rows]

    def _loss(self, chosen, prior, batch_stats, inputs, scores, mask, key):
        predicted, updated = self.model.apply(
            {"params": self._merged(prior, chosen), "batch_stats": batch_stats},
            inputs,
            mask=mask,
            batch_statistics=self.batch_norm != "frozen",
            dropout=self.dropout,
            rngs={"dropout": key},
            mutable=["batch_stats"],
            method=self.method,
        )
        # A padded row's score may be anything, NaN included: it must not reach the
        # loss.
        scores = jnp.where(mask, scores, 0.0)
        per_image = loss_function(self.loss)(predicted, scores, mask)
        stats = updated.get("batch_stats", batch_stats)
        if self.reduction == "sum":
            return jnp.sum(jnp.where(mask, per_image, 0.0)), stats
        return losses.masked_mean(per_image, mask), stats


def _is_array(leaf: Any) -> bool:
    # `partition` leaves None, or an empty node, where another part has the parameter.
    return hasattr(leaf, "shape")


def loss_function(loss: str | Callable) -> Callable[..., Float[Array, " image"]]:
    """A loss by its name in `losses.LOSSES`; a function is returned as it is."""
    if callable(loss):
        return loss
    if loss not in losses.LOSSES:
        raise ValueError(f"unknown loss {loss!r}; known: {sorted(losses.LOSSES)}")
    return losses.LOSSES[loss]


def model_params(prior: PyTree) -> PyTree:
    """The network's parameters without those of the inner loop itself."""
    return {name: tree for name, tree in prior["params"].items() if name != "inner"}
