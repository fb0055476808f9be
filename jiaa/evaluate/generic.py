"""How well generic models and trait models predict, on images that nobody trained on.

PDMTL's Tables 1 and 2 and PA_IAA's Table I (accuracy, rank and linear correlation,
error, earth mover's distance), Table II (traits of users), Table III (another
database's images) and Table IV (generic score against each trait).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jiaa import metrics
from jiaa.metrics import Measured


def generic_metrics(
    predicted: Float[np.ndarray, " image"],
    target: Float[np.ndarray, " image"],
    *,
    threshold: float,
    predicted_distribution: Float[np.ndarray, "image bin"] | None = None,
    target_distribution: Float[np.ndarray, "image bin"] | None = None,
) -> dict[str, float]:
    """Metric -> value over the images; NaN where a coefficient does not exist.

    Args:
      predicted: unit scores.
      target: the crowd's mean unit scores.
      threshold: unit score above which an image is good: AVA 0.5; for other data, the
        median mean score of the training images.
      predicted_distribution: with `target_distribution` it adds "emd" (eq. 11, r = 2)
        and "emd1" (r = 1).
      target_distribution: shares of the crowd's stars.
    """
    pair = jnp.asarray(predicted), jnp.asarray(target)
    values = {name: _number(x) for name, x in _of_scores(*pair, threshold).items()}
    # PDMTL's column of that name is too small to be a root: it is this, perhaps.
    values["mse"] = values["rmse"] ** 2
    if predicted_distribution is not None and target_distribution is not None:
        both = jnp.asarray(predicted_distribution), jnp.asarray(target_distribution)
        values |= {name: _number(x) for name, x in _of_shares(*both).items()}
    return values


@functools.partial(jax.jit, static_argnums=2)
def _of_scores(predicted, target, threshold) -> dict[str, Measured]:
    mask = jnp.ones(len(target), bool)
    return {
        "acc": metrics.accuracy(predicted, target, mask, threshold=threshold),
        "srocc": metrics.spearman(predicted, target, mask),
        "plcc": metrics.pearson(predicted, target, mask),
        "rmse": metrics.rmse(predicted, target, mask),
    }


@jax.jit
def _of_shares(predicted, target) -> dict[str, Measured]:
    mask = jnp.ones(len(target), bool)
    return {
        "emd": metrics.emd(predicted, target, mask),
        "emd1": metrics.emd(predicted, target, mask, order=1.0),
    }


def _number(measured: Measured) -> float:
    return float(measured.value) if bool(measured.defined) else float("nan")


@jax.jit
def _by_column(one, other) -> Measured:
    mask = jnp.ones(len(one), bool)
    return jax.vmap(metrics.spearman, in_axes=(1, 1, None))(one, other, mask)


def _spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """SROCC of each column; NaN where there is none."""
    found = _by_column(*(jnp.asarray(x, jnp.float32) for x in (one, other)))
    return np.where(np.asarray(found.defined), np.asarray(found.value), np.nan)


def trait_correlations(
    generic: Float[np.ndarray, " image"],
    traits: Float[np.ndarray, "image trait"],
    *,
    names: Sequence[str],
) -> dict[str, float]:
    """Trait -> SROCC of the generic score and the predicted trait (Table IV)."""
    found = _spearman(np.broadcast_to(generic[:, None], traits.shape), traits)
    return dict(zip(names, found.tolist(), strict=True))


def trait_prediction(
    predicted: Float[np.ndarray, "like trait"],
    user: Int[np.ndarray, " like"],
    traits: Float[np.ndarray, "user trait"],
    *,
    names: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Trait -> SROCC of predicted and true traits, over "user" and over "image".

    A user's prediction is the mean over the images that the user likes; over images,
    each like counts with the traits of who liked it (Table II does not say which; users
    are what its folds divide).

    Args:
      predicted: the network's traits of each like's image.
      user: row of `traits` of each like.
      traits: everybody's; users without a like don't count.
      names: of the traits.
    """
    people = np.unique(user)
    mean = np.stack([predicted[user == person].mean(axis=0) for person in people])
    by_user = _spearman(mean, traits[people])
    by_image = _spearman(predicted, traits[user])
    return {
        name: {"user": float(by_user[i]), "image": float(by_image[i])}
        for i, name in enumerate(names)
    }


def user_folds(
    users: int, *, folds: int = 10, seed: int = 0
) -> list[Int[np.ndarray, " user"]]:
    """Disjoint folds of 0..users-1 that hold everybody, as equal as can be.

    Raises:
      ValueError: fewer than two folds, or fewer users than folds.
    """
    if not 2 <= folds <= users:
        raise ValueError(f"{folds} folds of {users} users; expected 2 to {users} folds")
    order = np.random.default_rng([seed, folds]).permutation(users)
    return [np.sort(part) for part in np.array_split(order, folds)]


def held_out(
    user: Int[np.ndarray, " like"],
    image: Int[np.ndarray, " like"],
    fold: Int[np.ndarray, " user"],
) -> tuple[Any, Any]:
    """Rows of likes to (train, test) on: no user and no image is on both sides.

    An image that a user of the fold likes is a test image; other people's likes of it
    are left out.
    """
    test = np.isin(user, fold)
    seen = np.isin(image, image[test])
    return np.flatnonzero(~test & ~seen), np.flatnonzero(test)
