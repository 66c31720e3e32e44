"""EfficientNet-Lite0: features of pictures, learned on ImageNet (Tan and Le, 2019; the lite variant, 2020).

The lite variant has no squeeze and excitation, and ReLU6 everywhere.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

FEATURES = 1280

_STAGES = (
    # channels, blocks, edge of the window, step, expansion
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)

_EPSILON = 1e-3
"""Of the batch norms, as in TensorFlow."""


class _SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: one pixel more at the end where the sum is odd."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        margins: list[int] = []
        for length in (x.shape[3], x.shape[2]):
            steps = -(-length // self.stride[0])
            missing = max((steps - 1) * self.stride[0] + self.kernel_size[0] - length, 0)
            margins += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(x, margins))


class InvertedBottleneck(nn.Module):
    """A wider 1 x 1, a convolution of each channel apart, and a narrower 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self._expands, self._adds = expansion > 1, stride == 1 and inputs == outputs
        if self._expands:
            self.expand_conv = _SameConv(inputs, width, 1)
            self.bn0 = nn.BatchNorm2d(width, _EPSILON)
        self.depthwise_conv = _SameConv(width, width, kernel, stride, groups=width)
        self.bn1 = nn.BatchNorm2d(width, _EPSILON)
        self.project_conv = _SameConv(width, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu6(self.bn0(self.expand_conv(x))) if self._expands else x
        hidden = functional.relu6(self.bn1(self.depthwise_conv(hidden)))
        hidden = self.bn2(self.project_conv(hidden))
        return hidden + x if self._adds else hidden


class EfficientNetLite0(nn.Module):
    """The network without its classifier: 1280 features of each picture.

    State-dict keys are those of ``efficientnet-lite0-57934424.pth`` without their leading underscores.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _SameConv(3, 32, 3, 2)
        self.bn0 = nn.BatchNorm2d(32, _EPSILON)
        blocks, inputs = [], 32
        for outputs, count, kernel, stride, expansion in _STAGES:
            for number in range(count):
                blocks.append(InvertedBottleneck(inputs, outputs, kernel, 1 if number else stride, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = _SameConv(inputs, FEATURES, 1)
        self.bn1 = nn.BatchNorm2d(FEATURES, _EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, 1280), means over all positions, of pictures (B, 3, h, w) as :func:`prepared` gives them."""
        hidden = functional.relu6(self.bn0(self.conv_stem(pictures)))
        for block in self.blocks:
            hidden = block(hidden)
        return functional.relu6(self.bn1(self.conv_head(hidden))).mean((2, 3))


def prepared(pictures: Tensor) -> Tensor:
    """Pictures of grey or colour values in [0, 1] on the scale of the network's training."""
    return (pictures * 255 - 127) / 128
