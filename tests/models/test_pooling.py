import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.pooling import adaptive_average_pool, average_pool, max_pool


def to_torch(torch, x):
    return torch.from_numpy(np.array(x).transpose(0, 3, 1, 2)).requires_grad_()


def from_torch(x):
    return x.detach().numpy().transpose(0, 2, 3, 1)


@pytest.mark.parametrize("size", [(8, 9), (3, 5), (14, 13)])
@pytest.mark.parametrize(
    ("window", "stride", "padding", "ceil"),
    [(3, 2, 0, False), (3, 2, 1, False), (3, 2, 0, True), (2, 3, 1, True)],
)
def test_max_pool_and_its_gradient_agree_with_torch(
    torch, rng, size, window, stride, padding, ceil
):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    theirs = to_torch(torch, x)
    expected = torch.nn.functional.max_pool2d(
        theirs, window, stride, padding, ceil_mode=ceil
    )
    expected.sin().sum().backward()

    def pool(x):
        return max_pool(x, window, stride=stride, padding=padding, ceil=ceil)

    @jax.jit
    def value_and_gradient(x):
        return pool(x), jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))(x)

    value, gradient = value_and_gradient(jnp.asarray(x))
    np.testing.assert_array_equal(value, from_torch(expected))
    np.testing.assert_allclose(gradient, from_torch(theirs.grad), atol=1e-6)


def test_the_first_of_equal_maxima_gets_the_gradient_as_in_torch(torch, rng):
    x = rng.integers(0, 3, (2, 8, 7, 3)).astype(np.float32)
    theirs = to_torch(torch, x)
    pooled = torch.nn.functional.max_pool2d(theirs, 3, 2, 1)
    weights = rng.normal(size=from_torch(pooled).shape).astype(np.float32)
    (pooled * torch.from_numpy(weights.transpose(0, 3, 1, 2).copy())).sum().backward()
    gradient = jax.grad(
        lambda x: jnp.sum(weights * max_pool(x, 3, stride=2, padding=1))
    )(jnp.asarray(x))
    np.testing.assert_allclose(gradient, from_torch(theirs.grad), atol=1e-6)


def test_max_pool_can_be_differentiated_twice(next_key):
    # Windows that do not meet: the slope of a sum of sines is cos(x) at each window's
    # maximum and 0 elsewhere.
    x = jax.random.normal(next_key(), (2, 8, 6, 3))

    def slope(x):
        return jax.grad(lambda x: jnp.sum(jnp.sin(max_pool(x, 2, stride=2))))(x)

    found = jax.jit(jax.grad(lambda x: jnp.sum(jnp.cos(slope(x)))))(x)
    windows = x.reshape(2, 4, 2, 3, 2, 3)
    is_maximum = (windows == windows.max((2, 4), keepdims=True)).reshape(x.shape)
    expected = jnp.where(is_maximum, jnp.sin(jnp.cos(x)) * jnp.sin(x), 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_last_window_never_starts_in_the_padding(torch):
    # Two pixels, windows of one at stride two with ceil: a second window starts at 2.
    x = np.arange(2.0, dtype=np.float32).reshape(1, 2, 1, 1)
    expected = torch.nn.functional.max_pool2d(to_torch(torch, x), 1, 2, ceil_mode=True)
    found = max_pool(jnp.asarray(x), 1, stride=2, ceil=True)
    np.testing.assert_array_equal(found, from_torch(expected))


def test_average_pool_counts_the_padding_as_torch_does(torch, rng):
    x = rng.normal(size=(2, 7, 5, 3)).astype(np.float32)
    expected = torch.nn.functional.avg_pool2d(to_torch(torch, x), 3, 1, 1)
    found = average_pool(jnp.asarray(x), 3, stride=1, padding=1)
    np.testing.assert_allclose(found, from_torch(expected), atol=1e-6)


@pytest.mark.parametrize("size", [(6, 6), (13, 7), (3, 1), (12, 18)])
def test_adaptive_average_pool_agrees_with_torch(torch, rng, size):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    expected = torch.nn.functional.adaptive_avg_pool2d(to_torch(torch, x), (6, 6))
    found = adaptive_average_pool(jnp.asarray(x), (6, 6))
    np.testing.assert_allclose(found, from_torch(expected), atol=1e-6)


def test_a_map_smaller_than_the_window_is_refused():
    with pytest.raises(
        ValueError, match="window of 3 pixels does not fit an axis of 2"
    ):
        max_pool(jnp.zeros((1, 2, 5, 1)), 3, stride=2)
