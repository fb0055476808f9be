"""The convolutional networks of the papers, by name."""

from typing import Any

import flax.linen as nn

from jiaa.models.backbones.alexnet import AlexNet
from jiaa.models.backbones.densenet import DenseNet121
from jiaa.models.backbones.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from jiaa.models.backbones.inception_bn import InceptionBN
from jiaa.models.backbones.inception_v3 import InceptionV3
from jiaa.models.backbones.resnet import ResNet18
from jiaa.models.backbones.squeezenet import SqueezeNet
from jiaa.models.backbones.vgg import VGG16

BACKBONES: dict[str, type[nn.Module]] = {
    "alexnet": AlexNet,
    "densenet121": DenseNet121,
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite1": EfficientNetLite1,
    "efficientnet_lite2": EfficientNetLite2,
    "inception_bn": InceptionBN,
    "inception_v3": InceptionV3,
    "resnet18": ResNet18,
    "squeezenet": SqueezeNet,
    "vgg16": VGG16,
}

__all__ = [
    "BACKBONES",
    "VGG16",
    "AlexNet",
    "DenseNet121",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "InceptionBN",
    "InceptionV3",
    "ResNet18",
    "SqueezeNet",
    "create_backbone",
]


def create_backbone(name: str, **options: Any) -> nn.Module:
    """The backbone of that name; `options` are its fields (num_classes, dtype, ...).

    Raises ValueError for an unknown name and TypeError for an unknown option.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {sorted(BACKBONES)}")
    return BACKBONES[name](**options)
