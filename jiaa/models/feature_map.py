"""Maps between a frozen trunk and a head, fitted to training images.

They make features easy to learn from by few gradient steps. With a `kernel` map a
linear head is a kernel machine for the Gaussian kernel of several blocks of features; a
`unit` map leaves directions, whose products are the blocks' mean cosine.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jiaa.types import value

MAPS = ("none", "standardise", "unit", "kernel")


@value
class Block:
    """One block of features: how it is standardised, its anchors and its frequencies.

    `anchors` are the training images, standardised and of length 1; `frequencies` those
    of random Fourier features; both are empty unless the map is a kernel's.
    """

    mean: Float[Array | np.ndarray, " feature"]
    scale: Float[Array | np.ndarray, " feature"]
    anchors: Float[Array | np.ndarray, "anchor feature"]
    frequencies: Float[Array | np.ndarray, "feature frequency"]
    weight: Float[Array | np.ndarray, ""]

    def standard(
        self, features: Float[Array | np.ndarray, "image feature"]
    ) -> Float[Array, "image feature"]:
        """Each feature with mean 0 and variance 1 over the training images."""
        return jnp.asarray((features - self.mean[None]) * self.scale[None])

    def direction(
        self, features: Float[Array | np.ndarray, "image feature"]
    ) -> Float[Array, "image feature"]:
        """Standardised features of length sqrt(weight)."""
        return _unit(self.standard(features)) * jnp.sqrt(jnp.asarray(self.weight))

    def kernel(
        self, standard: Float[Array, "image feature"], gamma: Any
    ) -> Float[Array, "image anchor"]:
        """Its share of the kernel: weight * exp(-gamma |x - anchor|^2), lengths 1."""
        squared = 2 - 2 * _unit(standard) @ jnp.asarray(self.anchors).T
        return jnp.asarray(self.weight) * jnp.exp(-gamma * jnp.maximum(squared, 0.0))

    def among(
        self, features: Float[Array | np.ndarray, "image feature"], gamma: Any
    ) -> Float[Array, "image image"]:
        """Its share of the kernel between all pairs of these images."""
        standard = self.standard(features)
        return dataclasses.replace(self, anchors=_unit(standard)).kernel(
            standard, gamma
        )

    def waves(
        self, standard: Float[Array, "image feature"]
    ) -> Float[Array, "image wave"]:
        """Cosines and sines whose products approximate the kernel."""
        phase = _unit(standard) @ jnp.asarray(self.frequencies)
        waves = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1)
        return waves * jnp.sqrt(self.weight / self.frequencies.shape[1])


@value
class FeatureMap:
    """Trunk features -> a head's inputs.

    For a kernel k, an image x becomes [n(x), r(x)]: n(x) = k(x, anchors) K^(-1/2), one
    component an eigenvector of the training images' kernel matrix K, largest first
    (Nystroem; Williams and Seeger, NIPS 2000), and r(x), what n leaves of the kernel,
    by random Fourier features (Rahimi and Recht, NIPS 2007) without their part in the
    span of the training images. So phi(x) . phi(y) is close to k(x, y) for all images,
    and r is 0 for training images.
    """

    blocks: tuple[Block, ...]
    whitening: Float[Array | np.ndarray, "anchor component"]
    span: Float[Array | np.ndarray, "direction wave"]
    gamma: Float[Array | np.ndarray, ""]

    def __call__(
        self, features: Float[Array | np.ndarray, "image feature"]
    ) -> Float[Array, "image component"]:
        """The mapped features; blocks follow one another in `features`."""
        ends = np.cumsum([block.mean.shape[0] for block in self.blocks])
        standard = [
            block.standard(part)
            for block, part in zip(
                self.blocks, np.split(features, ends[:-1], axis=1), strict=True
            )
        ]
        if self.whitening.shape[0] == 0:
            return jnp.concatenate(standard, axis=1)
        pairs = list(zip(self.blocks, standard, strict=True))
        kernel = sum(block.kernel(x, self.gamma) for block, x in pairs)
        waves = jnp.concatenate([block.waves(x) for block, x in pairs], axis=1)
        rest = waves - (waves @ jnp.asarray(self.span).T) @ self.span
        return jnp.concatenate([kernel @ self.whitening, rest], axis=1)


@value
class UnitMap:
    """Blocks of features, each standardised and brought to the length sqrt(weight).

    Weights sum to 1: the product of two images is the weighted mean of their blocks'
    cosines. It keeps two numbers a feature and nothing of any image.
    """

    blocks: tuple[Block, ...]

    def __call__(
        self, features: Float[Array | np.ndarray, "image feature"]
    ) -> Float[Array, "image feature"]:
        """The blocks' directions, one after another."""
        ends = np.cumsum([block.mean.shape[0] for block in self.blocks])
        parts = np.split(features, ends[:-1], axis=1)
        return jnp.concatenate(
            [b.direction(x) for b, x in zip(self.blocks, parts, strict=True)], axis=1
        )


Map = FeatureMap | UnitMap


