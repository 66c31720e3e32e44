"""Sizes of MedSyn's two networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from priors.networks.factorised.levels import check_levels
from priors.networks.settings import check_positive, plain_settings, read_settings

UpOrder = Literal["training", "evaluation"]
"""Where a level of the decoder doubles its maps: between its residual blocks, as the official training script does, or
after them, as the official evaluation script does. The same weights give other results."""


@dataclass(frozen=True)
class MedSynConfig:
    """Size of a :class:`priors.networks.medsyn.low.MedSynLow`; the defaults are those of the official network.

    Attributes:
        width: channels at full resolution.
        multipliers: the multipliers of ``width``, one for each level.
        channels: channels of the volumes: image, lobes, airways and vessels; 1 is the image alone.
        heads: the heads of every attention.
        norm_groups: the groups of the group norms.
        init_kernel: taps along each axis of the first convolution; odd.
        text_tokens: tokens of a text.
        text_width: channels of a token.
        up_order: the place at which the decoder doubles its maps.
        text_classes: the classes of whose names the network holds the text embeddings; none as published.

    Raises:
        ValueError: values that no network can have.
    """

    width: int = 160
    multipliers: tuple[int, ...] = (1, 2, 4, 8)
    channels: int = 4
    heads: int = 8
    norm_groups: int = 8
    init_kernel: int = 7
    text_tokens: int = 192
    text_width: int = 768
    up_order: UpOrder = "training"
    text_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = ("width", "channels", "heads", "norm_groups", "init_kernel", "text_tokens", "text_width")
        check_positive("MedSyn", self, *counts)
        check_levels("MedSyn", self.width, self.multipliers, self.norm_groups, self.init_kernel)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MedSynConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` as :func:`priors.networks.settings.read_settings`."""
        return read_settings(cls, "MedSyn", values)


@dataclass(frozen=True)
class MedSynSRConfig:
    """Size of a :class:`priors.networks.medsyn.finer.MedSynSR`; the defaults are those of the official network.

    Attributes:
        width: channels at full resolution.
        multipliers: the multipliers of ``width``, one for each level.
        channels: channels of the volumes; the network takes twice as many.
        heads: the heads of the attention.
        norm_groups: the groups of the group norms.
        init_kernel: taps along each axis of the first convolution; odd.
        ratio: voxels of its result along one voxel of the small volume.
        up_order: the place at which the decoder doubles its maps.

    Raises:
        ValueError: values that no network can have.
    """

    width: int = 56
    multipliers: tuple[int, ...] = (1, 2, 4, 8)
    channels: int = 4
    heads: int = 4
    norm_groups: int = 8
    init_kernel: int = 7
    ratio: int = 4
    up_order: UpOrder = "training"

    def __post_init__(self) -> None:
        check_positive("MedSyn", self, "width", "channels", "heads", "norm_groups", "init_kernel", "ratio")
        check_levels("MedSyn", self.width, self.multipliers, self.norm_groups, self.init_kernel)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MedSynSRConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` as :func:`priors.networks.settings.read_settings`."""
        return read_settings(cls, "MedSyn", values)
