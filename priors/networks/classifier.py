"""A classifier of volumes: a residual network in three dimensions (He et al. 2016), ResNet-18 by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from priors.networks.resnet3d import BasicBlock
from priors.networks.settings import check_positive, plain_settings, read_settings


@dataclass(frozen=True)
class ClassifierConfig:
    """Sizes of a classifier; the defaults are ResNet-18 in three dimensions.

    Attributes:
        classes: the number of classes.
        stem_kernel: the edges (z, x, y) of the first convolution, odd.
        stem_stride: the steps (z, x, y) of the first convolution.
        blocks: the number of blocks in each stage; every stage but the first halves the resolution.
        width: the channels of the first stage; they double with every stage.

    Raises:
        ValueError: no class, no block, or an even edge.
    """

    classes: int = 2
    stem_kernel: tuple[int, ...] = (7, 7, 7)
    stem_stride: tuple[int, ...] = (2, 2, 2)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64

    def __post_init__(self) -> None:
        check_positive("classifier", self, "classes", "width")
        if len(self.stem_kernel) != 3 or len(self.stem_stride) != 3:
            raise ValueError("classifier settings stem_kernel and stem_stride must have three numbers each")
        if not 1 <= len(self.blocks) <= 8:
            raise ValueError(f"classifier setting blocks is {list(self.blocks)}; 1 to 8 stages are wanted")
        for name in ("stem_kernel", "stem_stride", "blocks"):
            if not all(1 <= value <= 100 for value in getattr(self, name)):
                raise ValueError(f"classifier setting {name} is {list(getattr(self, name))}; each must be 1 to 100")
        if any(edge % 2 == 0 for edge in self.stem_kernel):
            raise ValueError(f"classifier setting stem_kernel is {list(self.stem_kernel)}; each must be odd")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassifierConfig:
        """A configuration from plain values, strictly; ``ValueError`` names what is wrong."""
        return read_settings(cls, "classifier", values)


class VolumeClassifier(nn.Module):
    """Scores of classes for volumes of any size; they become probabilities by softmax.

    Args:
        config: sizes.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        kernel = cast(tuple[int, int, int], config.stem_kernel)
        stride = cast(tuple[int, int, int], config.stem_stride)
        padding = cast(tuple[int, int, int], tuple(edge // 2 for edge in kernel))
        self.stem = nn.Conv3d(1, config.width, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm3d(config.width)
        self.pool = nn.MaxPool3d(3, stride=2, padding=1)
        blocks, inputs = [], config.width
        for stage, count in enumerate(config.blocks):
            outputs = config.width * 2**stage
            for number in range(count):
                blocks.append(BasicBlock(inputs, outputs, 2 if stage and not number else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, config.classes)

    def forward(self, volumes: Tensor) -> Tensor:
        """Scores (B, classes) of volumes (B, 1, Z, X, Y)."""
        hidden = self.pool(torch.relu(self.norm(self.stem(volumes))))
        return self.head(self.blocks(hidden).mean((2, 3, 4)))
