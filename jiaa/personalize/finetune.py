"""Fine-tuning on a user's ratings: how BA-PIAA and BLG-PIAA personalise (slides 2020).

The two differ in their prior alone: BA-PIAA's is trained on mean scores, BLG-PIAA's by
bi-level meta-learning.
"""

import dataclasses
from typing import Any

from jaxtyping import Array, Float, Key, PyTree

from jiaa.meta.inner import InnerLoop
from jiaa.types import Episode, Examples, ImageStore


@dataclasses.dataclass(frozen=True)
class Finetune:
    """`steps` inner steps on the support set: line 7 of the slides' listing, for good.

    The adapted state is what `loop.adapts` names, the BatchNorm statistics and the
    optimizer's moments, so that a live rater's next ratings can go on from it.

    Attributes:
      loop: the inner loop; the slides' adapts all parameters by Adam on the squared
        error.
      steps: 0 leaves the prior; the released program takes 20 full batches, Adam 1e-5.
    """

    loop: InnerLoop
    steps: int = 20

    def learnable(self, prior: PyTree) -> PyTree:
        """The prior with the loop's learned inner rates added, if it learns any."""
        return self.loop.learnable(prior)

    def init(self, prior: PyTree) -> dict[str, Any]:
        """The prior's own parameters and statistics."""
        return self.loop.start(prior)

    def adapt(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> dict[str, Any]:
        """The state after `steps` steps on the support set."""
        support = episode.support
        state = self.loop.begin(prior, support)
        state, _ = self.loop.run(
            prior, state, support, store, steps=self.steps, key=key
        )
        return self.loop.finish(prior, state, support, store)

    def predict(
        self, prior: PyTree, adapted: dict[str, Any], query: Examples, store: ImageStore
    ) -> Float[Array, " query"]:
        """Unit scores by the adapted network."""
        return self.loop.predict(prior, adapted, query.image_ids, store)
