"""The blended taste: how much of the crowd is in a person, decided by evidence.

    score(x) = offset + a crowd(x) + own(x) + noise,   own ~ GP(0, s noise^2 kernel)

`crowd` is the prior's generic score, a the share of it that holds for this person and s
the strength of their own taste. Each pair (a, s) of a small grid is a hypothesis, from
"exactly the crowd" (a = 1, s = 0) through "the crowd and the own" to "the own alone"
(a = 0). Given a hypothesis the posterior is a closed form (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, eqs. 2.25, 2.30 and 2.42 with the noise's
variance integrated out); the hypotheses are averaged by their posterior probability
(Bayesian model averaging; Hoeting et al., Statistical Science 14, 1999). Their prior
probabilities are learned from training raters and simulated strangers
(`jiaa.personalize.hyper_prior`).
"""

import dataclasses
import math
from numbers import Real
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from jiaa.models.heads import warp_features
from jiaa.personalize.residual import generic_scores
from jiaa.types import Episode, Examples, ImageStore

LOG_PRIOR = "log_prior"  # in prior["params"]["inner"], where it was learned


class Candidates(NamedTuple):
    """One fit to a person's ratings for each hypothesis.

    Attributes:
      log_evidence: log p(ratings | hypothesis), up to a constant.
      offset: what is added to the share of the crowd's score.
      dual: weights of the kernel between a photograph and the rated ones.
    """

    log_evidence: Float[Array, " hypothesis"]
    offset: Float[Array, " hypothesis"]
    dual: Float[Array, "hypothesis shot"]


