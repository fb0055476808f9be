"""Where published parameters go in jiaa's backbones: data, no architecture.

The names are torchvision's, and for what it has not, those of another program in torch.

A layer is (torch's module, our module, kind); a kind says what its tensors are called
on both sides and how the array is turned. `targets` lists what a variable tree needs.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

Transform = Callable[[np.ndarray], np.ndarray]
Layer = tuple[str, str, str]


def _as_it_is(array: np.ndarray) -> np.ndarray:
    return array


def _channels_last(side: int) -> Transform:
    """Of a dense layer on flattened maps: torch has (C, side, side), we (.., .., C)."""

    def reorder(array: np.ndarray) -> np.ndarray:
        maps = array.reshape(array.shape[0], -1, side, side)
        return maps.transpose(0, 2, 3, 1).reshape(array.shape[0], -1)

    return reorder


class Tensor(NamedTuple):
    """Our place for a torch tensor; its axis i is our axis `axes[i]`."""

    collection: str
    leaf: str
    axes: tuple[int, ...] = (0,)
    reorder: Transform = _as_it_is


_BIAS = Tensor("params", "bias")
KINDS: dict[str, dict[str, Tensor]] = {
    "conv": {"weight": Tensor("params", "kernel", (3, 2, 0, 1)), "bias": _BIAS},
    "dense": {"weight": Tensor("params", "kernel", (1, 0)), "bias": _BIAS},
    **{
        f"dense_after_{side}x{side}_maps": {
            "weight": Tensor("params", "kernel", (1, 0), _channels_last(side)),
            "bias": _BIAS,
        }
        for side in (6, 7)
    },
    "norm": {
        "weight": Tensor("params", "scale"),
        "bias": _BIAS,
        "running_mean": Tensor("batch_stats", "mean"),
        "running_var": Tensor("batch_stats", "var"),
    },
}

ALEXNET: tuple[Layer, ...] = (
    ("features.0", "conv1", "conv"),
    ("features.3", "conv2", "conv"),
    ("features.6", "conv3", "conv"),
    ("features.8", "conv4", "conv"),
    ("features.10", "conv5", "conv"),
    ("classifier.1", "dense1", "dense_after_6x6_maps"),
    ("classifier.4", "dense2", "dense"),
    ("classifier.6", "classifier", "dense"),
)

SQUEEZENET: tuple[Layer, ...] = (
    ("features.0", "conv1", "conv"),
    *(
        (f"features.{index}.{part}", f"fire{number}/{part}", "conv")
        for number, index in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2)
        for part in ("squeeze", "expand1x1", "expand3x3")
    ),
    ("classifier.1", "classifier", "conv"),
)


def _unit(theirs: str, ours: str, *, conv: str, norm: str) -> tuple[Layer, Layer]:
    """The two layers of a ConvNorm."""
    return (
        (f"{theirs}{conv}", f"{ours}/conv", "conv"),
        (f"{theirs}{norm}", f"{ours}/norm", "norm"),
    )


RESNET18: tuple[Layer, ...] = (
    *_unit("", "stem", conv="conv1", norm="bn1"),
    *(
        layer
        for stage in (1, 2, 3, 4)
        for block in (1, 2)
        for theirs, ours, conv, norm in (
            ("", "unit1", "conv1", "bn1"),
            ("", "unit2", "conv2", "bn2"),
            ("downsample.", "shortcut", "0", "1"),
        )
        if ours != "shortcut" or (stage > 1 and block == 1)
        for layer in _unit(
            f"layer{stage}.{block - 1}.{theirs}",
            f"stage{stage}_block{block}/{ours}",
            conv=conv,
            norm=norm,
        )
    ),
    ("fc", "classifier", "dense"),
)

_STEM = (
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
)
_BLOCK_A = (
    "branch1x1",
    "branch5x5_1",
    "branch5x5_2",
    "branch3x3dbl_1",
    "branch3x3dbl_2",
    "branch3x3dbl_3",
    "branch_pool",
)
_BLOCK_C = (
    "branch1x1",
    *(f"branch7x7_{i}" for i in range(1, 4)),
    *(f"branch7x7dbl_{i}" for i in range(1, 6)),
    "branch_pool",
)
_BLOCK_E = (
    "branch1x1",
    "branch3x3_1",
    "branch3x3_2a",
    "branch3x3_2b",
    "branch3x3dbl_1",
    "branch3x3dbl_2",
    "branch3x3dbl_3a",
    "branch3x3dbl_3b",
    "branch_pool",
)
_BLOCKS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _BLOCK_A),
    "Mixed_6a": ("branch3x3", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _BLOCK_C),
    "Mixed_7a": (
        *("branch3x3_1", "branch3x3_2"),
        *(f"branch7x7x3_{i}" for i in range(1, 5)),
    ),
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _BLOCK_E),
}

INCEPTION_V3: tuple[Layer, ...] = (
    *(
        layer
        for unit in _STEM
        for layer in _unit(f"{unit}.", f"stem/{unit}", conv="conv", norm="bn")
    ),
    *(
        layer
        for block, units in _BLOCKS.items()
        for unit in units
        for layer in _unit(
            f"{block}.{unit}.", f"{block}/{unit}", conv="conv", norm="bn"
        )
    ),
    ("fc", "classifier", "dense"),
)

DENSENET121: tuple[Layer, ...] = (
    ("features.conv0", "stem_conv", "conv"),
    ("features.norm0", "stem_norm", "norm"),
    *(
        layer
        for block, layers in enumerate((6, 12, 24, 16), 1)
        for number in range(1, layers + 1)
        for unit in ("1", "2")
        for layer in _unit(
            f"features.denseblock{block}.denselayer{number}.",
            f"block{block}_layer{number}_unit{unit}",
            conv=f"conv{unit}",
            norm=f"norm{unit}",
        )
    ),
    *(
        layer
        for block in (1, 2, 3)
        for layer in _unit(
            f"features.transition{block}.",
            f"transition{block}",
            conv="conv",
            norm="norm",
        )
    ),
    ("features.norm5", "norm", "norm"),
    ("classifier", "classifier", "dense"),
)

# torchvision has no Inception-BN: these are the layers' names of the Caffe model, as
# PyTorch's ports of it have them. A trimmed block lacks some.
_BN_UNITS = (
    *("1x1", "3x3_reduce", "3x3"),
    *("double_3x3_reduce", "double_3x3_1", "double_3x3_2", "pool_proj"),
)
INCEPTION_BN: tuple[Layer, ...] = (
    *(
        layer
        for theirs, ours in (
            ("conv1_7x7_s2", "conv1_7x7"),
            ("conv2_3x3_reduce", "conv2_3x3_reduce"),
            ("conv2_3x3", "conv2_3x3"),
        )
        for layer in _unit(theirs, f"stem/{ours}", conv="", norm="_bn")
    ),
    *(
        layer
        for block in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
        for unit in _BN_UNITS
        for layer in _unit(
            f"inception_{block}_{unit}",
            f"inception_{block}/{unit}",
            conv="",
            norm="_bn",
        )
    ),
    ("last_linear", "classifier", "dense"),
)

VGG16: tuple[Layer, ...] = (
    *(
        (f"features.{index}", f"conv{block}_{layer}", "conv")
        for block, indices in enumerate(
            ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)), 1
        )
        for layer, index in enumerate(indices, 1)
    ),
    ("classifier.0", "dense1", "dense_after_7x7_maps"),
    ("classifier.3", "dense2", "dense"),
    ("classifier.6", "classifier", "dense"),
)


def _efficientnet_lite(blocks: tuple[int, ...]) -> tuple[Layer, ...]:
    """The names of EfficientNet-PyTorch; `blocks` are those of each group.

    A block counts all before it; the first has no expansion, so its numbers start late.
    """
    names = [
        f"stage{stage}_block{block}"
        for stage, count in enumerate(blocks, 1)
        for block in range(1, count + 1)
    ]
    return (
        *_unit("", "stem", conv="_conv_stem", norm="_bn0"),
        *(
            layer
            for index, ours in enumerate(names)
            for number, (conv, unit) in enumerate(
                (
                    ("_expand_conv", "expand"),
                    ("_depthwise_conv", "depthwise"),
                    ("_project_conv", "project"),
                )
            )
            if index or number
            for layer in _unit(
                f"_blocks.{index}.", f"{ours}/{unit}", conv=conv, norm=f"_bn{number}"
            )
        ),
        *_unit("", "head", conv="_conv_head", norm="_bn1"),
        ("_fc", "classifier", "dense"),
    )


LAYERS: dict[str, tuple[Layer, ...]] = {
    "alexnet": ALEXNET,
    "densenet121": DENSENET121,
    "efficientnet_lite0": _efficientnet_lite((1, 2, 2, 3, 3, 4, 1)),
    "efficientnet_lite1": _efficientnet_lite((1, 3, 3, 4, 4, 5, 1)),
    "efficientnet_lite2": _efficientnet_lite((1, 3, 3, 4, 4, 5, 1)),
    "inception_bn": INCEPTION_BN,
    "inception_v3": INCEPTION_V3,
    "resnet18": RESNET18,
    "squeezenet": SQUEEZENET,
    "vgg16": VGG16,
}

# Names that a right file may hold and that have no place in the model: torch's count of
# batches, and Inception's auxiliary classifier, which only helps ImageNet training.
IGNORED_SUFFIXES = (".num_batches_tracked",)
IGNORED_PREFIXES: dict[str, tuple[str, ...]] = {"inception_v3": ("AuxLogits.",)}

# torchvision's own files of DenseNet are older than its names: norm.1 for norm1.
OLD_NAMES: dict[str, re.Pattern[str]] = {
    "densenet121": re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")
}


class Target(NamedTuple):
    """Where one torch tensor goes in the variables, and the shape it has in torch."""

    path: tuple[str, ...]
    torch_shape: tuple[int, ...]
    tensor: Tensor

    def convert(self, array: np.ndarray) -> np.ndarray:
        """Our array from torch's, which has `torch_shape`."""
        return self.tensor.reorder(array).transpose(np.argsort(self.tensor.axes))


