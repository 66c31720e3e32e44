"""Sizes of the two networks of WDM.

Friedrich et al., "WDM: 3D Wavelet Diffusion Models for High-Resolution Medical Image Synthesis" (2024), whose code is
under the MIT licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from priors.networks.settings import check_positive, plain_settings, read_settings

BANDS = 8
"""Sub-bands of one level of a 3-D wavelet transform."""


@dataclass(frozen=True)
class WDMConfig:
    """The defaults are those of the released networks, for volumes of 128 x 128 x 128 voxels.

    Attributes:
        form: the form of the network: ``unet`` halves the resolution by means, and ``wavunet`` by wavelet transforms.
        width: base width; the embedding of the step is four times as wide.
        multipliers: channels of each level over ``width``; each level has half of the resolution of the one before.
        blocks: residual blocks of a level of the encoder; the decoder has one more.
        norm_groups: the groups of the group norms; every width is a multiple of it.
        dropout: share of the activations that are dropped in training.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    form: Literal["unet", "wavunet"] = "unet"
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2, 4, 4)
    blocks: int = 2
    norm_groups: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive("WDM", self, "width", "blocks", "norm_groups", "levels")
        if self.width % 2 or self.width % self.norm_groups:
            raise ValueError(f"WDM width {self.width} must be even and a multiple of norm_groups {self.norm_groups}")
        if self.multipliers[0] != 1 or any(each < 1 for each in self.multipliers):
            raise ValueError(f"WDM multipliers {list(self.multipliers)} must begin with 1, and all be 1 or more")
        if self.form == "wavunet" and self.blocks < 2:
            raise ValueError(f"WDM blocks {self.blocks}: a wavunet needs 2 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"WDM dropout {self.dropout} must be in [0, 1)")

    @property
    def levels(self) -> int:
        """Resolutions of the encoder."""
        return len(self.multipliers)

    @property
    def size_multiple(self) -> int:
        """The number of voxels that every edge of a volume is a multiple of."""
        halvings = self.levels if self.form == "wavunet" else self.levels - 1
        return int(2 ** (halvings + 1))

    def level_width(self, level: int) -> int:
        """Channels at a level; 0 is the full resolution."""
        return self.width * self.multipliers[level]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WDMConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "WDM", values)

    @classmethod
    def published(cls, edge: int, form: Literal["unet", "wavunet"] = "unet") -> WDMConfig:
        """The published network for cubes of ``edge`` voxels, 128 or 256."""
        return cls(form, multipliers=(1, 2, 2, 4, 4) if edge == 128 else (1, 2, 2, 4, 4, 4))
