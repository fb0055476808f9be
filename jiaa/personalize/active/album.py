"""A user's images before any rating, and what their ratings so far have taught."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jiaa.personalize.kernels import Prepared, kernel_matrix, prepare, scale_of
from jiaa.types import value


@value
class Album:
    """What does not change while a user rates; all trials of a protocol share it.

    Attributes:
      kernel: of the regressor's features, between all images, with what solvers share.
      generic: the generic model's unit scores.
      distances: between the images' visual vectors (Algorithm 1).
      mask: the images that are there: False for padding.
    """

    kernel: Prepared
    generic: Float[Array, "*user image"]
    distances: Float[Array, "*user image image"]
    mask: Bool[Array, "*user image"]


@value
class State:
    """One user's ratings so far, and the machine that they gave.

    Attributes:
      scores: unit scores; 0 where the image is not rated.
      rated: which images are.
      coefficients: of the support vectors; 0 for all other images.
      offsets: the machine's prediction for every image: what the user's score is above
        the generic one.
      key: of what strategies draw.
    """

    scores: Float[Array, "*user image"]
    rated: Bool[Array, "*user image"]
    coefficients: Float[Array, "*user image"]
    offsets: Float[Array, "*user image"]
    key: Key[Array, "*user"]


def make_album(
    features: Float[Array, "image feature"],
    generic: Float[Array, " image"],
    *,
    mask: Bool[Array, " image"],
    visual: Float[Array, "image visual"] | None = None,
    visual_weight: float = 0.001,
    kind: str = "rbf",
    gamma: float = 1.0,
) -> Album:
    """One user's album; `vmap` for several, padded to the longest.

    Args:
      features: what the regressor reads: attributes and content in the paper.
      generic: unit scores before any rating.
      mask: the real images.
      visual: what likeness of images is measured by, beside the generic score: 176
        aesthetic features in the paper; by default `features`.
      visual_weight: w_aes of Algorithm 1, the factor of `visual` in the visual vector
        [w_aes * visual, score].
      kind: kernel of the regressor, "rbf" or "linear".
      gamma: its width, as a multiple of `kernels.scale_of` the album's features.
    """
    features = jnp.where(mask[:, None], features, 0.0)
    scale = gamma * scale_of(features, mask)
    kernel = kernel_matrix(features, features, kind=kind, gamma=scale)
    seen = features if visual is None else jnp.where(mask[:, None], visual, 0.0)
    generic = jnp.where(mask, generic, 0.0)
    seen = jnp.concatenate([visual_weight * seen, generic[:, None]], axis=1)
    squares = jnp.sum(seen**2, axis=1)
    squares = squares[:, None] + squares[None] - 2.0 * seen @ seen.T
    distances = jnp.sqrt(jnp.maximum(squares, 0.0))
    return Album(prepare(kernel), generic, distances, mask)
