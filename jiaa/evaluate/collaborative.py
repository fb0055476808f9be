"""CFAN's protocols on held-out pairs: accuracy and AUC (Figs. 7, 8 and 9)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from jiaa.data.interactions import Pairs
from jiaa.models.collaborative import Reviews
from jiaa.train.collaborative import Material, apply_pairs, own_reviews, reviews_of


@functools.partial(jax.jit, static_argnames=("network", "source", "reviews"))
def predict(
    params: PyTree,
    pairs: Pairs,
    rows: Int[Array, " pair"],
    material: Material,
    *,
    network: nn.Module,
    source: str = "others",
    reviews: int = 16,
    key: Key[Array, ""],
) -> dict[str, Float[Array, "pair ..."]]:
    """Logits of each task for some rows of `pairs`, which may be held out.

    Attention comes from the users' *training* reviews of other images, or with the
    source "own" from the pairs' own reviews.
    """
    user = jnp.asarray(pairs.user)[rows]
    image = jnp.asarray(pairs.image)[rows]
    chosen = None
    if network.attends or network.reads_only:  # pyright: ignore
        read = {"source": source, "reviews": reviews, "key": key}
        chosen = _reviews(pairs, rows, material, **read)
    return apply_pairs(network, params, user, image, image, material.store, chosen)


@functools.partial(jax.jit, static_argnames=("network", "source", "reviews"))
def attention(
    params: PyTree,
    pairs: Pairs,
    rows: Int[Array, " pair"],
    material: Material,
    *,
    network: nn.Module,
    source: str = "others",
    reviews: int = 16,
    key: Key[Array, ""],
) -> Float[Array, "pair height width"]:
    """Where users look, the mean over channels (Fig. 4); arguments as of `predict`."""
    assert material.store is not None
    read = {"source": source, "reviews": reviews, "key": key}
    chosen = _reviews(pairs, rows, material, **read)
    content = material.store.take(jnp.asarray(pairs.image)[rows])
    maps = network.apply({"params": params}, content, chosen, method="weights")
    return jnp.mean(jnp.asarray(maps), axis=-1)


def _reviews(
    pairs: Pairs,
    rows: Int[Array, " pair"],
    material: Material,
    *,
    source: str,
    reviews: int,
    key: Key[Array, ""],
) -> Reviews:
    """What the attention to some pairs comes from."""
    if source == "own":
        return own_reviews(pairs, rows)
    user = jnp.asarray(pairs.user)[rows]
    image = jnp.asarray(pairs.image)[rows]
    return reviews_of(material.pairs, user, image, count=reviews, key=key)


def predict_all(
    params: PyTree,
    pairs: Pairs,
    material: Material,
    *,
    network: nn.Module,
    batch_size: int = 4096,
    **options: Any,
) -> dict[str, Float[np.ndarray, "pair ..."]]:
    """`predict` of all rows, on the host; options as there."""
    parts = []
    for start in range(0, len(pairs), batch_size):
        rows = np.arange(start, start + batch_size)
        rows = np.minimum(rows, len(pairs) - 1)  # one program for all batches
        parts.append(
            predict(
                params, pairs, jnp.asarray(rows), material, network=network, **options
            )
        )
    joined = jax.tree.map(lambda *x: np.concatenate([np.asarray(y) for y in x]), *parts)
    return jax.tree.map(lambda x: x[: len(pairs)], joined)


def auc(scores: Float[np.ndarray, " pair"], good: Bool[np.ndarray, " pair"]) -> float:
    """Area under the ROC curve over all pairs together; NaN if all are alike.

    On the host, by average ranks in float64: `metrics.auc` is its twin under `jit`.
    """
    positives = int(good.sum())
    negatives = len(good) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    above = ranks[good].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def user_auc(
    scores: Float[np.ndarray, " pair"],
    good: Bool[np.ndarray, " pair"],
    user: Int[np.ndarray, " pair"],
) -> tuple[float, int]:
    """Mean over users of their own AUC, and how many users have one."""
    order = np.argsort(user, kind="stable")
    ends = np.flatnonzero(np.diff(user[order])) + 1
    values = [auc(scores[rows], good[rows]) for rows in np.split(order, ends)]
    defined = [x for x in values if np.isfinite(x)]
    return (float(np.mean(defined)) if defined else float("nan")), len(defined)


def user_thresholds(
    scores: Float[np.ndarray, " pair"], train: Pairs
) -> Float[np.ndarray, " user"]:
    """A threshold a user that calls as many of their training pairs good as they did.

    For methods that only rank. Users without training pairs get the median of the
    others' thresholds.
    """
    users = len(train.first)
    found = np.full(users, np.nan)
    good, who = np.asarray(train.good), np.asarray(train.user)
    order = np.argsort(who, kind="stable")
    ends = np.flatnonzero(np.diff(who[order])) + 1
    for rows in np.split(order, ends):
        ranked = np.sort(scores[rows])
        bad = len(rows) - int(good[rows].sum())
        edges = np.concatenate([[-np.inf], (ranked[1:] + ranked[:-1]) / 2, [np.inf]])
        found[who[rows[0]]] = edges[bad]
    finite = found[np.isfinite(found)]
    middle = np.median(finite) if len(finite) else 0.0
    return np.where(np.isnan(found), middle, found)


def accuracy(
    predicted: Bool[np.ndarray, " pair"], good: Bool[np.ndarray, " pair"]
) -> float:
    """Share of pairs on the right side."""
    return float(np.mean(predicted == good))


def pair_metrics(
    scores: Float[np.ndarray, " pair"],
    pairs: Pairs,
    *,
    threshold: Float[np.ndarray, " user"] | None = None,
) -> dict[str, float]:
    """One test's "auc" over all pairs, "user_auc" and its "users", "accuracy".

    Scores above the user's `threshold` (None: above 0) call an image good.
    """
    good, user = np.asarray(pairs.good), np.asarray(pairs.user)
    limits = 0.0 if threshold is None else threshold[user]
    own, users = user_auc(scores, good, user)
    return {
        "auc": auc(scores, good),
        "user_auc": own,
        "users": float(users),
        "accuracy": accuracy(scores > limits, good),
    }


def image_verdicts(
    margin: Float[np.ndarray, " pair"],
    image: Int[np.ndarray, " pair"],
    *,
    images: int,
) -> tuple[Int[np.ndarray, " seen"], Bool[np.ndarray, " seen"]]:
    """The images that have pairs, and whether the mean margin of each is above 0.

    A margin is a score less its threshold, above 0 for good.
    """
    count = np.bincount(image, minlength=images)
    total = np.bincount(image, weights=margin, minlength=images)
    seen = np.flatnonzero(count)
    return seen, total[seen] > 0


def by_tag(
    predicted: Bool[np.ndarray, " image"],
    crowd_good: Float[np.ndarray, " image"],
    tag: Int[np.ndarray, " image"],
    *,
    tags: int,
) -> tuple[Float[np.ndarray, " tag"], float]:
    """User-agnostic accuracy on each tag's images, and on all that have one (Fig. 7).

    NaN for a tag without an image whose verdict is known.
    """
    known = np.isfinite(crowd_good) & (tag >= 0)
    right = predicted == (crowd_good > 0.5)
    count = np.bincount(tag[known], minlength=tags)
    correct = np.bincount(tag[known], weights=right[known], minlength=tags)
    each = np.where(count > 0, correct / np.maximum(count, 1), np.nan)
    return each, float(right[known].mean()) if known.any() else float("nan")


def by_reviews(
    scores: Float[np.ndarray, " pair"],
    pairs: Pairs,
    reviews: Int[np.ndarray, " image"],
    *,
    edges: tuple[int, ...],
    threshold: Float[np.ndarray, " user"] | None = None,
) -> list[dict[str, float]]:
    """Accuracy and AUC of pairs whose image has that many reviews (Fig. 9).

    A row for each range from one of `edges` up to the next; the last has no end.
    `threshold` as of `pair_metrics`.
    """
    of_pair = reviews[np.asarray(pairs.image)]
    good = np.asarray(pairs.good)
    limits = 0.0 if threshold is None else threshold[np.asarray(pairs.user)]
    called = scores > limits
    rows = []
    for low, high in zip(edges, (*edges[1:], np.inf), strict=True):
        here = (of_pair >= low) & (of_pair < high)
        rows.append(
            {
                "from": float(low),
                "pairs": float(here.sum()),
                "auc": auc(scores[here], good[here]),
                "accuracy": accuracy(called[here], good[here])
                if here.any()
                else float("nan"),
            }
        )
    return rows
