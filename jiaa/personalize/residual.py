"""PAM: the generic score and a regression of the user's offsets (ICCV 2017, Sec. 4.1).

    score(x) = generic(x) + regressor(x),   fitted to  user's score - generic(x)

With nu-SVR of an RBF kernel on attributes and content it is the paper's (eq. 3); with
Bayesian ridge, what a practitioner would try first; on raw scores in place of offsets,
the paper's SVM baseline (Table 4).
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from jiaa.meta.inner import model_params
from jiaa.models.heads import warp_features
from jiaa.personalize.regressors import NuSVR, Regressor
from jiaa.types import Episode, Examples, ImageStore

TARGETS = ("offset", "score")


@dataclasses.dataclass(frozen=True)
class Residual:
    """The generic score of each image and what a regressor adds to it.

    Attributes:
      model: its `score` of the store's features [image feature] is the generic one.
      width: how many features the store has.
      shots: how long support sets are, padding included: the adapted state of a machine
        holds that many support vectors. Only `init` needs it.
      regressor: `NuSVR` or `BayesianRidge`.
      columns: first and last + 1 of the features that the regressor reads; by default
        all. Where the head has a learned warp, they are warped.
      target: "offset" (PAM), or "score": the regressor predicts scores on its own, and
        the generic score serves only before any rating.

    Raises:
      ValueError: an unknown target, or columns that are none.
    """

    model: nn.Module
    width: int
    shots: int = 1
    regressor: Regressor = NuSVR()  # noqa: RUF009
    columns: tuple[int, int] | None = None
    target: str = "offset"

    def __post_init__(self):
        """Refuses targets and columns that do not exist."""
        if self.target not in TARGETS:
            raise ValueError(f"unknown target {self.target!r}; known: {TARGETS}")
        first, end = self.columns or (0, self.width)
        if not 0 <= first < end <= self.width:
            raise ValueError(
                f"columns={self.columns}; expected 0 <= first < end <= {self.width}, "
                "the number of features"
            )

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior: nothing is meta-learned."""
        return prior

    def init(self, prior: PyTree) -> dict[str, Any]:
        """No offset on top of the generic score."""
        del prior
        first, end = self.columns or (0, self.width)
        empty = self.regressor.empty(self.shots, end - first)
        return {"fitted": empty, "generic_share": jnp.ones(())}

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """The regressor fitted to the support set."""
        del key
        support = episode.support
        mask = jnp.asarray(support.mask)
        features = store.take(support.image_ids)
        scores = jnp.where(mask, support.scores, 0.0)
        share = jnp.float32(self.target == "offset")
        targets = scores - share * generic_scores(self.model, prior, features)
        fitted = self.regressor.fit(self._chosen(prior, features), targets, mask)
        # Nothing learned: the generic score is all there is.
        share = jnp.where(jnp.any(mask), share, 1.0)
        return {"fitted": fitted, "generic_share": share}

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores; nothing keeps them within (0, 1)."""
        features = store.take(query.image_ids)
        personal = self.regressor.predict(
            adapted["fitted"], self._chosen(prior, features)
        )
        generic = generic_scores(self.model, prior, features)
        return adapted["generic_share"] * generic + personal

    def _chosen(self, prior, features):
        warped = warp_features(prior["params"].get("head", {}), features)
        return warped if self.columns is None else warped[:, slice(*self.columns)]


def generic_scores(
    model: nn.Module, prior: PyTree, features: Float[Array, "image feature"]
) -> Float[Array, " image"]:
    """The prior's own score of each image."""
    variables = {"params": model_params(prior), "batch_stats": prior["batch_stats"]}
    return model.apply(variables, features, method="score")  # pyright: ignore
