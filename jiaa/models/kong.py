"""Kong's networks, baselines of PDMTL and PA_IAA.

Kong et al., Photo aesthetics ranking network with attributes and content adaptation,
ECCV 2016.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jiaa.models.generic import TAPS
from jiaa.models.personality import AESTHETICS

ATTRIBUTES, CONTENT = "attributes", "content"


class KongNet(nn.Module):
    """A score from shared features, helped by attributes and adapted to the content.

    Without attributes and contents it is Reg (or, by its loss, Reg+Rank). With
    attributes (+Att) a second hidden layer learns to predict them, and the score reads
    both layers. With contents (+Cont) there is a score for each class of content, and
    the score is their mean by the predicted class probabilities.

    Attributes:
      backbone: AlexNet in the paper.
      attributes: how many attributes in [-1, 1] there are; 0: none.
      contents: how many classes of content; 0: none.
      hidden: width of each hidden layer.
      tap: what is read of the backbone.
    """

    backbone: nn.Module
    attributes: int = 0
    contents: int = 0
    hidden: int = 512
    tap: str = "pooled"

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "image height width 3"],
        *,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> dict[str, Float[Array, "image output"]]:
        """{"aesthetics": unit score [image 1], "attributes", "content"} of images.

        All parts are connected, so `tasks` leaves nothing out; options are those of
        every backbone.
        """
        del tasks
        found = self.backbone(images, **options)
        shared = jnp.concatenate([found[name] for name in TAPS[self.tap]], axis=-1)
        layers = [nn.relu(nn.Dense(self.hidden, name="aesthetic_features")(shared))]
        outputs: dict[str, Array] = {}
        if self.attributes:
            hidden = nn.relu(nn.Dense(self.hidden, name="attribute_features")(shared))
            layers.append(hidden)
            outputs[ATTRIBUTES] = jnp.tanh(
                nn.Dense(self.attributes, name="attributes_output")(hidden)
            )
        read = jnp.concatenate(layers, axis=-1)
        scores = nn.Dense(max(self.contents, 1), name="score")(read)
        if self.contents:
            hidden = nn.relu(nn.Dense(self.hidden, name="content_features")(shared))
            logits = nn.Dense(self.contents, name="content_output")(hidden)
            outputs[CONTENT] = nn.softmax(logits)
            scores = jnp.sum(scores * outputs[CONTENT], axis=-1, keepdims=True)
        return {AESTHETICS: nn.sigmoid(scores), **outputs}
