"""Reviews as vectors: a bidirectional GRU over words (CFAN, eqs. 3 and 4)."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class ReviewEncoder(nn.Module):
    """Words' embeddings read forwards and backwards; padding changes nothing.

    The annotation of a review is [forward state after its last word, backward state
    after its first], each of `width` numbers; an empty review's is 0.
    """

    vocabulary: int
    word_width: int = 50
    width: int = 50

    @nn.compact
    def __call__(
        self, words: Int[Array, "review word"], length: Int[Array, " review"]
    ) -> Float[Array, "review state"]:
        """Annotations of reviews in a vocabulary's numbers, of `length` words each."""
        table = nn.Embed(self.vocabulary, self.word_width, name="words")
        embedded = table(words)
        states = []
        for name, reverse in (("forward", False), ("backward", True)):
            rnn = nn.RNN(
                nn.GRUCell(self.width, name=name),
                return_carry=True,
                reverse=reverse,
                keep_order=True,
            )
            # A length of 0 would pick the state before the padding's last step.
            state, _ = rnn(embedded, seq_lengths=jnp.maximum(length, 1))
            states.append(state)
        both = jnp.concatenate(states, axis=-1)
        return jnp.where((length > 0)[:, None], both, 0.0)
