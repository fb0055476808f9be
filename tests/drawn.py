"""Random parameters without compiling a network's own initialisers."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np


def params(network, *given, seed=0, scale=0.3, **options):
    """Normal numbers in the shapes of `network.init(key, *given, **options)`.

    A leaf's follow from its path alone; more rows begin with those of fewer.
    """

    def draw(path, leaf):
        name = zlib.crc32(jax.tree_util.keystr(path).encode())
        numbers = np.random.default_rng([seed, name]).normal(0, scale, leaf.shape)
        return jnp.asarray(numbers, leaf.dtype)

    key = jax.random.key(0)
    shapes = jax.eval_shape(lambda: network.init(key, *given, **options))
    return jax.tree_util.tree_map_with_path(draw, shapes["params"])
