"""PAM's attribute network and content classes on made-up features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.losses import attribute_loss
from jiaa.models.attributes import AttributeNetwork, Hidden
from jiaa.train.attributes import fit_attributes, fit_content, k_means
from jiaa.train.small import Schedule


def test_attributes_and_scores_of_other_images_are_learned_together():
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.normal(size=(200, 6)), jnp.float32)
    truth = jnp.stack([features[:, 0], features[:, 1] * 0.5], axis=1)
    score = 0.5 + 0.2 * features[:, 2]
    network = AttributeNetwork(Hidden(16), attributes=2)
    params = fit_attributes(
        network,
        (features[:100], score[:100]),
        (features[100:], truth[100:]),
        weight=1.0,
        schedule=Schedule(200, 16, 2e-2),
        key=jax.random.key(0),
    )
    found = network.apply({"params": params}, features)
    assert jnp.mean((found["attributes"] - truth) ** 2) < 0.1
    assert jnp.mean((found["score"] - score) ** 2) < 0.02


def test_the_loss_of_attributes_is_equation_4_by_hand():
    predicted, observed = jnp.float32([[1.0, 2.0]]), jnp.float32([[0.0, 4.0]])
    np.testing.assert_allclose(attribute_loss(predicted, observed), 0.05 * (1 + 4))


def test_clusters_and_their_softmax_layer_find_groups():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(3), 30)
    points = (5 * np.eye(3)[group] + 0.3 * rng.normal(size=(90, 3))).astype(np.float32)
    labels = np.asarray(k_means(jnp.asarray(points), clusters=3, key=jax.random.key(0)))
    assert len({(a, b) for a, b in zip(group, labels, strict=True)}) == 3
    classes = fit_content(
        points, clusters=3, schedule=Schedule(200, 32, 3e-2), key=jax.random.key(0)
    )
    shares = np.asarray(classes(jnp.asarray(points)))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    assert shares.max(axis=1).min() > 0.8
    assert len({(a, b) for a, b in zip(group, shares.argmax(1), strict=True)}) == 3


def test_fewer_points_than_clusters_are_refused():
    with pytest.raises(ValueError, match="2 points make no 3 clusters"):
        k_means(jnp.zeros((2, 1)), clusters=3, key=jax.random.key(0))
