"""Sizes of MAISI's networks, by the names that this suite gives them; the defaults are those of the released networks.

Guo et al., "MAISI: Medical AI for Synthetic Imaging" (2024), and its second generation with a rectified flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from priors.networks.settings import check_positive, plain_settings, read_settings

Process = Literal["ddpm", "rflow"]
"""What the U-Net estimates: the noise of a diffusion of 1000 steps, or the velocity of a rectified flow."""

TIMESTEPS = 1000
"""Steps of the diffusion; the flow's time runs from 0 to the same number."""


def _check_widths(what: str, widths: tuple[int, ...], norm_groups: int) -> None:
    if not widths or any(width < 1 or width % norm_groups for width in widths):
        raise ValueError(f"{what} widths {list(widths)}: each must be a multiple of norm_groups, {norm_groups}")


def _check_lengths(what: str, widths: tuple[int, ...], **others: tuple[Any, ...]) -> None:
    for name, values in others.items():
        if len(values) != len(widths):
            raise ValueError(f"{what} {name} {list(values)}: one value for each of the {len(widths)} widths is wanted")


@dataclass(frozen=True)
class MaisiAutoencoderConfig:
    """Sizes of the autoencoder; those of the released one by default, 20,944,897 parameters.

    Attributes:
        latent_channels: the channels of a latent.
        widths: channels at each resolution; each resolution is half of the one before.
        blocks: residual blocks at each resolution, of the encoder and of the decoder.
        norm_groups: groups of every norm; all widths are multiples of it.
        splits: number of slabs that convolutions compute one after another, to save memory. The result is the same.
        half_norms: whether norms give half precision, as the released configuration asks of a GPU.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    latent_channels: int = 4
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: tuple[int, ...] = (2, 2, 2)
    norm_groups: int = 32
    splits: int = 1
    half_norms: bool = False

    def __post_init__(self) -> None:
        check_positive("MAISI autoencoder", self, "latent_channels", "norm_groups", "splits")
        _check_widths("MAISI autoencoder", self.widths, self.norm_groups)
        _check_lengths("MAISI autoencoder", self.widths, blocks=self.blocks)
        if min(self.blocks) < 1:
            raise ValueError(f"MAISI autoencoder blocks {list(self.blocks)}: each must be 1 or more")

    @property
    def compression(self) -> int:
        """The factor by which each edge of a latent is shorter than that of its volume."""
        return int(2 ** (len(self.widths) - 1))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaisiAutoencoderConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "MAISI autoencoder", values)


@dataclass(frozen=True)
class MaisiUNetConfig:
    """Sizes of the U-Net, and what it is told; the released one of the first generation by default.

    Attributes:
        process: what it estimates; :meth:`rflow` has the sizes of the second generation.
        channels: the channels of a latent.
        widths: channels at each resolution.
        attention: whether each resolution has attention.
        head_width: channels of an attention head.
        blocks: residual blocks of a resolution.
        norm_groups: groups of every norm; all widths are multiples of it.
        regions: whether it is told the body's topmost and lowest region (4 numbers each).
        spacing: whether it is told the voxel size.
        classes: number of classes (modalities) that it can be told; 0 for none.
        residual_sampling: whether residual blocks change the resolution, in place of single convolutions.
        attention_linear: whether a linear layer follows each attention.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    process: Process = "ddpm"
    channels: int = 4
    widths: tuple[int, ...] = (64, 128, 256, 512)
    attention: tuple[bool, ...] = (False, False, True, True)
    head_width: int = 32
    blocks: int = 2
    norm_groups: int = 32
    regions: bool = True
    spacing: bool = True
    classes: int = 0
    residual_sampling: bool = False
    attention_linear: bool = False

    def __post_init__(self) -> None:
        check_positive("MAISI", self, "channels", "head_width", "blocks", "norm_groups")
        _check_widths("MAISI", self.widths, self.norm_groups)
        _check_lengths("MAISI", self.widths, attention=self.attention)
        for width, attention in zip(self.widths, (*self.attention[:-1], True), strict=True):
            if attention and width % self.head_width:
                raise ValueError(f"MAISI head_width {self.head_width} does not divide {width} channels")
        if self.classes < 0:
            raise ValueError(f"MAISI classes {self.classes} must be 0 or more")
        if self.widths[0] % 2:
            raise ValueError(f"MAISI widths {list(self.widths)}: the first must be even, for the embedding of time")

    @property
    def size_multiple(self) -> int:
        """The number of latent voxels that every edge is a multiple of."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def head_widths(self) -> tuple[int, ...]:
        """Channels of a head at each resolution, as the library takes them; 0 where there is no attention."""
        last = len(self.widths) - 1  # the middle has attention always, with the heads of the last resolution
        return tuple(
            self.head_width if attention or level == last else 0 for level, attention in enumerate(self.attention)
        )

    @classmethod
    def rflow(cls) -> MaisiUNetConfig:
        """The released network of the second generation: modality and voxel size, 180,500,868 parameters."""
        return cls(process="rflow", regions=False, classes=128, residual_sampling=True, attention_linear=True)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaisiUNetConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "MAISI", values)


@dataclass(frozen=True)
class MaisiControlNetConfig:
    """Sizes of a ControlNet, and what it was trained for; the released one of the first generation by default.

    Attributes:
        base: sizes of the U-Net that it steers.
        hint_channels: the channels of the hint: the eight bits of a label map, or encoded images side by side.
        hint_widths: channels of the stem that reads the hint. It halves the resolution between them, so that three are
            for a hint of the volume's resolution, and one for a hint of the latent's.
        task: free and JSON-able: the kind of scan that the hint's images are of; empty for label maps.

    Raises:
        ValueError: no channels.
    """

    base: MaisiUNetConfig = field(default_factory=MaisiUNetConfig)
    hint_channels: int = 8
    hint_widths: tuple[int, ...] = (8, 32, 64)
    task: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.hint_channels) is not int or self.hint_channels < 1:
            raise ValueError(f"a hint of {self.hint_channels!r} channels; it must be a whole number, 1 or more")
        if not self.hint_widths or any(type(width) is not int or width < 1 for width in self.hint_widths):
            raise ValueError(f"MAISI ControlNet hint_widths {list(self.hint_widths)}: each must be 1 or more")

    @property
    def hint_factor(self) -> int:
        """How many voxels of the hint lie along the edge of a voxel of the latent."""
        return int(2 ** (len(self.hint_widths) - 1))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        plain = {"base": self.base.to_dict(), "hint_channels": self.hint_channels}
        return plain | {"hint_widths": list(self.hint_widths), "task": self.task}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaisiControlNetConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        wrong = set(values) ^ {"base", "hint_channels", "hint_widths", "task"}
        if wrong:
            raise ValueError(f"MAISI ControlNet settings unknown or missing: {', '.join(sorted(map(str, wrong)))}")
        for name, kind, wanted in (
            ("base", Mapping, "table"),
            ("task", Mapping, "table"),
            ("hint_widths", list, "list"),
        ):
            if not isinstance(values[name], kind):
                raise ValueError(f"MAISI ControlNet setting {name} is {values[name]!r}; it must be a {wanted}")
        base = MaisiUNetConfig.from_dict(values["base"])
        return cls(base, values["hint_channels"], tuple(values["hint_widths"]), dict(values["task"]))
