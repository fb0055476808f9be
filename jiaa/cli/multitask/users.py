"""The second stage: inter-task fusion of every test user (Table V and Fig. 6)."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jiaa import evaluate as protocols
from jiaa.cli import build, devices
from jiaa.cli.multitask.network import Problem
from jiaa.cli.multitask.second import Second
from jiaa.cli.options import Config, construct
from jiaa.cli.problem import Learned
from jiaa.evaluate import results as evaluation_results
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.models.personality import Branch, WeightedFusion
from jiaa.personalize import Finetune, RidgeFusion
from jiaa.personalize.fusion import fusion_prior, stepped_fusion
from jiaa.train import processes
from jiaa.types import Episode, ImageStore, Personalizer

# Of the released program: its small network, and all else.
RELEASED_RATES = (("weights/.*", 1e-3), (".*", 1e-5))


def fusion(
    config: Config, *, width: int, shots: int, offset: bool
) -> RidgeFusion | Finetune:
    """Eq. 6 on `output_store`, fitted as `config.fusion` says: "ridge" or "steps".

    Args:
      config: of a multi-task experiment.
      width: how many outputs the second task has.
      shots: from how many ratings.
      offset: whether the ridge may fit a level of the user's own.
    """
    section = build.plain(config.fusion)
    if section["kind"] == "steps":
        names = ("epochs", "batch_size", "rate")
        options = {name: section[name] for name in names}
        return stepped_fusion(shots=shots, width=width, **options)
    return construct(
        "fusion", RidgeFusion, width=width, strength=section["strength"], offset=offset
    )


@functools.partial(jax.jit, static_argnums=0)
def fused(
    method: RidgeFusion | Finetune, episode: Episode, columns: ImageStore
) -> dict[str, Any]:
    """{"fused", "generic": unit scores of the query, "weights"} of one user.

    `method` is of `fusion`, `columns` of `output_store`.
    """
    prior = fusion_prior(columns.content.shape[1] - 1)
    # The order of batches is all that is drawn.
    adapted = method.adapt(prior, episode, columns, key=jax.random.key(0))
    ways = {"fused": adapted, "generic": method.init(prior)}
    scores = {
        name: method.predict(prior, way, episode.query, columns)
        for name, way in ways.items()
    }
    return {**scores, "weights": adapted.get("params", adapted)["weights"]}


def _method(
    config: Config, found: Problem, learned: Learned, *, shots: int
) -> tuple[Personalizer, PyTree, str]:
    """(method, prior, "outputs" or "images": what its store holds)."""
    assert found.second is not None
    if config.fusion.kind == "released":
        return *_released(config, found, found.second, learned), "images"
    width, offset = len(found.second.outputs), config.fusion.offset
    method = fusion(config, width=width, shots=shots, offset=offset)
    return method, fusion_prior(width), "outputs"


def _released(
    config: Config, found: Problem, second: Second, learned: Learned
) -> tuple[Personalizer, PyTree]:
    """The released program's second stage; its small network starts at weights 0."""
    small = Branch(
        hidden=tuple(config.fusion.hidden),
        outputs=len(second.outputs),
        output="linear",
        zero=True,
    )
    first: Any = found.network
    loop = InnerLoop(
        WeightedFusion(first, small, second.name),
        view=build.image_view(config),
        optimizer=InnerOptimizer("adam", RELEASED_RATES),
    )
    variables = jax.tree.map(jnp.asarray, learned.variables)
    features = jnp.zeros((2, _width(first, variables)))
    key = jax.random.key(config.seed)
    prior = {
        "params": {
            "network": variables["params"],
            "weights": small.init(key, features)["params"],
        },
        "batch_stats": {"network": variables["batch_stats"]},
    }
    return Finetune(loop, steps=config.fusion.steps), prior


def _width(network: Any, variables: PyTree) -> int:
    """Of the vector d that branches read."""
    side = max(network.backbone.minimum_size, 32)
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)

    def features(variables, images):
        return network.apply(variables, images, method="features")

    return jax.eval_shape(features, variables, images).shape[1]


def personalise(
    config: Config,
    found: Problem,
    learned: Learned,
    columns: ImageStore,
    workdir: str | os.PathLike[str],
    *,
    progress: bool,
) -> None:
    """Measures every test user with every number of ratings; results.csv, summary.json.

    Users are spread over all devices; of several processes the first one writes.
    """
    dataset, tasks = found.dataset, found.dataset.split("test")
    section = build.plain(config.evaluate)
    del section["threshold"], section["databases"]
    options = {
        "names": dataset.workers,
        "progress": progress,
        "mesh": devices.for_users(len(tasks), "test users"),
        "key": jax.random.key(section.pop("seed")),
    }
    parts = []
    for shots in section.pop("shots"):
        method, prior, content = _method(config, found, learned, shots=shots)
        store = columns if content == "outputs" else dataset.store
        parts.append(
            protocols.personalization(
                method, prior, tasks, store, shots=(shots,), **options, **section
            )
        )
    measured = evaluation_results.joined(parts)
    if processes.is_first():
        record = {"method": config.method, "dataset": config.dataset}
        evaluation_results.write(measured, workdir, names=dataset.workers, **record)
