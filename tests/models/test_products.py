import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.products import dense_product, product, transposed_product


@pytest.mark.parametrize("rows", [3, 40], ids=["wide", "tall"])
def test_the_product_has_jaxs_value_and_gradients_up_to_second_order(next_key, rows):
    x = jax.random.normal(next_key(), (rows, 7))
    w = jax.random.normal(next_key(), (7, 5))

    def all_orders(multiply):
        def gradients(x, w):
            return jax.grad(lambda x, w: jnp.sum(jnp.sin(multiply(x, w))), (0, 1))(x, w)

        def lengths(x, w):
            return sum(jnp.sum(g**2) for g in gradients(x, w))

        return multiply(x, w), gradients(x, w), jax.grad(lengths, (0, 1))(x, w)

    found, expected = all_orders(product), all_orders(jnp.matmul)
    jax.tree.map(
        lambda f, e: np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-4),
        found,
        expected,
    )


@pytest.mark.parametrize("shape", [(3, 7, 5), (40, 7, 5)], ids=["wide", "tall"])
def test_the_left_factor_is_transposed(next_key, shape):
    rows, left, right = shape
    x = jax.random.normal(next_key(), (rows, left))
    y = jax.random.normal(next_key(), (rows, right))
    np.testing.assert_allclose(transposed_product(x, y), x.T @ y, atol=1e-5)


def test_users_with_matrices_of_their_own_are_batched(next_key):
    x = jax.random.normal(next_key(), (3, 6, 7))
    w = jax.random.normal(next_key(), (3, 7, 5))
    gradient = jax.grad(lambda w, x: jnp.sum(jnp.sin(product(x, w))))
    together = jax.vmap(gradient)(w, x)
    for user in range(3):
        np.testing.assert_allclose(
            together[user], gradient(w[user], x[user]), atol=1e-5
        )


def test_a_dense_layer_that_contracts_otherwise_is_refused(next_key):
    x = jax.random.normal(next_key(), (2, 3, 4))
    w = jax.random.normal(next_key(), (4, 5))
    found = dense_product(x, w, (((2,), (0,)), ((), ())))
    np.testing.assert_allclose(found, x @ w, atol=1e-5)
    with pytest.raises(ValueError, match=r"use lax\.dot_general"):
        dense_product(x, w, (((1,), (0,)), ((), ())))
