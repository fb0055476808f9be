"""Networks in plain PyTorch, under torchvision's parameter names.

For the benchmarks alone. Written again rather than imported, because torchvision's own
operators, which none of them needs, must be built for the very torch that is installed.
Classifiers are left out: the head of BA-PIAA reads the pooled features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts._torch_lite import EfficientNetLite2

FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if inputs != outputs or stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps of `outputs` channels."""
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(out + shortcut, inplace=True)


class ResNet18(nn.Module):
    """Pooled features of ResNet-18; `width` is that of the first stage."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.feature_dim = 8 * width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage in range(4):
            outputs = width * 2**stage
            blocks = (
                BasicBlock(inputs, outputs, 2 if stage else 1),
                BasicBlock(outputs, outputs, 1),
            )
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """[image, feature]."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x.mean((2, 3))


class Fire(nn.Module):
    """A 1x1 layer, expanded by 1x1 and 3x3 layers side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of `2 * expand` channels."""
        x = functional.relu(self.squeeze(x), inplace=True)
        out = torch.cat((self.expand1x1(x), self.expand3x3(x)), 1)
        return functional.relu(out, inplace=True)


class SqueezeNet(nn.Module):
    """Mean and maximum over positions of SqueezeNet 1.1's last fire module."""

    feature_dim = 1024

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(inplace=True)]
        for index, widths in FIRES.items():
            if index != len(layers):
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            layers.append(Fire(*widths))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[image, feature]."""
        x = self.features(x)
        return torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1)


class AlexNet(nn.Module):
    """The second dense layer of torchvision's AlexNet, without dropout."""

    feature_dim = 4096

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        # Dropout, which the benchmarks leave off, holds places 0 and 3 in torchvision.
        self.classifier = nn.Sequential(
            *(nn.Identity(), nn.Linear(9216, 4096), nn.ReLU()),
            *(nn.Identity(), nn.Linear(4096, 4096), nn.ReLU()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[image, feature], of images of 224 pixels."""
        return self.classifier(self.features(x).flatten(1))


class InceptionV3(nn.Module):
    """torchvision's own, which must be importable; images in [-1, 1]."""

    feature_dim = 2048

    def __init__(self):
        super().__init__()
        from torchvision.models import inception_v3

        trunk = inception_v3(init_weights=True, transform_input=False, aux_logits=True)
        trunk.AuxLogits = None
        trunk.fc, trunk.dropout = nn.Identity(), nn.Identity()
        self.trunk = trunk

    def forward(self, x: Tensor) -> Tensor:
        """[image, feature]."""
        found = self.trunk(x)
        return getattr(found, "logits", found)


NETWORKS: dict[str, type[nn.Module]] = {
    "alexnet": AlexNet,
    "efficientnet_lite2": EfficientNetLite2,
    "inception_v3": InceptionV3,
    "resnet18": ResNet18,
    "squeezenet": SqueezeNet,
}


class Aesthetic(nn.Module):
    """A network and a head: dense 512, ReLU (the slides'), dense 1, sigmoid.

    Without `hidden` layer the head is linear.
    """

    def __init__(self, network: str, *, hidden: int = 512, **options: int):
        super().__init__()
        self.backbone = NETWORKS[network](**options)
        features = self.backbone.feature_dim
        self.dense1 = nn.Linear(features, hidden) if hidden else None
        self.score = nn.Linear(hidden or features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Unit scores [image] of normalised images [image, 3, height, width]."""
        return self.head(self.backbone(x))

    def head(self, features: Tensor) -> Tensor:
        """Unit scores [image] of features [image, feature]."""
        if self.dense1 is not None:
            features = functional.relu(self.dense1(features))
        return torch.sigmoid(self.score(features))[:, 0]
