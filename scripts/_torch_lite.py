"""EfficientNet-Lite in plain PyTorch, under the published program's parameter names.

For the benchmarks alone: a machine with a GPU need not have that program. The numbers
of blocks and channels are those of jiaa's table.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiaa.models.backbones.efficientnet_lite import (
    GROUPS,
    HEAD,
    STEM,
    blocks_of,
    features_of,
)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: an odd pixel at the bottom and right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups=1):
        """Without bias: a BatchNorm follows."""
        super().__init__(inputs, outputs, kernel, stride, bias=False, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of size / stride, rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        missing = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size in (x.shape[3], x.shape[2])
        )
        pads = [pad for many in missing for pad in (many // 2, many - many // 2)]
        return super().forward(functional.pad(x, pads) if any(pads) else x)


def norm_of(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with the release's numbers."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Expands, filters each channel alone, projects."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int
    ):
        """The first layer is left out where nothing is expanded."""
        super().__init__()
        wide = expansion * inputs
        self._expand_conv = None
        if expansion > 1:
            self._expand_conv = SameConv(inputs, wide, 1, 1)
            self._bn0 = norm_of(wide)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = norm_of(wide)
        self._project_conv = SameConv(wide, outputs, 1, 1)
        self._bn2 = norm_of(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of `outputs` channels."""
        out = x
        if self._expand_conv is not None:
            out = functional.relu6(self._bn0(self._expand_conv(out)), inplace=True)
        out = functional.relu6(self._bn1(self._depthwise_conv(out)), inplace=True)
        out = self._bn2(self._project_conv(out))
        return x + out if out.shape == x.shape else out


class EfficientNetLite(nn.Module):
    """Pooled features of one of the Lites."""

    feature_dim = HEAD

    def __init__(self, width: float = 1.0, depth: float = 1.0):
        """`width` and `depth`: of jiaa's backbone."""
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, STEM, 3, 2), norm_of(STEM)
        blocks, inputs = [], STEM
        for i, group in enumerate(GROUPS):
            outputs = features_of(i, width)
            for block in range(blocks_of(i, depth)):
                stride = 1 if block else group.stride
                shape = (inputs, outputs, group.kernel, stride, group.expansion)
                blocks.append(Block(*shape))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(inputs, HEAD, 1, 1), norm_of(HEAD)

    def forward(self, x: Tensor) -> Tensor:
        """[image, feature]."""
        x = functional.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)), inplace=True)
        return torch.mean(x, (2, 3))


class EfficientNetLite2(EfficientNetLite):
    """The Lite for images of 260 pixels."""

    def __init__(self):
        """Wider and deeper."""
        super().__init__(width=1.1, depth=1.2)
