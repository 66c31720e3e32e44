"""Sizes of the networks of HA-GAN.

Sun et al., "Hierarchical Amortized GAN for 3D High Resolution Medical Image Synthesis" (2022). The official code has no
licence; nothing here is taken from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from priors.networks.settings import check_positive, plain_settings, read_settings

SIZES = (32, 64, 128, 256)
"""Edges in voxels of the cubes that the networks are built for; 128 and 256 were published."""

SLABS = 8
"""Slabs into which a volume is cut along its first axis."""

FEATURE_STRIDE = 4
"""Voxels of a volume along one voxel of its features."""

NORM_GROUPS = 8


@dataclass(frozen=True)
class HAGANConfig:
    """The defaults are those of the published networks.

    Attributes:
        size: edge in voxels of the cubes; one of ``SIZES``.
        width: the width from which all others follow; features have twice as many channels.
        latent: numbers of a latent vector.
        classes: the number of classes; 0 for networks without a class condition.

    Raises:
        ValueError: a size or a count that no network can have.
    """

    size: int = 256
    width: int = 32
    latent: int = 1024
    classes: int = 0

    def __post_init__(self) -> None:
        check_positive("HA-GAN", self, "width", "latent")
        if self.size not in SIZES:
            raise ValueError(f"HA-GAN size {self.size}; it must be one of {', '.join(map(str, SIZES))}")
        if self.width % 2 or self.width < 4:
            raise ValueError(f"HA-GAN width {self.width} must be even, and 4 or more")
        if self.classes < 0 or self.classes == 1:
            raise ValueError(f"HA-GAN classes {self.classes} must be 0, or 2 or more")

    @property
    def features(self) -> int:
        """Channels of the features of a volume."""
        return 2 * self.width

    @property
    def slab(self) -> int:
        """Slices of a slab at full resolution."""
        return self.size // SLABS

    @property
    def left_out(self) -> int:
        """How many halvings the networks for this size have less than those for cubes of 256 voxels."""
        return int(math.log2(SIZES[-1] // self.size))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HAGANConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "HA-GAN", values)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with the published eight groups, or as many as narrower networks can have."""
    return nn.GroupNorm(math.gcd(NORM_GROUPS, channels), channels)
