"""Features of a frozen trunk, computed once, and maps fitted to them.

When only a head adapts, images go through the backbone once; learning and evaluation
then work on a store of features. A `FeatureMap` makes such features easy to learn from
by few
gradient steps: standardised, or by the Nystroem map of a Gaussian kernel (Williams and
Seeger, NIPS 2000), in which a linear head is a kernel machine.
"""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree
from tqdm import tqdm

from jiaa.models.views import ImageView
from jiaa.types import ImageStore, value

MapKind = Literal["none", "standardise", "rbf"]
MAPS = ("none", "standardise", "rbf")


def trunk_features(
    store: ImageStore,
    *,
    model: nn.Module,
    variables: PyTree,
    view: ImageView,
    image_ids: Int[np.ndarray, " needed"] | None = None,
    flip: bool = False,
    batch_size: int = 32,
    progress: bool = True,
) -> Float[np.ndarray, "image feature"]:
    """`model.features` of the store's images, as `view` predicts them.

    Rows keep the store's numbers; images that are not among `image_ids` (default: all)
    stay zero. With `flip`, the mean of each image's features and its mirror image's.
    """
    needed = np.arange(len(store)) if image_ids is None else np.unique(image_ids)
    result = None
    starts = range(0, len(needed), batch_size)
    for start in tqdm(starts, desc="features", unit="batch", disable=not progress):
        rows = needed[start : start + batch_size]
        # A short last batch repeats its last image, so that one program serves all.
        full = np.pad(rows, (0, batch_size - len(rows)), mode="edge")
        images = jnp.asarray(store.content[full])
        features = np.asarray(_batch_features(model, variables, view, flip, images))
        if result is None:
            result = np.zeros((len(store), features.shape[1]), np.float32)
        result[rows] = features[: len(rows)]
    if result is None:
        raise ValueError("no images to compute features of; pass at least one id.")
    return result


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _batch_features(model, variables, view, flip, images):
    def features(images):
        return model.apply(variables, view.predicting(images), method="features")

    if not flip:
        return features(images)
    return (features(images) + features(images[:, :, ::-1])) / 2


@value
class FeatureMap:
    """Trunk features -> features for a head; fitted to training images only.

    `anchors` and `whitening` are empty unless the map is a kernel's. `gamma` is the
    kernel's width: k(x, y) = exp(-gamma |x - y|^2) of standardised features brought to
    length 1, so that |x - y|^2 is at most 4.
    """

    mean: Float[Array | np.ndarray, " feature"]
    scale: Float[Array | np.ndarray, " feature"]
    anchors: Float[Array | np.ndarray, "anchor feature"]
    whitening: Float[Array | np.ndarray, "anchor component"]
    gamma: Float[Array | np.ndarray, ""]

    def __call__(
        self, features: Float[Array | np.ndarray, "image feature"]
    ) -> Float[Array, "image component"]:
        """The mapped features; training images come out with mean square about 1."""
        standard = (features - self.mean[None]) * self.scale[None]
        if self.anchors.shape[0] == 0:
            return jnp.asarray(standard)
        kernel = _gaussian(_unit(standard), self.anchors, self.gamma)
        return kernel @ jnp.asarray(self.whitening)


def fit_feature_map(
    features: Float[np.ndarray, "image feature"],
    *,
    kind: MapKind = "standardise",
    gamma: float = 1.0,
    jitter: float = 1e-4,
) -> FeatureMap:
    """A map of the given kind; `features` are the training images'.

    "none" passes features on. "standardise" gives each mean 0 and variance 1. "rbf"
    gives one component an eigenvector of the training images' kernel matrix K:
    components are uncorrelated there and their squares sum to the eigenvalues, so that
    phi(x) . phi(y) = k(x, y) for training images, up to `jitter` on K's diagonal.

    Raises:
      ValueError: an unknown kind.
    """
    if kind not in MAPS:
        raise ValueError(f"unknown feature map {kind!r}; known: {MAPS}")
    width = features.shape[1]
    # float64: an eigenvalue of 1e-4 drowns in float32 rounding of a sum near 1.
    mean = features.mean(0, dtype=np.float64)
    spread = features.std(0, dtype=np.float64)
    empty = np.zeros((0, width), np.float32), np.zeros((0, 0), np.float32)
    if kind == "none":
        mean, scale = np.zeros(width), np.ones(width)
    else:
        # A feature that never varies carries nothing: it becomes 0, not infinite.
        scale = np.where(spread > 1e-6 * (np.abs(mean) + 1), 1 / (spread + 1e-12), 0.0)
    anchors, whitening = empty
    if kind == "rbf":
        standard = (features - mean) * scale
        anchors = standard / np.linalg.norm(standard, axis=1, keepdims=True)
        squared = 2 - 2 * anchors @ anchors.T
        kernel = np.exp(-gamma * np.maximum(squared, 0)) + jitter * np.eye(len(anchors))
        eigenvalues, eigenvectors = np.linalg.eigh(kernel)
        order = np.argsort(eigenvalues)[::-1]
        whitening = eigenvectors[:, order] / np.sqrt(eigenvalues[order])
    arrays = (mean, scale, anchors, whitening, np.asarray(gamma))
    return FeatureMap(*(np.asarray(array, np.float32) for array in arrays))


def _unit(x: Array | np.ndarray) -> Array:
    length = jnp.linalg.norm(x, axis=1, keepdims=True)
    return x / jnp.maximum(length, 1e-12)


def _gaussian(x: Array, anchors: Any, gamma: Any) -> Float[Array, "image anchor"]:
    squared = 2 - 2 * x @ jnp.asarray(anchors).T
    return jnp.exp(-gamma * jnp.maximum(squared, 0.0))
