"""Trees of arrays as `.safetensors` files: names joined by "/", nothing executable."""

import os
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import PyTree
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file


def save_variables(path: str | os.PathLike[str], variables: PyTree) -> None:
    """Writes nested dictionaries of arrays; an old file stays until the new is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file({name: np.ascontiguousarray(x) for name, x in flat.items()}, part)
    os.replace(part, path)


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
