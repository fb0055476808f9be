"""Pretrained backbones: how their images are prepared, and weights from torch names."""

import dataclasses
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open

from jiaa.models.backbones import BACKBONES, create_backbone
from jiaa.models.torch_names import is_ignored, targets


@dataclasses.dataclass(frozen=True)
class PretrainedSpec:
    """What published weights of a backbone expect and give.

    Images in [0, 1] are resized to `image_size`, then `(image - mean) / std` per
    channel. `feature_dim` is the width of "pooled", `torchvision` the name of the same
    model there.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    image_size: int
    feature_dim: int
    torchvision: str
    num_classes: int = 1000


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ALEXNET_SPEC = PretrainedSpec(IMAGENET_MEAN, IMAGENET_STD, 224, 4096, "alexnet")
DENSENET121_SPEC = PretrainedSpec(IMAGENET_MEAN, IMAGENET_STD, 224, 1024, "densenet121")
VGG16_SPEC = PretrainedSpec(IMAGENET_MEAN, IMAGENET_STD, 224, 4096, "vgg16")
RESNET18_SPEC = PretrainedSpec(IMAGENET_MEAN, IMAGENET_STD, 224, 512, "resnet18")
SQUEEZENET_SPEC = PretrainedSpec(
    IMAGENET_MEAN, IMAGENET_STD, 224, 1024, "squeezenet1_1"
)
# torchvision normalises with ImageNet's numbers and undoes it inside the network
# (`transform_input`); its weights come from TensorFlow and see images in [-1, 1].
INCEPTION_V3_SPEC = PretrainedSpec(
    (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 299, 2048, "inception_v3"
)
# Not torchvision's: PAM (ICCV 2017) shows 224 px crops; ImageNet's numbers serve.
INCEPTION_BN_SPEC = PretrainedSpec(
    IMAGENET_MEAN, IMAGENET_STD, 224, 1024, "Caffe port bninception"
)

SPECS: dict[str, PretrainedSpec] = {
    "alexnet": ALEXNET_SPEC,
    "densenet121": DENSENET121_SPEC,
    "inception_bn": INCEPTION_BN_SPEC,
    "inception_v3": INCEPTION_V3_SPEC,
    "resnet18": RESNET18_SPEC,
    "squeezenet": SQUEEZENET_SPEC,
    "vgg16": VGG16_SPEC,
}


def load_pretrained(
    path: str | os.PathLike[str], backbone: str | nn.Module
) -> dict[str, Any]:
    """Variables {"params", "batch_stats"} of `backbone` from a torchvision state dict.

    Args:
        path: a `.safetensors` file, or `.pth` / `.pt` (needs torch; only tensors are
            unpickled). Half precision becomes float32.
        backbone: a name of `BACKBONES`, or the module whose shapes the file must have.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the file needs torch, which is not installed.
        ValueError: the file is of another kind, cannot be read, or does not hold
            exactly the tensors of this backbone; the message lists which are missing,
            unexpected, misshapen and not finite.
    """
    module = create_backbone(backbone) if isinstance(backbone, str) else backbone
    path = Path(path)
    return convert_state_dict(read_state_dict(path), module, source=str(path))


def backbone_name(module: nn.Module) -> str:
    """The name in `BACKBONES` of a module's class; raises ValueError for any other."""
    for name, cls in BACKBONES.items():
        if type(module) is cls:
            return name
    raise ValueError(
        f"no torchvision names for {type(module).__name__}; known: {sorted(BACKBONES)}"
    )


def variable_shapes(module: nn.Module) -> dict[str, Any]:
    """The backbone's {"params", "batch_stats"} as shapes, computed without arrays."""
    size: int = module.minimum_size  # pyright: ignore[reportAttributeAccessIssue]
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    return {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}


def convert_state_dict(
    state: Mapping[str, np.ndarray], module: nn.Module, *, source: str = "state dict"
) -> dict[str, Any]:
    """Variables of `module` from arrays under torchvision's names; all must fit.

    Raises ValueError as `load_pretrained` does; `source` names the file in the message.
    """
    name = backbone_name(module)
    expected = targets(name, variable_shapes(module))
    state = {key: state[key] for key in state if not is_ignored(name, key)}
    misshapen, not_finite, leaves = [], [], {}
    for key in sorted(set(expected) & set(state)):
        target, array = expected[key], np.asarray(state[key])
        if array.shape != target.torch_shape or not _is_float(array):
            misshapen.append(
                f"{key} (expected floats of shape {target.torch_shape}, "
                f"found {array.dtype} of shape {array.shape})"
            )
            continue
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            not_finite.append(key)
        leaves[target.path] = jnp.asarray(target.convert(array))
    problems = {
        "missing": sorted(set(expected) - set(state)),
        "unexpected": sorted(set(state) - set(expected)),
        "misshapen": misshapen,
        "not finite": not_finite,
    }
    if any(problems.values()):
        raise ValueError(_refusal(source, name, problems))
    tree = traverse_util.unflatten_dict(leaves)
    return {"params": tree["params"], "batch_stats": tree.get("batch_stats", {})}


def _is_float(array: np.ndarray) -> bool:
    # NumPy's own test does not know bfloat16.
    return jnp.issubdtype(array.dtype, jnp.floating)


def _refusal(source: str, backbone: str, problems: Mapping[str, list[str]]) -> str:
    """One message with every tensor that does not fit, and what to do."""
    lines = [f"{source} does not hold the weights of {backbone}."]
    for problem, names in problems.items():
        if names:
            lines.append(f"{problem} ({len(names)}): {', '.join(names)}")
    lines.append(
        f"Use a state dict of torchvision's {SPECS[backbone].torchvision}, and create "
        "the backbone with the num_classes and width that it was trained with."
    )
    return "\n".join(lines)


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Names and arrays of a weights file; raises as `load_pretrained` does."""
    if path.suffix not in READERS:
        raise ValueError(
            f"{path}: expected a file ending in one of {', '.join(READERS)}; found "
            f"{path.suffix or 'no suffix'!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; check the path")
    return READERS[path.suffix](path)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no complete safetensors file ({error}): fetch or copy it again"
        ) from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"{path} needs torch to be read: pip install 'jiaa[torch]', or convert "
            "the file to .safetensors"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors, or is damaged, and is not unpickled "
            "because that could run any code: save it again with "
            "torch.save(model.state_dict(), ...)"
        ) from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is no complete torch file ({error}): fetch or copy it again"
        ) from error
    # Training programs save the state dict beside their optimizer's state.
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise ValueError(
            f"{path} is no state dict: save it with torch.save(model.state_dict(), ...)"
        )
    # torch's bfloat16 has no NumPy counterpart; parallel training prefixes "module.".
    return {
        str(name).removeprefix("module."): (
            tensor.detach().float() if tensor.is_floating_point() else tensor
        ).numpy()
        for name, tensor in state.items()
    }


READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
}
