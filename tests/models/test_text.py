"""Reviews as vectors: padding changes nothing, and both directions are read."""

import drawn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.text import ReviewEncoder

ENCODER = ReviewEncoder(vocabulary=9, word_width=3, width=4)


@pytest.fixture(scope="module")
def variables():
    return {"params": drawn.params(ENCODER, jnp.ones((1, 2), int), jnp.array([2]))}


@pytest.fixture(scope="module")
def encode(variables):
    return jax.jit(lambda words, length: ENCODER.apply(variables, words, length))


def test_padding_changes_nothing(encode):
    words, length = jnp.array([[2, 5, 7, 0, 0], [3, 8, 0, 0, 0]]), jnp.array([3, 2])
    expected = encode(words[:, :3], length)
    np.testing.assert_allclose(encode(words, length), expected, atol=1e-6)
    other = jnp.where(words == 0, 6, words)  # whatever stands in the padding
    np.testing.assert_allclose(encode(other, length), expected, atol=1e-6)


def test_an_empty_review_is_zero(encode):
    found = encode(jnp.array([[4, 4, 0], [1, 0, 0]]), jnp.array([0, 1]))
    assert not found[0].any()
    assert found[1].any()


def test_states_are_torchs_gru_forwards_and_backwards(encode, variables, torch):
    params = jax.tree.map(np.asarray, variables["params"])
    words = np.array([[2, 5, 7]])
    embedded = params["words"]["embedding"][words]
    expected = []
    for name, flip in (("forward", 1), ("backward", -1)):
        cell = params[name]
        kernels = {gate: layer["kernel"].T for gate, layer in cell.items()}
        zeros = np.zeros(4, np.float32)
        biases = {gate: layer.get("bias", zeros) for gate, layer in cell.items()}
        gru = torch.nn.GRU(3, 4, batch_first=True)
        with torch.no_grad():
            for side, gates in (("ih", ("ir", "iz", "in")), ("hh", ("hr", "hz", "hn"))):
                weight = np.concatenate([kernels[gate] for gate in gates])
                bias = np.concatenate([biases[gate] for gate in gates])
                getattr(gru, f"weight_{side}_l0").copy_(torch.from_numpy(weight))
                getattr(gru, f"bias_{side}_l0").copy_(torch.from_numpy(bias))
            _, state = gru(torch.from_numpy(embedded[:, ::flip].copy()))
        expected.append(state[0].numpy())
    found = encode(jnp.asarray(words), jnp.array([3]))
    np.testing.assert_allclose(found, np.concatenate(expected, 1), atol=1e-5)
