"""Gradient maps: the pixels in which a small change changes the score most.

The slides' "Visual results" compare those of the prior and of a user's model. Vanilla
gradients: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", ICLR
workshop 2014, Sec. 3.1 (the method of the notebook that the slides name).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree, Shaped, UInt8
from scipy import ndimage

from jiaa.types import Examples, ImageStore, Personalizer

# Pixels [image height width 3], 0..255, of one image or more -> unit scores.
ScoreFn = Callable[[Float[Array, "image height width 3"]], Float[Array, " image"]]


def gradient_maps(
    score_fn: ScoreFn,
    images: UInt8[np.ndarray, "image height width 3"]
    | Float[np.ndarray, "image height width 3"],
    *,
    blur: float = 0.0,
) -> Float[np.ndarray, "image height width"]:
    """|d score / d pixel| of each image, the largest over its three colours.

    Each map is divided by its own maximum, so it lies in [0, 1]; where the score
    depends on no pixel it is 0. Images go through `score_fn` one at a time: no other
    image can have a part in a map.

    Args:
      score_fn: differentiable scores of pixels in 0..255.
      images: photographs of the size that `score_fn` takes.
      blur: standard deviation in pixels of a Gaussian that smooths the maps before they
        are divided.
    """
    if not isinstance(score_fn, Partial):
        score_fn = Partial(score_fn)
    maps = np.asarray(_gradients(score_fn, jnp.asarray(images, jnp.float32)))
    if blur:
        maps = ndimage.gaussian_filter(maps, (0, blur, blur))
    peak = maps.max((1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1.0)


# A Partial's arrays are arguments: the models of several users share one program.
@jax.jit
def _gradients(
    score_fn: Partial, images: Float[Array, "image height width 3"]
) -> Float[Array, "image height width"]:
    def one(image: Float[Array, "height width 3"]) -> Float[Array, "height width"]:
        gradient = jax.grad(lambda pixels: score_fn(pixels[None])[0])(image)
        return jnp.max(jnp.abs(gradient), axis=-1)

    return jax.lax.map(one, images)


def pixel_scores(
    personalizer: Personalizer,
    prior: PyTree,
    adapted: PyTree,
    *,
    store: ImageStore,
    content: Callable[
        [Float[Array, "image height width 3"]], Shaped[Array, "image ..."]
    ],
) -> ScoreFn:
    """A user's model as a function of pixels, so that it can be differentiated.

    Args:
      personalizer: the method.
      prior: what all users share.
      adapted: the user's; that of `personalizer.init(prior)` gives the prior's scores.
      store: of the kind that the method learned from, images or features.
      content: pixels in 0..255 -> what such a store holds of them: the pixels
        themselves, or a frozen trunk's features (behind their map).
    """
    structure = jax.tree.structure(store)
    return Partial(_PixelScores(personalizer, content, structure), prior, adapted)


@dataclasses.dataclass(frozen=True)
class _PixelScores:
    personalizer: Personalizer
    content: Callable[[Array], Array]
    structure: Any  # of the store, a PyTreeDef

    def __call__(
        self,
        prior: PyTree,
        adapted: PyTree,
        pixels: Float[Array, "image height width 3"],
    ) -> Float[Array, " image"]:
        # A pytree may hold what the constructor refuses: pixels that are no integers.
        store = jax.tree.unflatten(self.structure, [self.content(pixels)])
        count = pixels.shape[0]
        query = Examples(jnp.arange(count), jnp.zeros(count), jnp.ones(count, bool))
        return self.personalizer.predict(prior, adapted, query, store)
