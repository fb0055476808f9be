"""Ridge regression on a user's residuals: the closed-form personaliser.

Plain, it is the baseline that a practitioner tries first: the generic score, and ridge
on what the user's scores leave over. With `MAML` as the outer update it is R2-D2
(Bertinetto et al., ICLR 2019): the prior and the strength are learned through the
solution.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from jiaa import losses
from jiaa.meta.inner import model_params
from jiaa.models.heads import warp_features
from jiaa.types import Episode, Examples, ImageStore


@dataclasses.dataclass(frozen=True)
class Ridge:
    """Predicts generic(x) + offset + weights . phi(x), fitted to the support set.

    Weights and offset minimise |r - offset - Phi w|^2 + lambda |w|^2 for the residuals
    r = score - generic(x): on centred features, w = Phi^T (Phi Phi^T + lambda I)^-1 r
    (Bertinetto et al., eq. 4: the dual, which has as many unknowns as there are shots).

    Attributes:
      model: its `score` of the store's features [image feature] is the generic one.
      width: how many features there are. Where the head has a learned warp
        (`models.heads.WarpedHead`), phi are the warped features.
      strength: lambda, above 0.
      learned: whether lambda is `exp(prior["params"]["inner"]["log_strength"])`.

    Raises:
      ValueError: the strength is not above 0.
    """

    model: nn.Module
    width: int
    strength: float = 1.0
    learned: bool = False

    def __post_init__(self):
        """Refuses a strength that has no logarithm or no solution."""
        if self.strength <= 0:
            raise ValueError(
                f"strength is {self.strength}; expected a number above 0. With more "
                "features than ratings the fit has no single solution without it"
            )

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior with the strength's logarithm added, where it is learned."""
        if not self.learned:
            return prior
        log_strength = jnp.log(jnp.float32(self.strength))
        params = {**prior["params"], "inner": {"log_strength": log_strength}}
        return {**prior, "params": params}

    def init(self, prior: PyTree) -> dict[str, Any]:
        """Nothing on top of the generic score."""
        del prior
        return {"weights": jnp.zeros(self.width), "offset": jnp.zeros(())}

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """{"weights" [feature], "offset"}: the solution on the support set."""
        del key
        support = episode.support
        mask = jnp.asarray(support.mask)
        features = store.take(support.image_ids)
        residual = jnp.where(mask, support.scores, 0.0) - self._generic(prior, features)
        features = warp_features(prior["params"].get("head", {}), features)
        center = jnp.sum(jnp.where(mask[:, None], features, 0.0), axis=0)
        center = center / jnp.maximum(jnp.sum(mask), 1)
        mean = losses.masked_mean(residual, mask)
        # Padding is a zero row: its unknown is 0 whatever the strength.
        centred = jnp.where(mask[:, None], features - center[None], 0.0)
        gap = jnp.where(mask, residual - mean, 0.0)
        kernel = centred @ centred.T + self._strength(prior) * jnp.eye(mask.shape[0])
        weights = centred.T @ jnp.linalg.solve(kernel, gap)
        return {"weights": weights, "offset": mean - center @ weights}

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores; nothing keeps them within (0, 1)."""
        features = store.take(query.image_ids)
        warped = warp_features(prior["params"].get("head", {}), features)
        personal = warped @ adapted["weights"] + adapted["offset"]
        return self._generic(prior, features) + personal

    def _generic(self, prior, features) -> Any:
        variables = {
            "params": model_params(prior),
            "batch_stats": prior["batch_stats"],
        }
        return self.model.apply(variables, features, method="score")

    def _strength(self, prior):
        if self.learned:
            return jnp.exp(prior["params"]["inner"]["log_strength"])
        return self.strength
