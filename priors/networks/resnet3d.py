"""Residual networks of bottlenecks in three dimensions, whose mean features stand for a volume.

MedicalNet's ResNet-50 (Chen et al., "Med3D", 2019) and an inflated ResNet-152 for CT (Merlin: Blankemeier et al., 2024)
are two settings of one network. State-dict keys are those of their files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from priors.networks.settings import check_positive, plain_settings, read_settings

_EXPANSION = 4
"""Output channels of a bottleneck for each channel of its width."""

_STEM = 64
"""Channels after the first convolution."""


@dataclass(frozen=True)
class ResNet3DConfig:
    """Sizes of a network; the defaults are those of MedicalNet's ResNet-50, 46,155,072 parameters.

    Attributes:
        in_channels: the channels of a volume.
        stem_kernel: the edges (z, x, y) of the first convolution, odd.
        stem_stride: the steps (z, x, y) of the first convolution.
        blocks: the number of bottlenecks in each stage.
        strides: the step of the first bottleneck of each stage.
        dilations: the dilation of each stage.
        width: the width of the first stage; it doubles with every stage.

    Raises:
        ValueError: no channel, no block, or settings that do not belong to equally many stages or axes.
    """

    in_channels: int = 1
    stem_kernel: tuple[int, ...] = (7, 7, 7)
    stem_stride: tuple[int, ...] = (2, 2, 2)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    strides: tuple[int, ...] = (1, 2, 1, 1)
    dilations: tuple[int, ...] = (1, 1, 2, 4)
    width: int = 64

    def __post_init__(self) -> None:
        check_positive("3D ResNet", self, "in_channels", "width")
        if len(self.stem_kernel) != 3 or len(self.stem_stride) != 3:
            raise ValueError("3D ResNet settings stem_kernel and stem_stride must have three numbers each")
        if not len(self.blocks) == len(self.strides) == len(self.dilations) >= 1:
            raise ValueError("3D ResNet settings blocks, strides and dilations must have one number for each stage")
        for name in ("stem_kernel", "stem_stride", "blocks", "strides", "dilations"):
            if not all(1 <= value <= 100 for value in getattr(self, name)):
                raise ValueError(f"3D ResNet setting {name} is {list(getattr(self, name))}; each must be 1 to 100")
        if any(edge % 2 == 0 for edge in self.stem_kernel):
            raise ValueError(f"3D ResNet setting stem_kernel is {list(self.stem_kernel)}; each must be odd")

    @property
    def features(self) -> int:
        """The number of features of a volume."""
        return self.width * 2 ** (len(self.blocks) - 1) * _EXPANSION

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ResNet3DConfig:
        """A configuration from plain values, strictly; ``ValueError`` names what is wrong."""
        return read_settings(cls, "3D ResNet", values)


CT_RESNET152 = ResNet3DConfig(
    in_channels=3,
    stem_kernel=(3, 7, 7),
    stem_stride=(1, 2, 2),
    blocks=(3, 8, 36, 3),
    strides=(1, 2, 2, 2),
    dilations=(1, 1, 1, 1),
)
"""The inflated ResNet-152 for CT: 117.5 million parameters."""


class Bottleneck(nn.Module):
    """Convolutions of edges 1, 3 and 1 beside a shortcut, which is projected where channels or resolution change."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = torch.relu(self.bn1(self.conv1(x)))
        branch = torch.relu(self.bn2(self.conv2(branch)))
        return torch.relu(self.bn3(self.conv3(branch)) + self.downsample(x))


class BasicBlock(nn.Module):
    """Two convolutions of edge 3 beside a shortcut, as in ResNet-18 and ResNet-34."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(branch + self.downsample(x))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """What goes past a block: its input, projected where channels or resolution change."""
    if inputs == outputs and stride == 1:
        return nn.Sequential()
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))


class ResNet3D(nn.Module):
    """The network without its classifier: one vector for each volume."""

    def __init__(self, config: ResNet3DConfig) -> None:
        super().__init__()
        self.config = config
        kernel = cast(tuple[int, int, int], config.stem_kernel)
        stride = cast(tuple[int, int, int], config.stem_stride)
        padding = cast(tuple[int, int, int], tuple(edge // 2 for edge in kernel))
        self.conv1 = nn.Conv3d(config.in_channels, _STEM, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm3d(_STEM)
        self.pool = nn.MaxPool3d(3, stride=2, padding=1)
        self._stages = [f"layer{number}" for number in range(1, len(config.blocks) + 1)]
        inputs, width = _STEM, config.width
        for name, blocks, step, dilation in zip(
            self._stages, config.blocks, config.strides, config.dilations, strict=True
        ):
            self.add_module(name, _stage(inputs, width, blocks, step, dilation))
            inputs, width = width * _EXPANSION, 2 * width

    def forward(self, volumes: Tensor) -> Tensor:
        """Features (B, n), means over all positions, of volumes (B, C, Z, X, Y)."""
        for hidden in self.maps(volumes):
            last = hidden
        return last.mean((2, 3, 4))

    def maps(self, volumes: Tensor) -> Iterator[Tensor]:
        """Maps (B, n, z, x, y) of volumes (B, C, Z, X, Y), after the stem and after each stage."""
        hidden = self.pool(torch.relu(self.bn1(self.conv1(volumes))))
        yield hidden
        for name in self._stages:
            hidden = self.get_submodule(name)(hidden)
            yield hidden


def _stage(inputs: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(width * _EXPANSION, width, 1, dilation) for _ in range(blocks - 1)))
