"""New users of collaborative networks: their factors, everything else fixed.

CFN, CFAN, BPR and VBPR know the users of their training alone. A new user's vector is
fitted to the ratings that they have given, with the training users' mean and variances
as its prior. Photographs that training has not seen have the mean embedding, so that
their content is all that tells them apart; BPR has no content, and calls all of them
equal.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa import losses
from jiaa.data.interactions import UNSEEN
from jiaa.models.collaborative import Reviews
from jiaa.types import Episode, Examples, ImageStore


@dataclasses.dataclass(frozen=True)
class NewUser:
    """The most probable user vector g, by Adam on z, g = mean + deviation * z.

    Minimises the loss of the support ratings plus strength / 2 |z|^2; mean and
    deviation are the training users', number by number. So a user without ratings is
    the mean user. `side` of the examples may hold "image", numbers of the networks'
    tables (without it, or -1: an unseen photograph), and the "words" and "length" of
    the ratings' reviews, of which those of the support say where the user looks, each
    but a photograph's own.

    Attributes:
      network: of `models.collaborative` or `models.ranking`.
      pairwise: BPR's loss, over all pairs that the user scored differently; else that
        of good (above `threshold`, in unit scores) and bad.
      threshold: between good and bad.
      softness: 0, or the width in unit scores over which bad turns into good, so that
        scores far from the threshold count more than those beside it.
      strength: of the prior.
      steps: of Adam.
      rate: of Adam.

    Raises:
      ValueError: the strength or the softness is below 0.
    """

    network: nn.Module
    pairwise: bool = False
    threshold: float = 0.5
    softness: float = 0.0
    strength: float = 1.0
    steps: int = 100
    rate: float = 0.05

    def __post_init__(self):
        """Refuses what makes the fit meaningless."""
        if self.strength < 0 or self.softness < 0:
            raise ValueError(
                f"strength={self.strength}, softness={self.softness}; expected 0 or "
                "more"
            )

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior: nothing is meta-learned."""
        return prior

    def init(self, prior: PyTree) -> dict[str, Any]:
        """The mean user, who has written nothing."""
        mean, _ = self._population(prior)
        return {"factors": mean, "annotation": jnp.zeros(self._state_width)}

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """{"factors" [factor], "annotation" [state]} after the support ratings."""
        del key
        support = episode.support
        mean, deviation = self._population(prior)
        states, written = self._annotations(prior, support)
        others = jnp.sum(states, axis=0)[None] - states
        others = others / jnp.maximum(jnp.sum(written) - written, 1)[:, None]
        items = self._items(prior, support, store, others)

        def loss(z):
            user = jnp.broadcast_to(mean + deviation * z, (items.shape[0], z.shape[0]))
            logits = self._judge(prior, user, items)
            fit = jnp.sum(self._losses(logits, support))
            return fit + self.strength / 2 * jnp.sum(jnp.square(z))

        optimizer = optax.adam(self.rate)

        def step(carry, _):
            z, state = carry
            updates, state = optimizer.update(jax.grad(loss)(z), state)
            return (z + jnp.asarray(updates), state), None

        start = jnp.zeros_like(mean)
        (z, _), _ = jax.lax.scan(
            step, (start, optimizer.init(start)), length=self.steps
        )
        annotation = jnp.sum(states, axis=0) / jnp.maximum(jnp.sum(written), 1)
        return {"factors": mean + deviation * z, "annotation": annotation}

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores: the probability of "good", or BPR's score through a sigmoid."""
        count = query.image_ids.shape[0]
        states = jnp.broadcast_to(adapted["annotation"], (count, self._state_width))
        items = self._items(prior, query, store, states)
        user = jnp.broadcast_to(adapted["factors"], (count, *adapted["factors"].shape))
        return nn.sigmoid(self._judge(prior, user, items))

    @property
    def _reads(self) -> bool:
        return bool(self.network.attends or self.network.reads_only)  # pyright: ignore

    @property
    def _state_width(self) -> int:
        return 2 * self.network.state if self._reads else 0  # pyright: ignore

    def _population(
        self, prior: PyTree
    ) -> tuple[Float[Array, " factor"], Float[Array, " factor"]]:
        """Mean and deviation of the training users' vectors, number by number.

        The table's last row is the mean already (`train.collaborative.with_means`);
        other rows beyond the users only fill it up.
        """
        table = jnp.asarray(prior["params"]["user_table"]["embedding"])
        gap = table[: self.network.users] - table[-1:]  # pyright: ignore
        return table[-1], jnp.sqrt(jnp.mean(jnp.square(gap), axis=0))

    def _losses(
        self, logits: Float[Array, " shot"], support: Examples
    ) -> Float[Array, " shot"]:
        """A loss each; 0 where there is no rating."""
        mask = jnp.asarray(support.mask)
        scores = jnp.where(mask, support.scores, 0.0)
        if self.pairwise:
            return losses.pairwise_rank(logits, scores, mask, temperature=1.0) * mask
        gap = scores - self.threshold
        target = (gap > 0).astype(logits.dtype)
        if self.softness:
            target = nn.sigmoid(gap / self.softness)
        return losses.binary_cross_entropy(logits, target) * mask

    def _annotations(
        self, prior: PyTree, examples: Examples
    ) -> tuple[Float[Array, "shot state"], Float[Array, " shot"]]:
        """Each review's annotation and whether there is one; 0 without."""
        count = examples.image_ids.shape[0]
        if not self._reads or "words" not in examples.side:
            return jnp.zeros((count, self._state_width)), jnp.zeros(count)
        length = jnp.where(examples.mask, examples.side["length"], 0)
        reviews = Reviews(examples.side["words"][:, None], length[:, None])
        states = self._call(prior, reviews, method="annotation")
        return states, (length > 0).astype(states.dtype)

    def _items(
        self,
        prior: PyTree,
        examples: Examples,
        store: ImageStore,
        annotation: Float[Array, "example state"],
    ) -> Float[Array, "example factor"]:
        number: Int[Array, " example"] = jnp.full(examples.image_ids.shape, UNSEEN)
        if "image" in examples.side:
            number = jnp.asarray(examples.side["image"])
        content = store.take(examples.image_ids)
        reviews = annotation if self._reads else None
        return self._call(prior, number, content, reviews, method="item")

    def _judge(
        self,
        prior: PyTree,
        user: Float[Array, "example factor"],
        items: Float[Array, "example item_factor"],
    ) -> Float[Array, " example"]:
        return self._call(prior, user, items, method="judge")["user"]

    def _call(self, prior: PyTree, *args: Any, method: str) -> Any:
        return _apply(self.network, prior["params"], args, method=method)


@functools.partial(jax.jit, static_argnums=0, static_argnames="method")
def _apply(
    network: nn.Module, params: PyTree, args: tuple[Any, ...], *, method: str
) -> Any:
    return network.apply({"params": params}, *args, method=method)
