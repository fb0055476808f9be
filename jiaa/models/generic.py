"""The network of BA-PIAA, BLG-PIAA and the NIMA baseline: a backbone and a head."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from jiaa.models.backbones import create_backbone
from jiaa.models.heads import create_head

# What a head reads: outputs of the backbone, in the order in which they are
# concatenated.
TAPS: dict[str, tuple[str, ...]] = {
    "logits": ("logits",),
    "pooled": ("pooled",),
    "logits+pooled": ("logits", "pooled"),
}
HEAD_TAPS = {
    "linear": "pooled",
    "pooled": "pooled",
    "released": "logits",
    "warped": "logits",
}


class Aesthetic(nn.Module):
    """A backbone, and a head on what `tap` takes from it; params "backbone" and "head".

    With the trunk frozen, `features` are computed once and `score` learns from them:
    `model.apply({"params": {"head": head}}, features, method="score")`. Without a
    backbone (None) there is only that: features come from elsewhere.
    """

    backbone: nn.Module | None
    head: nn.Module
    tap: str = "pooled"

    def __call__(
        self,
        images: Float[Array, "image height width 3"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, " image"]:
        """Unit scores of normalised images."""
        options = {
            "mask": mask,
            "batch_statistics": batch_statistics,
            "dropout": dropout,
        }
        return self.score(self.features(images, **options), **options)

    def features(
        self,
        images: Float[Array, "image height width 3"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, "image feature"]:
        """What the head reads; raises ValueError for an unknown `tap`."""
        if self.tap not in TAPS:
            raise ValueError(f"unknown tap {self.tap!r}; known: {sorted(TAPS)}")
        if self.backbone is None:
            raise ValueError("this model has no backbone; give its `score` features")
        outputs = self.backbone(
            images, mask=mask, batch_statistics=batch_statistics, dropout=dropout
        )
        return jnp.concatenate([outputs[name] for name in TAPS[self.tap]], axis=-1)

    def score(
        self,
        features: Float[Array, "image feature"],
        *,
        mask: Bool[Array, " image"] | None = None,
        batch_statistics: bool = False,
        dropout: bool = False,
    ) -> Float[Array, " image"]:
        """Unit scores from what `features` gave; needs only the head's variables."""
        return self.head(
            features, mask=mask, batch_statistics=batch_statistics, dropout=dropout
        )


def create_model(
    *,
    backbone: str | None,
    head: str,
    tap: str | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    head_options: Mapping[str, Any] | None = None,
    dtype: DTypeLike | None = None,
) -> Aesthetic:
    """An `Aesthetic` from names of `BACKBONES` and `HEADS`.

    With `backbone` None it has none, and reads features from elsewhere. `tap` is by
    default what the head was published on: the logits for "released", the pooled
    features for "pooled". `dtype` is what the network computes in, where its parts'
    options don't say otherwise: "bfloat16" on accelerators; by default that of the
    inputs. Parameters, BatchNorm statistics and scores are float32 in any case.
    Raises ValueError for unknown names, TypeError for unknown options.
    """
    computing = {} if dtype is None else {"dtype": dtype}
    trunk = None
    if backbone is not None:
        trunk = create_backbone(backbone, **{**computing, **(backbone_options or {})})
    top = create_head(head, **{**computing, **(head_options or {})})
    tap = tap or HEAD_TAPS[head]
    if tap not in TAPS:
        raise ValueError(f"unknown tap {tap!r}; known: {sorted(TAPS)}")
    return Aesthetic(trunk, top, tap)


def initialise(
    model: nn.Module,
    images: Float[Array, "image height width 3"],
    *,
    key: Key[Array, ""],
    without: str = "",
) -> dict[str, Any]:
    """Random variables {"params", "batch_stats"}; of `images` only the shape matters.

    The submodule `without` is left out, and no draw is made for it. A program of random
    draws that runs once: compiling it without optimisation takes a quarter of the time
    (ResNet18 on a CPU: 4 s; eagerly 29 s).
    """

    def init(key, images):
        variables = model.init(key, images)
        return {
            collection: {name: x for name, x in tree.items() if name != without}
            for collection, tree in variables.items()
        }

    # Only an outermost jit may have compiler options.
    if not isinstance(key, jax.core.Tracer):  # pyright: ignore
        init = jax.jit(init, compiler_options={"xla_backend_optimization_level": 0})
    return {"batch_stats": {}} | dict(init(key, images))


def initialise_head(
    model: nn.Module, *, width: int, key: Key[Array, ""]
) -> dict[str, Any]:
    """Random variables {"params", "batch_stats"} of the head alone, for a frozen trunk.

    They are a prior for learners that read features: `InnerLoop(method="score")`.

    Args:
      model: an `Aesthetic`, or another module with a method `score` of features.
      width: of the features [image feature] that the head will read, which need not be
        the backbone's own.
      key: of the draws.
    """
    features = jnp.zeros((2, width), jnp.float32)
    return {"batch_stats": {}} | dict(model.init(key, features, method="score"))
