"""Optimizers of inner loops: how far each parameter goes along a gradient.

The slides' Adam ("Key idea") is misprinted: its second moment decays by mu_1, and
neither moment is corrected for its bias. This is Kingma and Ba's (ICLR 2015, Algorithm
1). Rates may be learned by the outer update, one a tensor (Li et al., Meta-SGD, 2017).
"""

import dataclasses
from typing import Any, Literal

import jax.numpy as jnp
import optax
from flax import traverse_util
from jaxtyping import Array, Float, Int, PyTree

from jiaa.train import parts


@dataclasses.dataclass(frozen=True)
class InnerOptimizer:
    """What turns a gradient into a step; hashable, so that it can be static under jit.

    Attributes:
      name: "adam" (Kingma and Ba, ICLR 2015) or "sgd".
      rates: (path pattern, learning rate) pairs; the first that matches a parameter's
        path wins, and every parameter that adapts needs one (`train.parts`).
      learned: whether the rates only start there and are meta-learned, one a tensor, in
        `prior["params"]["inner"]` (Meta-SGD).
      momentum: of "sgd", in [0, 1); velocity = momentum * velocity + gradient.
      b1, b2, eps: of "adam": decay of the two moments, and what is added to the root.
      eps_root: of "adam", added beneath the root. Second order differentiates the root
        at gradient 0: it must stay above 0 there.
      rate_decay: factor of all rates from one epoch to the next; PDMTL's and PA_IAA's
        is 0.9.
      steps_per_epoch: how many steps that is, from the first step of a run.
    """

    name: Literal["adam", "sgd"] = "adam"
    rates: tuple[tuple[str, float], ...] = ((".*", 1e-3),)
    learned: bool = False
    momentum: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 0.0
    rate_decay: float = 1.0
    steps_per_epoch: int = 1

    def rate_scale(self, step: Int[Array, ""]) -> Float[Array, ""] | float:
        """What multiplies the rates at a step of a run, counted from 0."""
        if self.rate_decay == 1.0:
            return 1.0
        return self.rate_decay ** (step // self.steps_per_epoch).astype(jnp.float32)

    @property
    def direction(self) -> optax.GradientTransformation:
        """The step for a learning rate of 1, uphill; ValueError for another name."""
        if self.name == "adam":
            return optax.scale_by_adam(self.b1, self.b2, self.eps, self.eps_root)
        if self.name == "sgd":
            return optax.trace(self.momentum) if self.momentum else optax.identity()
        raise ValueError(f"inner optimizer {self.name!r}; expected 'adam' or 'sgd'")

    def initial_rates(self, chosen: PyTree) -> PyTree:
        """One rate for each tensor of `chosen`, by path; a tree like it, of floats.

        Raises:
          ValueError: a pattern names nothing, or nothing names a tensor.
        """
        return parts.values_by_path(chosen, self.rates)

    def initial_log_rates(self, chosen: PyTree) -> PyTree:
        """What meta-learning starts from: nested dictionaries of scalar logarithms."""
        # Without the gaps of what does not adapt: a file holds arrays alone.
        log_rates = {
            path: jnp.log(jnp.float32(rate))
            for path, rate in traverse_util.flatten_dict(
                self.initial_rates(chosen)
            ).items()
            if rate is not None
        }
        return traverse_util.unflatten_dict(log_rates)

    def rates_of(self, prior: PyTree, chosen: PyTree) -> PyTree:
        """One rate for each tensor of `chosen`: the prior's, if they are learned."""
        if not self.learned:
            return self.initial_rates(chosen)
        learned = prior["params"]["inner"]["log_rates"]
        log_rates: dict[tuple, Any] = dict(traverse_util.flatten_dict(learned))
        places = traverse_util.flatten_dict(chosen, keep_empty_nodes=True)
        rates = {
            path: jnp.exp(log_rates[path]) if _is_array(leaf) else leaf
            for path, leaf in places.items()
        }
        return traverse_util.unflatten_dict(rates)


def _is_array(leaf: Any) -> bool:
    # `partition` leaves None, or an empty node, where another part has the parameter.
    return hasattr(leaf, "shape")
