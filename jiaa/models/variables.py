"""Trees of arrays as `.safetensors` files: names joined by "/", nothing executable."""

import os
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import PyTree
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jiaa.data.store import replacing


def save_variables(path: str | os.PathLike[str], variables: PyTree) -> None:
    """Writes nested dictionaries of arrays; the old file stays until all is there."""
    path = Path(path)
    flat = traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    arrays = {name: np.asarray(x, order="C") for name, x in flat.items()}
    with replacing(path) as partial:
        save_file(arrays, partial)


def load_variables(path: str | os.PathLike[str]) -> PyTree:
    """What `save_variables` wrote, as NumPy arrays.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is no whole safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a .safetensors file.")
    try:
        return traverse_util.unflatten_dict(load_file(path), sep="/")
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no whole safetensors file ({error}). Write it again."
        ) from error
