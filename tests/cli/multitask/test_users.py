"""The released program's second stage, as a config asks for it."""

import experiments
import jax
import jax.numpy as jnp
import numpy as np
from experiments_multitask import shrink, tiny_backbone  # noqa: F401

from jiaa.cli import build
from jiaa.cli.multitask import users
from jiaa.cli.multitask.network import problem
from jiaa.cli.multitask.predict import predict
from jiaa.cli.problem import Learned
from jiaa.models.personality import unit_score
from jiaa.types import Episode, Examples


def test_the_released_stage_starts_at_the_generic_score_and_moves_the_network():
    config = shrink(experiments.load("mt_iaa/synthetic_resnet18"))
    config.fusion.update({"kind": "released", "steps": 1})
    found, key = problem(config, progress=False), jax.random.key(0)
    learned = Learned(build.initial_variables(config, found.network, key=key))
    method, prior, content = users._method(config, found, learned, shots=2)
    assert content == "images"
    task, store = found.dataset.split("test")[0], found.dataset.store
    parts = [
        Examples(task.image_ids[rows], task.scores[rows], task.mask[rows])
        for rows in (slice(0, 2), slice(2, 5))
    ]
    episode = Episode(np.asarray(task.user_id), *parts)
    ids = np.asarray(episode.query.image_ids)
    outputs = predict(config, found.network, learned, store, ids=ids, progress=False)
    got = method.predict(prior, method.init(prior), episode.query, store)
    np.testing.assert_allclose(
        got, unit_score(jnp.asarray(outputs["aesthetics"])), rtol=1e-5
    )
    adapt = jax.jit(lambda episode, store: method.adapt(prior, episode, store, key=key))
    adapted = adapt(episode, store)["params"]
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), adapted, prior["params"])
    # Adam's first step is its rate: 1e-3 of the small network, 1e-5 of all else.
    small = moved["weights"]["output"]["bias"]
    shared = moved["network"]["backbone"]["dense"]["kernel"]
    np.testing.assert_allclose([small, shared], [1e-3, 1e-5], rtol=0.05)
