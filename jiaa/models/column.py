"""A generic score that stands among the features: what PAM's protocols read."""

import flax.linen as nn
from jaxtyping import Array, Float


class Column(nn.Module):
    """`score` is one column of the features, such as the last; it has no parameters.

    Where the generic network ran beforehand, personalizers take its scores from the
    store, beside the features that they learn from.
    """

    index: int = -1

    def score(self, features: Float[Array, "image feature"]) -> Float[Array, " image"]:
        """Unit scores, as they were stored."""
        return features[:, self.index]
