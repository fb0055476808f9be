"""The relation of tasks: its closed form is the best one."""

import jax.numpy as jnp
import numpy as np

from jiaa.models.mtrlcnn import relation, relation_penalty


def params(rng):
    crowd, tag = rng.normal(size=(6, 1)), rng.normal(size=(6, 3))
    return {
        "crowd": {"kernel": jnp.asarray(crowd, jnp.float32)},
        "tag": {"kernel": jnp.asarray(tag, jnp.float32)},
    }


def test_the_penalty_is_the_squared_sum_of_singular_values(rng):
    given = params(rng)
    weights = np.concatenate([given[x]["kernel"] for x in ("crowd", "tag")], axis=1)
    expected = np.linalg.svd(weights, compute_uv=False).sum() ** 2
    np.testing.assert_allclose(relation_penalty(given), expected, rtol=1e-4)


def test_no_other_relation_of_trace_1_gives_a_smaller_penalty(rng):
    given = params(rng)
    weights = np.concatenate([given[x]["kernel"] for x in ("crowd", "tag")], axis=1)

    def cost(matrix):
        return np.trace(weights @ np.linalg.inv(matrix) @ weights.T)

    best = np.asarray(relation(given), np.float64)
    np.testing.assert_allclose(np.trace(best), 1, rtol=1e-5)
    np.testing.assert_allclose(cost(best), relation_penalty(given), rtol=1e-3)
    for _ in range(5):
        other = rng.normal(size=(4, 4))
        other = other @ other.T + 0.1 * np.eye(4)
        assert cost(other / np.trace(other)) > cost(best)
        near = best + 1e-2 * (other / np.trace(other) - best)
        assert cost(near) > cost(best) - 1e-6
