"""Aesthetics and tags by one CNN whose tasks' relation is learned: MTRLCNN.

Y. Kao, R. He, K. Huang, "Deep aesthetic quality assessment with semantic information",
IEEE TIP 26(3), 2017: CFAN's user-agnostic baseline. The penalty tr(W R^-1 W^T) on the
tasks' last layers W, with the relation R of trace 1, is minimal over R for R = (W^T
W)^(1/2) / tr(W^T W)^(1/2) (Zhang and Yeung, UAI 2010), where it is the squared sum of
W's singular values: that is what `relation_penalty` gives, so R needs no steps.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, Shaped


class MTRLCNN(nn.Module):
    """The methods of `models.collaborative`, for a network that knows no users.

    Attributes:
      trunk: makes flat maps of uint8 images (`image_maps.MapTrunk`); None where the
        content already is the maps.
      channels: of the maps; the tasks share a layer on their mean over positions.
      tags: how many there are.
      width: of the shared layer.
    """

    channels: int
    tags: int
    trunk: nn.Module | None = None
    width: int = 128

    tasks = ("crowd", "tag")
    attends = reads_only = False

    def setup(self):
        """The shared layer and the two tasks' last ones."""
        self.shared = nn.Dense(self.width)
        self.crowd = nn.Dense(1)
        self.tag = nn.Dense(self.tags)

    def __call__(
        self,
        user: Int[Array, " pair"],
        image: Int[Array, " pair"],
        content: Shaped[Array, "pair ..."] | None = None,
        reviews: None = None,
    ) -> dict[str, Array]:
        """Logits: "crowd" [pair], "tag" [pair tag]."""
        return self.judge(self.user(user), self.item(image, content, reviews))

    def user(self, user: Int[Array, " pair"]) -> Float[Array, "pair 1"]:
        """Nothing: the network knows no users."""
        return jnp.zeros((user.shape[0], 1))

    def item(
        self,
        image: Int[Array, " pair"],
        content: Shaped[Array, "pair ..."] | None = None,
        reviews: None = None,
    ) -> Float[Array, "pair factor"]:
        """What both tasks share."""
        del image, reviews
        if content is None:
            raise ValueError("MTRLCNN sees images; pass `content`")
        maps = content if self.trunk is None else self.trunk(content)
        mean = maps.reshape(maps.shape[0], -1, self.channels).mean(1)
        return nn.relu(self.shared(mean))

    def judge(
        self, user: Float[Array, "pair 1"], item: Float[Array, "pair factor"]
    ) -> dict[str, Array]:
        """Logits of both tasks."""
        del user
        return {"crowd": self.crowd(item)[..., 0], "tag": self.tag(item)}


def _weights(params: PyTree) -> Float[Array, "factor task"]:
    return jnp.concatenate([params[x]["kernel"] for x in ("crowd", "tag")], axis=1)


def _root(params: PyTree) -> Float[Array, "task task"]:
    weights = _weights(params)
    values, vectors = jnp.linalg.eigh(weights.T @ weights)
    # Of more tasks than factors some are 0, where a root has no derivative.
    roots = jnp.sqrt(jnp.maximum(values, 1e-8))
    return (vectors * roots[None]) @ vectors.T


def relation(params: PyTree) -> Float[Array, "task task"]:
    """R, of trace 1; the first task is the aesthetic one, the others are tags."""
    root = _root(params)
    return root / jnp.trace(root)


def relation_penalty(params: PyTree) -> Float[Array, ""]:
    """tr(W R^-1 W^T) at the best R: the squared sum of W's singular values."""
    weights = _weights(params)
    values = jnp.linalg.eigvalsh(weights.T @ weights)
    return jnp.square(jnp.sum(jnp.sqrt(jnp.maximum(values, 1e-8))))