@dataclasses.dataclass(frozen=True)
class Blend:
    """Averages hypotheses about how much of the crowd is in a person.

    The kernel of two photographs is (c + curvature c^2) / (1 + curvature), where c is
    the cosine of their features (warped, where the head has learned a warp).

    Attributes:
      model: its `score` of the store's features [image feature] is the crowd's.
      width: how many features the store has.
      shots: how long support sets are, padding included: the adapted state keeps the
        features of that many photographs. Only `init` needs it.
      shares: a, at least one; 1 is the whole crowd and 0 none of it.
      strengths: s, the variance of the own taste over that of the noise, above 0. To
        the grid of shares and strengths comes (1, 0), exactly the crowd.
      curvature: weight of the squared cosine, 0 or more.
      noise: usual standard deviation of what cannot be learned, in unit scores.
      confidence: how many ratings the usual noise counts as, above 0.
      log_prior: of each hypothesis, in the order of `hypotheses`, up to a constant;
        (): all alike. What the prior has learned comes first.

    Raises:
      ValueError: a field out of its range, anything but finite numbers, or another
        number of log priors.
    """

    model: nn.Module
    width: int
    shots: int = 1
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    strengths: tuple[float, ...] = (1.0, 3.0, 10.0)
    curvature: float = 2.0
    noise: float = 0.15
    confidence: float = 2.0
    log_prior: tuple[float, ...] = ()

    def __post_init__(self):
        """Checks the ranges."""
        for name in ("shares", "strengths", "log_prior"):
            _check_finite(name, getattr(self, name))
        for name in ("curvature", "noise", "confidence"):
            _check_finite(name, (getattr(self, name),))
        if not self.shares or not self.strengths or min(self.strengths) <= 0:
            raise ValueError(
                f"shares={self.shares}, strengths={self.strengths}; expected one or "
                "more of each, and strengths above 0, such as shares=(0.0, 1.0) and "
                "strengths=(1.0, 10.0)"
            )
        if self.curvature < 0 or min(self.noise, self.confidence) <= 0:
            raise ValueError(
                f"curvature={self.curvature}, noise={self.noise}, confidence="
                f"{self.confidence}; expected a curvature of 0 or more, and the others "
                "above 0"
            )
        if len(self.log_prior) not in (0, len(self.hypotheses)):
            raise ValueError(
                f"{len(self.log_prior)} log priors for {len(self.hypotheses)} "
                "hypotheses; expected one each, or ()"
            )

    @property
    def hypotheses(self) -> tuple[tuple[float, float], ...]:
        """Pairs (share of the crowd, strength of the own taste)."""
        grid = ((a, s) for a in self.shares for s in self.strengths)
        return (*grid, (1.0, 0.0))

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior with the hypotheses' log prior, which training may move."""
        inner = {**prior["params"].get("inner", {}), LOG_PRIOR: self._log_prior(prior)}
        return {**prior, "params": {**prior["params"], "inner": inner}}

    def init(self, prior: PyTree) -> dict[str, Any]:
        """Exactly the crowd."""
        del prior
        return {
            "share": jnp.ones(()),
            "offset": jnp.zeros(()),
            "dual": jnp.zeros(self.shots),
            "support": jnp.zeros((self.shots, self.width)),
        }

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """{"share", "offset", "dual" [shot], "support" [shot feature]}.

        The average of the candidates; `share` is the expected share of the crowd.
        """
        del key
        support = episode.support
        mask = jnp.asarray(support.mask)
        features = store.take(support.image_ids)
        crowd = generic_scores(self.model, prior, features)
        directions = jnp.where(mask[:, None], self.directions(prior, features), 0.0)
        found = self.candidates(
            self.kernel(directions, directions),
            jnp.where(mask, crowd, 0.0),
            jnp.where(mask, support.scores, 0.0),
            mask=mask,
        )
        weights = jax.nn.softmax(found.log_evidence + self._log_prior(prior))
        shares = jnp.asarray([share for share, _ in self.hypotheses])
        # No rating: nothing is known of the person, and the crowd is all there is.
        rated = jnp.any(mask)
        return {
            "share": jnp.where(rated, weights @ shares, 1.0),
            "offset": jnp.where(rated, weights @ found.offset, 0.0),
            "dual": weights @ found.dual,
            "support": directions,
        }

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores; nothing keeps them within (0, 1)."""
        features = store.take(query.image_ids)
        crowd = generic_scores(self.model, prior, features)
        kernel = self.kernel(self.directions(prior, features), adapted["support"])
        return adapted["share"] * crowd + adapted["offset"] + kernel @ adapted["dual"]

    def directions(
        self, prior: PyTree, features: Float[Array, "image feature"]
    ) -> Float[Array, "image feature"]:
        """Features of length 1, then warped where the head has a warp."""
        length = jnp.linalg.norm(features, axis=1, keepdims=True)
        unit = features / jnp.maximum(length, 1e-12)
        return warp_features(prior["params"].get("head", {}), unit)

    def kernel(
        self,
        left: Float[Array, "left feature"],
        right: Float[Array, "right feature"],
    ) -> Float[Array, "left right"]:
        """How alike photographs are to a taste: 1 for the same direction."""
        cosine = left @ right.T
        return (cosine + self.curvature * cosine**2) / (1 + self.curvature)

    def candidates(
        self,
        kernel: Float[Array, "shot shot"],
        crowd: Float[Array, " shot"],
        scores: Float[Array, " shot"],
        *,
        mask: Bool[Array, " shot"],
    ) -> Candidates:
        """The posterior under each hypothesis; masked rows and columns are 0.

        With K = I + s kernel, the offset is the generalised least squares mean of the
        residuals r = scores - a crowd, and the noise's variance has an inverse-gamma
        prior (`noise`, `confidence`).
        """
        values, vectors = jnp.linalg.eigh(kernel)
        values = jnp.maximum(values, 0.0)
        ones = vectors.T @ mask.astype(scores.dtype)
        scores, crowd = vectors.T @ scores, vectors.T @ crowd
        count = jnp.sum(mask)

        def fit(share, strength):
            shrunk = 1.0 / (1.0 + strength * values)
            residual = scores - share * crowd
            mass = jnp.maximum(jnp.sum(ones**2 * shrunk), 1e-12)
            offset = jnp.sum(ones * shrunk * residual) / mass
            gap = residual - offset * ones
            misfit = jnp.sum(gap**2 * shrunk) + self.confidence * self.noise**2
            log_evidence = (
                -0.5 * (count - 1 + self.confidence) * jnp.log(misfit)
                + 0.5 * jnp.sum(jnp.log(shrunk))
                - 0.5 * jnp.log(mass)
            )
            return Candidates(log_evidence, offset, vectors @ (strength * shrunk * gap))

        return jax.vmap(fit)(*jnp.asarray(self.hypotheses).T)

    def _log_prior(self, prior: PyTree) -> Float[Array, " hypothesis"]:
        learned = prior["params"].get("inner", {}).get(LOG_PRIOR)
        if learned is not None and learned.shape == (len(self.hypotheses),):
            return learned
        return jnp.asarray(self.log_prior or (0.0,) * len(self.hypotheses))


def _check_finite(name: str, values: Any) -> None:
    """Checks the numbers of a field.

    Raises:
      ValueError: naming the field, for anything else.
    """
    listed = isinstance(values, tuple | list)
    if not listed or not all(isinstance(x, Real) and math.isfinite(x) for x in values):
        raise ValueError(f"{name}={values!r}; expected finite numbers")
