"""Non-linear feature-based matrix factorisation, PAM's baseline (ICCV 2017, Sec. 5.2).

O'Donovan, Agarwala and Hertzmann, "Collaborative filtering of color aesthetics", 2014.
One layer of logistic units maps an image's features to latent factors, so that images
nobody rated have them too, and a bias of the image; a user's score is

    mean + bias_u + bias(x) + factors_u . V(sigmoid(W x + c))

fitted to all ratings at once, with a penalty on biases and factors. The network belongs
to the training raters, whose ratings are thousands; a test user's bias and factors are
the minimum of the same penalised squared error, given the network, in closed form.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from jiaa.personalize.residual import generic_scores
from jiaa.train.small import Schedule, descend
from jiaa.types import Episode, Examples, ImageStore, UserTasks


class FeatureFactors(nn.Module):
    """Features to an image's bias and factors, by one layer of logistic units."""

    units: int = 200
    factors: int = 15

    @nn.compact
    def __call__(
        self, features: Float[Array, "image feature"]
    ) -> Float[Array, "image bias_and_factor"]:
        """Each image's bias, then its factors."""
        hidden = nn.sigmoid(nn.Dense(self.units, name="hidden")(features))
        return nn.Dense(1 + self.factors, use_bias=False, name="factors")(hidden)


def fit_factorization(
    features: Float[Array | np.ndarray, "image feature"],
    tasks: UserTasks,
    *,
    network: FeatureFactors,
    decay: float = 0.5,
    weight_decay: float = 1e-4,
    steps: int = 3000,
    batch_size: int = 256,
    rate: float = 3e-3,
    key: Key[Array, ""],
) -> dict[str, PyTree]:
    """The training raters' factorisation: what `Factorization` has as its prior.

    Minimises, by Adam on batches of ratings,

        mean of (score - predicted)^2 + decay (|factors_u|^2 + bias_u^2)

    Args:
      features: of all images; standardised inside.
      tasks: the training raters' ratings.
      network: images' factors.
      decay: the penalty of a rater's bias and factors.
      weight_decay: of the network, per step and rate (AdamW).
      steps: of Adam; the rate falls to 0 along a cosine.
      batch_size: ratings a step.
      rate: Adam's first rate.
      key: initial weights and batches.

    Returns:
      {"network", "center", "scale", "mean", "users": {"factors", "bias"}}.
    """
    users, images, scores = _ratings(tasks)
    rated = np.asarray(features)[np.unique(images)]
    center, scale = rated.mean(0), 1.0 / np.maximum(rated.std(0), 1e-6)
    standard = jnp.asarray((np.asarray(features) - center) * scale)
    init_key, user_key, run_key = jax.random.split(key, 3)
    params = {
        "network": network.init(init_key, standard[:1])["params"],
        "users": {
            "factors": 0.1 * jax.random.normal(user_key, (len(tasks), network.factors)),
            "bias": jnp.zeros(len(tasks)),
        },
    }
    mean = float(scores.mean())
    ratings = tuple(jnp.asarray(x) for x in (users, images, scores - mean))

    def loss(params, key):
        rows = jax.random.randint(key, (batch_size,), 0, len(scores))
        user, image, gap = (x[rows] for x in ratings)
        items: Any = network.apply({"params": params["network"]}, standard[image])
        own = jax.tree.map(lambda x: x[user], params["users"])
        predicted = own["bias"] + items[:, 0]
        predicted += jnp.sum(own["factors"] * items[:, 1:], axis=1)
        penalty = jnp.sum(own["factors"] ** 2, axis=1) + own["bias"] ** 2
        return jnp.mean((gap - predicted) ** 2 + decay * penalty)

    schedule = Schedule(steps, batch_size, rate, weight_decay)
    learned = descend(loss, params, schedule, key=run_key)
    constants = {"center": center, "scale": scale, "mean": mean}
    return {**learned, **jax.tree.map(jnp.float32, constants)}


def _ratings(tasks: UserTasks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User row, image row and unit score of every rating."""
    users, columns = np.nonzero(np.asarray(tasks.mask))
    images = np.asarray(tasks.image_ids)[users, columns]
    return users, images, np.asarray(tasks.scores)[users, columns]


@dataclasses.dataclass(frozen=True)
class Factorization:
    """A user's bias and factors, given the training raters' network.

    The prior has what `fit_factorization` gave under "factorization".

    Attributes:
      model: its `score` of the store's features is the generic one, which `init` keeps.
      network: as it was trained.
      columns: first and last + 1 of the features that the network reads.
      decay: the penalty of bias and factors, a rating; above 0.

    Raises:
      ValueError: the decay is not above 0.
    """

    model: nn.Module
    network: FeatureFactors = FeatureFactors()  # noqa: RUF009
    columns: tuple[int, int] | None = None
    decay: float = 0.5

    def __post_init__(self):
        """Refuses a decay with which the solution need not exist."""
        if self.decay <= 0:
            raise ValueError(f"decay is {self.decay}; expected a number above 0")

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior: nothing is meta-learned."""
        return prior

    def init(self, prior: PyTree) -> dict[str, Any]:
        """The generic score."""
        del prior
        return {"own": jnp.zeros(self.network.factors + 1), "rated": jnp.zeros(())}

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """{"own" (bias, then factors), "rated"}: the minimum on the support set."""
        del key
        support = episode.support
        mask = jnp.asarray(support.mask)
        learned = prior["factorization"]
        bias, items = self._items(learned, store.take(support.image_ids))
        items = jnp.where(mask[:, None], items, 0.0)
        gaps = jnp.where(mask, support.scores - learned["mean"] - bias, 0.0)
        strength = self.decay * jnp.maximum(jnp.sum(mask), 1)
        square = items.T @ items + strength * jnp.eye(items.shape[1])
        rated = jnp.any(mask).astype(jnp.float32)
        return {"own": jnp.linalg.solve(square, items.T @ gaps), "rated": rated}

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores; nothing keeps them within (0, 1)."""
        features = store.take(query.image_ids)
        learned = prior["factorization"]
        bias, items = self._items(learned, features)
        own = learned["mean"] + bias + items @ adapted["own"]
        generic = generic_scores(self.model, prior, features)
        return jnp.where(adapted["rated"] > 0, own, generic)

    def _items(self, learned, features) -> tuple[Array, Array]:
        """Each image's bias, and what the user's own part multiplies: 1, factors."""
        chosen = features if self.columns is None else features[:, slice(*self.columns)]
        standard = (chosen - learned["center"][None]) * learned["scale"][None]
        items: Any = self.network.apply({"params": learned["network"]}, standard)
        return items[:, 0], items.at[:, 0].set(1.0)
