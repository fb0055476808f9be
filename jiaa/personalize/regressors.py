"""What learns a user's offsets from few ratings: nu-SVR and Bayesian ridge.

A regressor is a frozen dataclass, static under `jit`, written for one user. `fit` gives
a pytree of fixed shape, from which `predict` tells the targets of other images.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jiaa.personalize import nu_svr
from jiaa.personalize.bayesian_ridge import fit_bayesian_ridge
from jiaa.personalize.kernels import KERNELS, kernel_matrix, prepare, scale_of

Fitted = dict[str, Any]


@runtime_checkable
class Regressor(Protocol):
    """What `Residual` takes."""

    def fit(
        self,
        features: Float[Array, "shot feature"],
        targets: Float[Array, " shot"],
        mask: Bool[Array, " shot"],
    ) -> Fitted:
        """What was learned from the masked rows."""
        ...

    def empty(self, shots: int, width: int) -> Fitted:
        """What predicts 0 for every image; of the shapes that `fit` gives."""
        ...

    def predict(
        self, fitted: Fitted, features: Float[Array, "image feature"]
    ) -> Float[Array, " image"]:
        """Targets of the images."""
        ...


@dataclasses.dataclass(frozen=True)
class NuSVR:
    """nu-SVR of PAM's eq. 3, with the settings chosen on the support set if several.

    Where more than one combination is given, each is fitted to `folds` parts of the
    support set, and the one of least squared error on the ratings left out is taken.
    Folds, C and nu share one inverse of the kernel.

    Attributes:
      kernel: "rbf" or "linear".
      c: upper bounds C to choose from, as in libsvm: eq. 3's divided by the number of
        ratings.
      nu: shares of support vectors to choose from, in (0, 1].
      gamma: widths to choose from, as multiples of `kernels.scale_of` the support set.
      folds: of the choice, at least 2.
      gap: the duality gap to stop at (`nu_svr.SupportVectors`).

    Raises:
      ValueError: an unknown kernel, no setting to choose from, or one out of range.
    """

    kernel: str = "rbf"
    c: tuple[float, ...] = (1.0,)
    nu: tuple[float, ...] = (0.5,)
    gamma: tuple[float, ...] = (1.0,)
    folds: int = 5
    gap: float = 1e-5

    def __post_init__(self):
        """Refuses what the solver cannot take."""
        if self.kernel not in KERNELS:
            raise ValueError(f"unknown kernel {self.kernel!r}; known: {KERNELS}")
        for name in ("c", "nu", "gamma"):
            values = getattr(self, name)
            several = isinstance(values, tuple) and len(values) > 0
            if not several or not all(0 < x < float("inf") for x in values):
                raise ValueError(
                    f"{name}={values!r}; expected a tuple of one or more numbers above "
                    "0, such as (0.1, 1.0)"
                )
        if max(self.nu) > 1 or not isinstance(self.folds, int) or self.folds < 2:
            raise ValueError(
                f"nu={self.nu}, folds={self.folds}; expected nu of at most 1, and at "
                "least two folds"
            )
        if not self.gap > 0:
            raise ValueError(f"gap={self.gap}; expected a duality gap above 0")

    def fit(
        self,
        features: Float[Array, "shot feature"],
        targets: Float[Array, " shot"],
        mask: Bool[Array, " shot"],
    ) -> Fitted:
        """{"support", "coefficients", "offset", "gamma", "gap"}."""
        features = jnp.where(mask[:, None], features, 0.0)
        scale = scale_of(features, mask)
        settings = jnp.asarray([(c, nu) for c in self.c for nu in self.nu])
        kernels = [self._kernel(features, features, g * scale) for g in self.gamma]
        prepared = jax.vmap(prepare)(jnp.stack(kernels))
        if len(kernels) * len(settings) == 1:
            at = best = jnp.int32(0)
        else:
            errors = jax.vmap(self._errors, in_axes=(0, None, None, None))(
                prepared, targets, mask, settings
            )
            at, best = jnp.unravel_index(jnp.argmin(errors), errors.shape)
        chosen = jax.tree.map(lambda leaf: leaf[at], prepared)
        c, nu = settings[best]
        found = nu_svr.fit_nu_svr(chosen, targets, mask=mask, c=c, nu=nu, gap=self.gap)
        return {
            "support": features,
            "coefficients": found.coefficients,
            "offset": found.offset,
            "gamma": jnp.asarray(self.gamma, features.dtype)[at] * scale,
            "gap": found.gap,
        }

    def empty(self, shots: int, width: int) -> Fitted:
        """The machine without support vectors."""
        zero = jnp.zeros(())
        return {
            "support": jnp.zeros((shots, width)),
            "coefficients": jnp.zeros(shots),
            "offset": zero,
            "gamma": zero,
            "gap": zero,
        }

    def predict(
        self, fitted: Fitted, features: Float[Array, "image feature"]
    ) -> Float[Array, " image"]:
        """sum_i coefficients_i k(x_i, x) + offset."""
        kernel = self._kernel(features, fitted["support"], fitted["gamma"])
        return kernel @ fitted["coefficients"] + fitted["offset"]

    def _kernel(self, left, right, gamma):
        return kernel_matrix(left, right, kind=self.kernel, gamma=gamma)

    def _errors(self, prepared, targets, mask, settings):
        """Squared error on the ratings left out, of each setting; one kernel."""
        # By rank among the real ratings, which come in random order.
        fold = jnp.where(mask, (jnp.cumsum(mask) - 1) % self.folds, -1)

        def error(setting, part):
            held_out = fold == part
            found = nu_svr.fit_nu_svr(
                prepared,
                targets,
                mask=mask & ~held_out,
                c=setting[0],
                nu=setting[1],
                gap=self.gap,
            )
            scores = prepared.kernel @ found.coefficients + found.offset
            return jnp.sum(jnp.where(held_out, (targets - scores) ** 2, 0.0))

        by_fold = jax.vmap(error, in_axes=(None, 0))
        errors = jax.vmap(by_fold, in_axes=(0, None))
        return jnp.sum(errors(settings, jnp.arange(self.folds)), axis=1)


@dataclasses.dataclass(frozen=True)
class BayesianRidge:
    """Bayesian ridge regression: strengths by the evidence (`bayesian_ridge`).

    Attributes:
      weight: how many ratings `noise` and `prior` count as; 0 leaves the strengths to
        the user's ratings alone, as scikit-learn does.
      noise: the usual variance of what cannot be learned, such as training raters'.
      prior: the usual variance of a weight.
      steps: of the fixed-point iteration.

    Raises:
      ValueError: a negative weight, or a variance that is not above 0.
    """

    weight: float = 0.0
    noise: float = 1.0
    prior: float = 1.0
    steps: int = 100

    def __post_init__(self):
        """Refuses what is no variance."""
        if self.weight < 0 or min(self.noise, self.prior) <= 0:
            raise ValueError(
                f"weight={self.weight}, noise={self.noise}, prior={self.prior}; "
                "expected a weight of 0 or more and variances above 0"
            )

    def fit(
        self,
        features: Float[Array, "shot feature"],
        targets: Float[Array, " shot"],
        mask: Bool[Array, " shot"],
    ) -> Fitted:
        """{"weights", "offset"}."""
        return fit_bayesian_ridge(
            features,
            targets,
            mask=mask,
            weight=self.weight,
            noise=self.noise,
            prior=self.prior,
            steps=self.steps,
        )

    def empty(self, shots: int, width: int) -> Fitted:
        """Weights of 0."""
        del shots
        return {"weights": jnp.zeros(width), "offset": jnp.zeros(())}

    def predict(
        self, fitted: Fitted, features: Float[Array, "image feature"]
    ) -> Float[Array, " image"]:
        """The targets, weights . x + offset."""
        return features @ fitted["weights"] + fitted["offset"]


REGRESSORS: dict[str, type] = {"nu_svr": NuSVR, "bayesian_ridge": BayesianRidge}