def is_ignored(backbone: str, name: str) -> bool:
    """Whether a tensor of that name is left out on purpose."""
    prefixes = IGNORED_PREFIXES.get(backbone, ())
    return name.endswith(IGNORED_SUFFIXES) or name.startswith(prefixes)


def current_name(backbone: str, name: str) -> str:
    """Today's name of a tensor that a file may have under an older one."""
    old = OLD_NAMES.get(backbone)
    found = old.fullmatch(name) if old else None
    return "".join(found.groups()) if found else name


def targets(backbone: str, variables: Mapping[str, Any]) -> dict[str, Target]:
    """For each torch name that `variables` need: its place there.

    `variables` is the tree of "params" and "batch_stats" (or of their shapes). A tensor
    that the table knows but the tree lacks (the bias before a BatchNorm) is not needed.
    Raises ValueError if the table does not reach every leaf of the tree.
    """
    leaves: dict[Any, Any] = traverse_util.flatten_dict(dict(variables))
    found = {}
    for theirs, ours, kind in LAYERS[backbone]:
        for name, tensor in KINDS[kind].items():
            path = (tensor.collection, *ours.split("/"), tensor.leaf)
            if path in leaves:
                shape = tuple(leaves[path].shape[axis] for axis in tensor.axes)
                found[f"{theirs}.{name}"] = Target(path, shape, tensor)
    unreached = sorted(set(leaves) - {target.path for target in found.values()})
    if unreached:
        names = ", ".join("/".join(path) for path in unreached)
        raise ValueError(f"no torchvision name for {names} of {backbone}")
    return found
