"""Learning PAM's twenty features: attributes by eq. 4, content by clusters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa.losses import attribute_loss
from jiaa.models.attributes import AttributeNetwork, ContentClasses
from jiaa.train.small import Schedule, descend


def fit_attributes(
    network: AttributeNetwork,
    rated: tuple[Float[Array, "image ..."], Float[Array, " image"]],
    described: tuple[Float[Array, "image ..."], Float[Array, "image attribute"]],
    *,
    weight: float = 0.1,
    schedule: Schedule = Schedule(),  # noqa: B008
    params: PyTree = None,
    key: Key[Array, ""],
) -> PyTree:
    """Parameters of the pair: eq. 4, loss = loss_aes + sum_i 0.1 loss_att_i.

    Each step takes a batch of images with scores and one of images with attributes,
    which may be other images.

    Args:
      network: of both streams.
      rated: the fixed trunk's outputs and mean unit scores.
      described: the same and attributes, in the unit that predictions will have.
      weight: w_i of eq. 4, the same for all attributes.
      schedule: of the training.
      params: to start from, such as with the generic network's last block.
      key: initial weights and batches.

    Raises:
      FloatingPointError: it diverged.
    """
    init_key, run_key = jax.random.split(key)
    if params is None:
        params = network.init(init_key, rated[0][:1])["params"]

    def loss(params, key):
        one, other = jax.random.split(key)
        images, scores = _batch(rated, schedule.batch_size, key=one)
        error = network.apply({"params": params}, images)["score"] - scores  # pyright: ignore
        aesthetic = 0.5 * jnp.mean(error**2)
        images, observed = _batch(described, schedule.batch_size, key=other)
        predicted = network.apply({"params": params}, images)["attributes"]  # pyright: ignore
        return aesthetic + jnp.mean(attribute_loss(predicted, observed, weight=weight))

    return descend(loss, params, schedule, key=run_key)


def fit_content(
    features: Float[np.ndarray, "image feature"],
    *,
    clusters: int = 10,
    schedule: Schedule = Schedule(rate=1e-2),  # noqa: B008
    key: Key[Array, ""],
) -> ContentClasses:
    """k-means on semantic features, then a softmax layer that tells the clusters.

    Args:
      features: the image classifier's average-pooled ones, of the training images.
      clusters: k, 10 in the paper.
      schedule: of the layer, by cross-entropy.
      key: first centres and batches.
    """
    center, scale = features.mean(0), 1.0 / np.maximum(features.std(0), 1e-6)
    standard = jnp.asarray((features - center) * scale)
    start, run = jax.random.split(key)
    labels = k_means(standard, clusters=clusters, key=start)
    shapes = (features.shape[1], clusters)
    layer = {"weights": jnp.zeros(shapes), "bias": jnp.zeros(clusters)}

    def loss(layer, key):
        x, label = _batch((standard, labels), schedule.batch_size, key=key)
        logits = x @ layer["weights"] + layer["bias"][None]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, label))

    layer = descend(loss, layer, schedule, key=run)
    return ContentClasses(jnp.float32(center), jnp.float32(scale), **layer)


def k_means(
    points: Float[Array, "image feature"],
    *,
    clusters: int,
    steps: int = 50,
    key: Key[Array, ""],
) -> Int[Array, " image"]:
    """Each point's cluster, by Lloyd's steps from k-means++ centres.

    Raises:
      ValueError: fewer points than clusters.
    """
    if len(points) < clusters:
        raise ValueError(f"{len(points)} points make no {clusters} clusters")

    def distances(centres):
        squares = jnp.sum(centres**2, axis=1)[None] - 2.0 * points @ centres.T
        return squares + jnp.sum(points**2, axis=1)[:, None]

    def add(carry, key):
        nearest, _ = carry
        row = jax.random.categorical(key, jnp.log(jnp.maximum(nearest, 1e-12)))
        gap = jnp.sum((points - points[row][None]) ** 2, axis=1)
        return (jnp.minimum(nearest, gap), row), points[row]

    start = (jnp.full(len(points), 1e12), jnp.int32(0))
    _, centres = jax.lax.scan(add, start, jax.random.split(key, clusters))

    def step(_, centres):
        member = jax.nn.one_hot(jnp.argmin(distances(centres), axis=1), clusters)
        size = jnp.sum(member, axis=0)[:, None]
        mean = member.T @ points / jnp.maximum(size, 1)
        return jnp.where(size > 0, mean, centres)

    centres = jax.lax.fori_loop(0, steps, step, centres)
    return jnp.argmin(distances(centres), axis=1)


def _batch(arrays, size, *, key):
    rows = jax.random.randint(key, (size,), 0, len(arrays[0]))
    return tuple(x[rows] for x in arrays)