def fit_feature_map(
    features: Float[np.ndarray, "image feature"],
    *,
    widths: Sequence[int],
    kind: str = "standardise",
    weights: Sequence[float] = (),
    gamma: float = 1.0,
    waves: int = 2048,
    jitter: float = 1e-5,
    seed: int = 0,
) -> Map | None:
    """A map fitted to `features`, the training images'; None for the kind "none".

    Args:
      features: blocks of features, one after another.
      widths: how wide each block is.
      kind: one of `MAPS`.
      weights: of the blocks in a unit map or a kernel; brought to the sum 1. Equal by
        default.
      gamma: of the kernel.
      waves: random Fourier features of each block, an even number.
      jitter: on the diagonal of the training images' kernel matrix.
      seed: of the frequencies.

    Raises:
      ValueError: an unknown kind, widths that do not add up, or odd `waves`.
    """
    if kind not in MAPS:
        raise ValueError(f"unknown feature map {kind!r}; known: {MAPS}")
    if sum(widths) != features.shape[1] or waves % 2:
        raise ValueError(
            f"blocks of widths {tuple(widths)} and {waves} waves for features of width "
            f"{features.shape[1]}; expected widths that add up and an even number."
        )
    if kind == "none":
        return None
    shares = np.asarray(weights or [1.0] * len(widths), np.float64)
    parts = np.split(features.astype(np.float64), np.cumsum(widths)[:-1], axis=1)
    gamma_ = np.asarray(gamma, np.float32)
    empty = np.zeros((0, 0), np.float32)
    if kind == "standardise":
        blocks = tuple(_block(part, weight=1.0) for part in parts)
        return FeatureMap(blocks, empty, empty, gamma_)
    shares = shares / shares.sum()
    if kind == "unit":
        pairs = zip(parts, shares, strict=True)
        return UnitMap(tuple(_block(part, weight=share) for part, share in pairs))
    rng = np.random.default_rng(seed)
    blocks = []
    for part, weight in zip(parts, shares, strict=True):
        frequencies = rng.normal(size=(part.shape[1], waves // 2)) * np.sqrt(2 * gamma)
        blocks.append(_block(part, weight=weight, frequencies=frequencies))
    return _with_kernel(tuple(blocks), parts, gamma=gamma_, jitter=jitter)


def _block(
    features: np.ndarray, *, weight: float, frequencies: np.ndarray | None = None
) -> Block:
    mean, spread = features.mean(0), features.std(0)
    # A feature that never varies carries nothing: it becomes 0, not infinite.
    alive = spread > 1e-6 * (np.abs(mean) + 1)
    scale = np.where(alive, 1 / np.maximum(spread, 1e-12), 0.0)
    width = features.shape[1]
    anchors = np.zeros((0, width))
    if frequencies is None:
        frequencies = np.zeros((width, 0))
    else:
        standard = (features - mean) * scale
        norms = np.linalg.norm(standard, axis=1, keepdims=True)
        anchors = standard / np.maximum(norms, 1e-12)
    arrays = (mean, scale, anchors, frequencies, np.asarray(weight))
    return Block(*(np.asarray(array, np.float32) for array in arrays))


def _with_kernel(blocks, parts, *, gamma, jitter) -> FeatureMap:
    # float64: an eigenvalue of 1e-5 drowns in float32 rounding of sums near 1.
    kernel = jitter * np.eye(len(parts[0]))
    for block in blocks:
        anchors = np.asarray(block.anchors, np.float64)
        squared = np.maximum(2 - 2 * anchors @ anchors.T, 0)
        kernel += float(block.weight) * np.exp(-float(gamma) * squared)
    eigenvalues, vectors = np.linalg.eigh(kernel)
    whitening = vectors[:, ::-1] / np.sqrt(eigenvalues[::-1])
    standard = [
        block.standard(part.astype(np.float32))
        for block, part in zip(blocks, parts, strict=True)
    ]
    waves = [
        np.asarray(block.waves(x)) for block, x in zip(blocks, standard, strict=True)
    ]
    span = np.linalg.svd(np.concatenate(waves, axis=1), full_matrices=False)[2]
    return FeatureMap(blocks, whitening.astype(np.float32), span, gamma)


def _unit(x: Float[Array, "image feature"]) -> Float[Array, "image feature"]:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def to_arrays(feature_map: Map) -> dict[str, Any]:
    """The map as nested dictionaries of arrays, which `from_arrays` reads."""
    fields = {
        f.name: getattr(feature_map, f.name) for f in dataclasses.fields(feature_map)
    }
    blocks = {
        str(i): {f.name: getattr(block, f.name) for f in dataclasses.fields(Block)}
        for i, block in enumerate(fields.pop("blocks"))
    }
    return {**fields, "blocks": blocks}


def from_arrays(arrays: dict[str, Any]) -> Map:
    """The map that `to_arrays` took apart."""
    blocks = arrays["blocks"]
    ordered = tuple(Block(**blocks[str(i)]) for i in range(len(blocks)))
    if arrays.keys() == {"blocks"}:
        return UnitMap(ordered)
    return FeatureMap(**{**arrays, "blocks": ordered})
