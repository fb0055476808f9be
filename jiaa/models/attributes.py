"""PAM's attribute network and content classes (ICCV 2017, Sec. 4.1, Fig. 2b, eq. 4)."""

from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from jiaa import types

ATTRIBUTES = 10


class AttributeNetwork(nn.Module):
    """Ten attributes and the aesthetic score from what a fixed trunk gives.

    A Siamese pair: an image with attributes and one with an aesthetic score go through
    the same `block`, the last of the network, which starts as the generic one's and
    alone is learned, with the two outputs; the trunk below it is fixed.

    Attributes:
      block: the trunk's maps or features -> features [image feature].
      attributes: how many there are.
    """

    block: nn.Module
    attributes: int = ATTRIBUTES

    @nn.compact
    def __call__(self, x: Float[Array, "image ..."]) -> dict[str, Array]:
        """{"attributes" [image attribute], "score" [image]}, both linear."""
        features: Any = self.block(x)
        return {
            "attributes": nn.Dense(self.attributes, name="attributes")(features),
            "score": nn.Dense(1, name="score")(features)[:, 0],
        }


class Hidden(nn.Module):
    """A dense layer with ReLU: the block where a trunk's pooled features are all."""

    width: int = 64

    @nn.compact
    def __call__(self, x: Float[Array, "image part"]) -> Float[Array, "image feature"]:
        """The units."""
        return nn.relu(nn.Dense(self.width, name="dense")(x))


@types.value
class ContentClasses:
    """Softmax over clusters of semantic features: PAM's content vector.

    `center` and `scale` standardise the features; `weights` and `bias` are the layer.
    """

    center: Float[Array, " feature"]
    scale: Float[Array, " feature"]
    weights: Float[Array, "feature cluster"]
    bias: Float[Array, " cluster"]

    def __call__(
        self, features: Float[Array, "image feature"]
    ) -> Float[Array, "image cluster"]:
        """Each image's probability of each cluster."""
        standard = (features - self.center[None]) * self.scale[None]
        return nn.softmax(standard @ self.weights + self.bias[None])
