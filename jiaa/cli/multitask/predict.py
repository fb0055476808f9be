"""What a multi-task network reads, and what it predicts of photographs."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int, PyTree
from tqdm import tqdm

from jiaa.cli import build
from jiaa.cli.options import Config
from jiaa.cli.problem import Learned, compute_features
from jiaa.models.views import FeatureView, View
from jiaa.train import mesh as train_mesh
from jiaa.train import processes
from jiaa.types import ImageStore

BATCH = 100  # photographs


def entrance(config: Config) -> tuple[View, str]:
    """(view, method): how content enters the network, and the method that reads it."""
    if config.trunk.frozen:
        return FeatureView(), "outputs"
    return build.image_view(config), "__call__"


def changing(config: Config, learned: Learned) -> PyTree:
    """The variables that steps may change: without a frozen trunk's."""
    if not config.trunk.frozen:
        return learned.variables
    return {
        part: {name: x for name, x in tree.items() if name != "backbone"}
        for part, tree in learned.variables.items()
    }


def features(
    config: Config,
    network: nn.Module,
    store: ImageStore,
    learned: Learned,
    ids: Int[np.ndarray, " needed"],
    *,
    progress: bool = False,
) -> Float[np.ndarray, "image feature"]:
    """A frozen trunk's features, through its map; rows that `ids` lack are zero.

    Of several processes the first one's, in all of them.
    """
    found, _ = compute_features(
        config, network, store, learned, image_ids=ids, progress=progress
    )
    found = np.asarray(found)
    if learned.feature_map is not None:
        rows = np.asarray(learned.feature_map(found[ids]))
        found = np.zeros((len(found), rows.shape[1]), np.float32)
        found[ids] = rows
    return np.asarray(processes.from_first(found))


def predict(
    config: Config,
    network: nn.Module,
    learned: Learned,
    store: ImageStore,
    *,
    ids: Int[np.ndarray, " image"],
    progress: bool = True,
) -> dict[str, Float[np.ndarray, "needed output"]]:
    """Every branch's outputs of the images `ids`, in that order.

    Batches are spread over this process' devices; of several processes the first one's
    numbers count.
    """
    (view, method), variables = entrance(config), changing(config, learned)
    if config.trunk.frozen:
        store = ImageStore(
            features=features(config, network, store, learned, np.unique(ids))
        )
    local = jax.local_devices()
    mesh = train_mesh.user_mesh(local) if len(local) > 1 else None
    size = -(-BATCH // len(local)) * len(local)
    variables = train_mesh.replicate(variables, mesh)
    parts = []
    starts = range(0, len(ids), size)
    for start in tqdm(starts, desc="predict", unit="batch", disable=not progress):
        rows = ids[start : start + size]
        full = np.pad(rows, (0, size - len(rows)), mode="edge")
        content = jnp.asarray(store.content[full])
        found = _outputs(
            variables, content, network=network, view=view, method=method, mesh=mesh
        )
        parts.append({k: np.asarray(x)[: len(rows)] for k, x in found.items()})
    names = parts[0]
    return processes.from_first(
        {name: np.concatenate([part[name] for part in parts]) for name in names}
    )


@functools.partial(jax.jit, static_argnames=("network", "view", "method", "mesh"))
def _outputs(variables, content, *, network, view, method, mesh: Mesh | None):
    content = train_mesh.shard_images(content, mesh)
    return network.apply(variables, view.predicting(content), method=method)
