"""From a backbone's features to one score an image.

Every head takes `mask` (which images are real), `batch_statistics` and `dropout` as the
backbones do, and returns one number an image.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

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


class ReleasedHead(nn.Module):
    """The head of the released BLG-PIAA program: on 1,000 logits, 1024 -> 512 -> 1.

    Each hidden layer is dense, BatchNorm, PReLU, dropout, in this order; a sigmoid ends
    it. With `batch_statistics` it needs at least two images: one image normalised by
    itself is zero.
    """

    hidden: tuple[int, ...] = (1024, 512)
    dropout: float = 0.5
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
        """Unit scores in (0, 1)."""
        x = features
        for i, width in enumerate(self.hidden, 1):
            x = nn.Dense(width, dtype=self.dtype, name=f"dense{i}")(x)
            norm = BatchNorm(dtype=self.dtype, name=f"norm{i}")
            x = norm(x, mask=mask, batch_statistics=batch_statistics)
            x = PReLU(name=f"prelu{i}")(x)
            x = nn.Dropout(self.dropout)(x, deterministic=not dropout)
        x = nn.Dense(1, dtype=self.dtype, name="score")(x)
        return nn.sigmoid(x[:, 0].astype(jnp.float32))


class PooledHead(nn.Module):
    """Dense layers of `hidden` widths (none: a linear head), then one output.

    `activation` is a name of `ACTIVATIONS`. `output` "sigmoid" gives scores in (0, 1),
    "linear" leaves them free, for ranking losses or closed-form fits. `batch_norm` puts
    a BatchNorm before each activation; `dropout` is the rate after each activation, or
    on the features where there is no hidden layer.
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
        """Unit scores, in (0, 1) unless the output is linear."""
        activation = _choose("activation", self.activation, ACTIVATIONS)
        output = _choose("output", self.output, OUTPUTS)
        x = features
        for i, width in enumerate(self.hidden, 1):
            x = nn.Dense(width, dtype=self.dtype, name=f"dense{i}")(x)
            if self.batch_norm:
                norm = BatchNorm(dtype=self.dtype, name=f"norm{i}")
                x = norm(x, mask=mask, batch_statistics=batch_statistics)
            x = activation(x)
            x = nn.Dropout(self.dropout)(x, deterministic=not dropout)
        if not self.hidden:
            x = nn.Dropout(self.dropout)(x, deterministic=not dropout)
        x = nn.Dense(1, dtype=self.dtype, name="score")(x)
        return output(x[:, 0].astype(jnp.float32))


class WarpedHead(nn.Module):
    """Linear head whose fast weights act through a learned warp of the features.

    score(x) = bias + spread * (slow . s + fast . [warp^T s, r]) for x = [s, r], where s
    are the first `shared` features (0: all of them). `slow` and `warp` are the prior's,
    learned from all users; a user's gradient steps move `fast` alone, and go further
    along directions that the warp stretches, because users differ there. At first
    `fast` is 0 and `warp` the identity: the score is the generic one. `spread` is the
    usual spread of a user's scores, so that weights and rates are those of standardised
    scores. (T-nets: Lee and Choi, ICML 2018.)
    """

    shared: int = 0
    spread: float = 1.0

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "image feature"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, " image"]:
        """Unit scores; nothing keeps them within (0, 1)."""
        del mask, batch_statistics, dropout
        width = features.shape[-1]
        shared = min(self.shared or width, width)
        slow = self.param("slow", nn.initializers.zeros, (shared,))
        warp = self.param("warp", lambda _, shape: jnp.eye(*shape), (shared, shared))
        fast = self.param("fast", nn.initializers.zeros, (width,))
        bias = self.param("bias", nn.initializers.zeros, ())
        personal = features[:, :shared] @ (warp @ fast[:shared] + slow)
        return bias + self.spread * (personal + features[:, shared:] @ fast[shared:])


def _choose(what: str, name: str, table: dict[str, Callable[[Array], Array]]):
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; known: {sorted(table)}")
    return table[name]


HEADS: dict[str, type[nn.Module]] = {
    "pooled": PooledHead,
    "released": ReleasedHead,
    "warped": WarpedHead,
}


def create_head(name: str, **options: Any) -> nn.Module:
    """The head of that name; `options` are its fields.

    Raises ValueError for an unknown name and TypeError for an unknown option.
    """
    if name not in HEADS:
        raise ValueError(f"unknown head {name!r}; known: {sorted(HEADS)}")
    return HEADS[name](**options)
