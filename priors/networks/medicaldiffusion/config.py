"""Sizes of Medical Diffusion's two networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from priors.networks.factorised.levels import check_levels
from priors.networks.settings import check_positive, plain_settings, read_settings

_FACTORS = (2, 4, 8, 16)


@dataclass(frozen=True)
class VQGANConfig:
    """Size of a :class:`priors.networks.medicaldiffusion.vqgan.VQGAN`; the defaults are those of 4x compression.

    Attributes:
        width: channels of the first convolution; they double with each halving.
        latent_channels: channels of a latent, and of a code.
        codes: the number of codes in the codebook.
        downsample: the factor by which each axis shrinks, a power of two: 4 or 8, and 2 for brains.
        norm_groups: the groups of the group norms.
        image_channels: the channels of the volumes.
        judge_channels: width of the first layer of both discriminators.
        judge_layers: how many of their layers halve the resolution.

    Raises:
        ValueError: values that no network can have.
    """

    width: int = 16
    latent_channels: int = 8
    codes: int = 16384
    downsample: int = 4
    norm_groups: int = 32
    image_channels: int = 1
    judge_channels: int = 64
    judge_layers: int = 3

    def __post_init__(self) -> None:
        check_positive("VQ-GAN", self, *plain_settings(self))
        if self.downsample not in _FACTORS:
            raise ValueError(f"VQ-GAN setting downsample is {self.downsample}; it must be one of {_FACTORS}")
        if 2 * self.width % self.norm_groups:
            raise ValueError(
                f"VQ-GAN setting width is {self.width}; twice that must divide into {self.norm_groups} groups"
            )

    @property
    def halvings(self) -> int:
        """How often each axis is halved."""
        return self.downsample.bit_length() - 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VQGANConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` as :func:`priors.networks.settings.read_settings`."""
        return read_settings(cls, "VQ-GAN", values)


@dataclass(frozen=True)
class FactorisedUNetConfig:
    """Size of a :class:`priors.networks.medicaldiffusion.unet.FactorisedUNet`; the defaults are those of 64³ latents.

    Attributes:
        width: channels at full resolution; the published training script takes the edge of the latents.
        multipliers: the multipliers of ``width``, one for each level.
        channels: the channels of the latent.
        heads: the heads of every attention.
        head_width: channels of a head of the attention across slices; the others' have 32.
        norm_groups: the groups of the group norms.
        init_kernel: taps along x and y of the first convolution; odd.

    Raises:
        ValueError: values that no network can have.
    """

    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 4, 8)
    channels: int = 8
    heads: int = 8
    head_width: int = 32
    norm_groups: int = 8
    init_kernel: int = 7

    def __post_init__(self) -> None:
        check_positive("U-Net", self, "width", "channels", "heads", "head_width", "norm_groups", "init_kernel")
        check_levels("U-Net", self.width, self.multipliers, self.norm_groups, self.init_kernel)
        if self.head_width % 2:
            raise ValueError(f"U-Net setting head_width is {self.head_width}; it must be even")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FactorisedUNetConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` as :func:`priors.networks.settings.read_settings`."""
        return read_settings(cls, "U-Net", values)
