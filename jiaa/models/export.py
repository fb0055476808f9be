"""Backbone weights under torchvision's names: the way back from `pretrained`."""

import os
from pathlib import Path

import flax.linen as nn
import numpy as np
from flax import traverse_util
from jaxtyping import PyTree
from safetensors.numpy import save_file

from jiaa.data.store import replacing
from jiaa.models.pretrained import backbone_name, variable_shapes
from jiaa.models.torch_names import Target, targets


def to_state_dict(variables: PyTree, module: nn.Module) -> dict[str, np.ndarray]:
    """Arrays under torchvision's names, from the variables of a backbone.

    `pretrained.convert_state_dict` undoes it. What torchvision's file has besides, such
    as counts of batches, is not there.

    Args:
      variables: {"params", "batch_stats"} of the backbone alone; the latter may be
        missing.
      module: the backbone.

    Raises:
      ValueError: not a backbone of `BACKBONES`, or variables of another one.
    """
    collections = ("params", "batch_stats")
    leaves = traverse_util.flatten_dict(
        {n: dict(variables.get(n, {})) for n in collections}
    )
    leaves = {path: np.asarray(leaf) for path, leaf in leaves.items() if path[1:]}
    expected = targets(backbone_name(module), variable_shapes(module))
    wanted = {target.path for target in expected.values()}
    if wanted != set(leaves):
        odd = sorted("/".join(path) for path in wanted ^ set(leaves))
        raise ValueError(
            f"variables do not fit {type(module).__name__}: {', '.join(odd[:5])} of "
            f"{len(odd)} are missing or unexpected; expected those of this backbone "
            'alone, such as variables["params"]["backbone"]'
        )
    return {name: _back(leaves[t.path], t) for name, t in expected.items()}


def save_state_dict(
    path: str | os.PathLike[str], variables: PyTree, module: nn.Module
) -> None:
    """Writes a `.safetensors` file that `pretrained.load_pretrained` reads."""
    state = to_state_dict(variables, module)
    with replacing(Path(path)) as partial:
        save_file({name: np.ascontiguousarray(x) for name, x in state.items()}, partial)


def _back(array: np.ndarray, target: Target) -> np.ndarray:
    """Torch's array from ours: where `target.convert` puts each place, looked up."""
    places = np.arange(array.size).reshape(target.torch_shape)
    result = np.empty(array.size, array.dtype)
    result[target.convert(places).ravel()] = array.ravel()
    return result.reshape(target.torch_shape)
