"""From a backbone's features to one score an image.

Every head is called alike, as the backbones are:

    head(features, mask=None, batch_statistics=False, dropout=False) -> unit scores

`mask` says which images are real (None: all), `batch_statistics` whether BatchNorm goes
by this batch (else by its running values), `dropout` whether units are dropped. A head
without such layers takes the options all the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PyTree

from jiaa.models.normalization import BatchNorm

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": nn.elu,
    "gelu": nn.gelu,
    "relu": nn.relu,
    "tanh": jnp.tanh,
}
OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "sigmoid": nn.sigmoid,
}


class PReLU(nn.Module):
    """Leaky rectifier with one learned `slope` for all features, 0.25 at first."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "image feature"]
    ) -> Float[Array, "image feature"]:
        """`x` where positive, else `slope * x`."""
        slope = self.param("slope", nn.initializers.constant(0.25), ())
        return jnp.where(x > 0, x, slope.astype(x.dtype) * x)


class PooledHead(nn.Module):
    """Dense layers of `hidden` widths (none: a linear head), then one output.

    Attributes:
      hidden: widths of the hidden layers, each dense, BatchNorm (if any), activation,
        dropout, in this order.
      activation: a name of `ACTIVATIONS`, or "prelu", which is learned.
      output: "sigmoid" gives scores in (0, 1); "linear" leaves them free, for ranking
        losses or closed-form fits.
      batch_norm: whether a BatchNorm stands before each activation. With
        `batch_statistics` it needs at least two images: one image normalised by itself
        is zero.
      dropout: the rate after each activation, or on the features where there is no
        hidden layer; in [0, 1).
      dtype: what is computed in (None: the features' own); scores are float32.
    """

    hidden: tuple[int, ...] = (512,)
    activation: str = "relu"
    output: str = "sigmoid"
    batch_norm: bool = False
    dropout: float = 0.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "image feature"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, " image"]:
        """Unit scores, in (0, 1) unless the output is linear.

        Raises:
          ValueError: an unknown activation or output; lists the known ones.
        """
        output = choose("output", self.output, OUTPUTS)
        options = {"mask": mask, "batch_statistics": batch_statistics}
        x = self.hidden_layers(features, dropout=dropout, **options)
        x = nn.Dense(1, dtype=self.dtype, name="score")(x)
        return output(x[:, 0].astype(jnp.float32))

    def hidden_layers(self, x, *, mask, batch_statistics, dropout):
        """The last hidden layer, or the features themselves; of a compact method."""
        activations = {**ACTIVATIONS, "prelu": None}
        activation = choose("activation", self.activation, activations)
        for i, width in enumerate(self.hidden, 1):
            x = nn.Dense(width, dtype=self.dtype, name=f"dense{i}")(x)
            if self.batch_norm:
                norm = BatchNorm(dtype=self.dtype, name=f"norm{i}")
                x = norm(x, mask=mask, batch_statistics=batch_statistics)
            x = (activation or PReLU(name=f"prelu{i}"))(x)
            x = nn.Dropout(self.dropout)(x, deterministic=not dropout)
        if not self.hidden:
            x = nn.Dropout(self.dropout)(x, deterministic=not dropout)
        return x


class ReleasedHead(PooledHead):
    """The head of the released BLG-PIAA program: on 1,000 logits, 1024 -> 512 -> 1.

    Each hidden layer is dense, BatchNorm, PReLU, dropout, in this order; a sigmoid ends
    it ; the slides do not show it.
    """

    hidden: tuple[int, ...] = (1024, 512)
    activation: str = "prelu"
    batch_norm: bool = True
    dropout: float = 0.5


class WarpedHead(nn.Module):
    """Linear head whose fast weights act through a learned warp of the features.

    score(x) = bias + spread * (slow . s + fast . [warp^T s, r]) for x = [s, r], where s
    are the first `shared` features. `slow` and `warp` are the prior's, learned from all
    users; a user's gradient steps move `fast` alone, and go further along directions
    that the warp stretches, because users differ there. At first `fast` is 0 and `warp`
    the identity: the score is the generic one. (T-nets: Lee and Choi, ICML 2018.)

    Attributes:
      shared: how many features have slow weights and a warp; 0: all of them.
      spread: the usual spread of a user's unit scores, so that weights and rates are
        those of standardised scores; above 0.
      dtype: what is computed in (None: the features' own); scores are float32.
    """

    shared: int = 0
    spread: float = 1.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "image feature"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, " image"]:
        """Unit scores; nothing keeps them within (0, 1).

        `mask`, `batch_statistics` and `dropout` make no difference to a linear head.
        """
        del mask, batch_statistics, dropout
        width = features.shape[-1]
        shared = min(self.shared or width, width)
        slow = self.param("slow", nn.initializers.zeros, (shared,))
        warp = self.param("warp", lambda _, shape: jnp.eye(*shape), (shared, shared))
        fast = self.param("fast", nn.initializers.zeros, (width,))
        bias = self.param("bias", nn.initializers.zeros, ())
        x, slow, warp, fast = promote_dtype(
            features, slow, warp, fast, dtype=self.dtype
        )
        # warp @ fast, not `warp_features(x) @ fast`: no matrix product per image.
        personal = x[:, :shared] @ (warp @ fast[:shared] + slow)
        moved = personal + x[:, shared:] @ fast[shared:]
        return bias + self.spread * moved.astype(jnp.float32)


class LinearHead(nn.Module):
    """score(x) = bias + spread * slow . x: what ridge regression solves for.

    Attributes:
      spread: the usual spread of a user's unit scores, as in `WarpedHead`.
      dtype: what is computed in (None: the features' own); scores are float32.
    """

    spread: float = 1.0
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "image feature"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, " image"]:
        """Unit scores; nothing keeps them within (0, 1).

        `mask`, `batch_statistics` and `dropout` make no difference to a linear head.
        """
        del mask, batch_statistics, dropout
        slow = self.param("slow", nn.initializers.zeros, (features.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, ())
        x, slow = promote_dtype(features, slow, dtype=self.dtype)
        return bias + self.spread * (x @ slow).astype(jnp.float32)


def warp_features(
    head: Mapping[str, PyTree], features: Float[Array, "image feature"]
) -> Float[Array, "image feature"]:
    """[warp^T s, r] of each image: what a `WarpedHead`'s fast weights multiply.

    `head` are the head's parameters; those of a head without a warp leave the features
    as they are.
    """
    if "warp" not in head:
        return features
    warp = head["warp"]
    shared = warp.shape[0]
    return jnp.concatenate([features[:, :shared] @ warp, features[:, shared:]], axis=1)


def choose(what: str, name: str, table: Mapping[str, Callable | None]) -> Any:
    """The entry `name`.

    Raises:
      ValueError: there is none; says what it is of, and the known names.
    """
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; known: {sorted(table)}")
    return table[name]


HEADS: dict[str, type[nn.Module]] = {
    "linear": LinearHead,
    "pooled": PooledHead,
    "released": ReleasedHead,
    "warped": WarpedHead,
}
SOLVABLE = ("linear", "warped")  # by ridge, for `slow` and `bias`


def create_head(name: str, **options: Any) -> nn.Module:
    """The head of that name; `options` are its fields.

    Raises ValueError for an unknown name and TypeError for an unknown option.
    """
    if name not in HEADS:
        raise ValueError(f"unknown head {name!r}; known: {sorted(HEADS)}")
    return HEADS[name](**options)
