"""Sizes of an ADM network, the 2-D U-Net that image-space diffusion priors are trained with.

Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), in the forms of DDS (Chung, Lee and Ye,
"Decomposed Diffusion Sampler", 2024) and DOLCE (Liu et al., "DOLCE: a model-based probabilistic diffusion framework
for limited-angle CT", 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from priors.networks.settings import check_positive, plain_settings, read_settings

NORM_GROUPS = 32
"""Groups of every norm, as published; all widths are multiples of it."""

_EXTRA_FROM = 3
"""First level that has ``extra_blocks``."""


@dataclass(frozen=True)
class ADMConfig:
    """The defaults are those of the CT prior that DDS was released with.

    Attributes:
        channels: the channels of an image: 1, or 2 for the real and the imaginary part.
        in_channels: the channels of the network's input: ``channels``, and after them the condition, as often as it
            fits.
        width: base width; the step's embedding is four times as wide.
        multipliers: channels at each resolution over ``width``; each resolution is half of the one before.
        blocks: residual blocks of a level of the encoder; the decoder has one more.
        extra_blocks: more after each of these, from the fourth level on (DOLCE).
        attention: downsampling factors of the levels with attention; the middle has it always.
        head_width: channels of an attention head, where ``heads`` is 0.
        heads: the attention heads, however many channels there are (DOLCE); 0 for as many as ``head_width`` gives.
        timed_middle: whether the middle's attention is told the step too (DOLCE).
        learn_sigma: whether the output has a variance fraction for each channel, after the noise.
        dropout: share of activations dropped in training.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    channels: int = 1
    in_channels: int = 1
    width: int = 256
    multipliers: tuple[float, ...] = (1, 1, 2, 2, 4, 4)
    blocks: int = 1
    extra_blocks: int = 0
    attention: tuple[int, ...] = (16,)
    head_width: int = 64
    heads: int = 0
    timed_middle: bool = False
    learn_sigma: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive("ADM", self, "channels", "in_channels", "width", "blocks", "head_width")
        if self.in_channels < self.channels:
            raise ValueError(f"ADM in_channels {self.in_channels} must be channels {self.channels} or more")
        if min(self.extra_blocks, self.heads) < 0:
            raise ValueError(f"ADM extra_blocks {self.extra_blocks} and heads {self.heads} must be 0 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"ADM dropout {self.dropout} must be in [0, 1)")
        self._check_widths()
        self._check_attention()

    def _check_widths(self) -> None:
        if not self.multipliers or self.width % 2:
            raise ValueError(f"ADM needs an even width and multipliers, not {self.width} and {self.multipliers}")
        for multiplier in self.multipliers:
            channels = self.width * multiplier
            if channels < NORM_GROUPS or channels % NORM_GROUPS:
                raise ValueError(
                    f"ADM width {self.width} x {multiplier} is {channels:g} channels; each must be a multiple of "
                    f"{NORM_GROUPS}"
                )

    def _check_attention(self) -> None:
        factors = [2**level for level in range(len(self.multipliers))]
        unknown = sorted(set(self.attention) - set(factors))
        if unknown:
            raise ValueError(f"ADM attention at factor {unknown[0]}; the levels have {', '.join(map(str, factors))}")
        for channels in {self.level_width(factors.index(factor)) for factor in (*self.attention, factors[-1])}:
            name = "heads" if self.heads else "head_width"
            if channels % getattr(self, name):
                raise ValueError(f"ADM {name} {getattr(self, name)} does not divide {channels} channels")

    @property
    def levels(self) -> int:
        """Resolutions."""
        return len(self.multipliers)

    @property
    def out_channels(self) -> int:
        """Of the network's output."""
        return 2 * self.channels if self.learn_sigma else self.channels

    @property
    def size_multiple(self) -> int:
        """Both edges of an image must be multiples of this."""
        return int(2 ** (self.levels - 1))

    def level_width(self, level: int) -> int:
        """Channels at a level; 0 is the full resolution."""
        return round(self.width * self.multipliers[level])

    def attention_heads(self, channels: int) -> int:
        """Heads of an attention over so many channels."""
        return self.heads or channels // self.head_width

    def level_extra_blocks(self, level: int) -> int:
        """How many blocks follow each of a level's own."""
        return self.extra_blocks if level >= _EXTRA_FROM else 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON; :meth:`from_dict` reads it."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ADMConfig:
        """The reverse of :meth:`to_dict`; ``ValueError`` for a setting that is unknown, missing or wrong."""
        return read_settings(cls, "ADM", values)

    @classmethod
    def dds_ct(cls) -> ADMConfig:
        """``AAPM256_1M.pt``: CT slices of 256 x 256 pixels, 374,022,658 parameters."""
        return cls()

    @classmethod
    def dds_mri(cls) -> ADMConfig:
        """The complex knee slices of 320 x 320 pixels, 361,428,228 parameters.

        It was trained with attention "at 16 pixels", which no level of 320 has, hence with that of the middle only.
        """
        return cls(channels=2, in_channels=2, attention=())

    @classmethod
    def dolce(cls) -> ADMConfig:
        """``model512_*.pt``: CT slices of 512 x 512 pixels, the condition given twice, 273,656,130 parameters.

        Its scripts ask for heads of 64 channels, but the released code drops that and builds four heads everywhere,
        which the tensors' shapes do not show.
        """
        return cls(
            in_channels=3,
            width=128,
            multipliers=(0.5, 1, 1, 2, 2, 4, 4),
            blocks=2,
            extra_blocks=2,
            attention=(16, 32, 64),
            heads=4,
            timed_middle=True,
        )
