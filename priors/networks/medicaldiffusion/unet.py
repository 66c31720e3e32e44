"""The noise estimator of Medical Diffusion: convolutions within slices, attention within and across them.

Khader et al., "Medical Diffusion: denoising diffusion probabilistic models for 3D medical image generation" (2022),
after Ho et al., "Video diffusion models" (2022). Attributes have the names of the official state dict.
"""

from __future__ import annotations

from torch import Tensor, nn

from priors.networks.factorised.attention import (
    AcrossSlices,
    Attention,
    LinearAttention,
    RelativeBias,
    Residual,
    Rotary,
    WithinSlices,
    normed,
)
from priors.networks.factorised.blocks import OutputBlock, beside, doubling, halving, level_channels, slice_block
from priors.networks.medicaldiffusion.config import FactorisedUNetConfig
from priors.networks.sizes import check_size
from priors.networks.time_embedding import time_network


class Level(nn.ModuleList):
    """One resolution: two residual blocks, attention within slices, attention across them, a change of size.

    Children: ``0``, ``1`` blocks, ``2`` linear attention within slices, ``3`` attention across slices, ``4`` the
    convolution that halves or doubles X and Y, or nothing.
    """

    def forward(self, x: Tensor, condition: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The map at the next resolution, and the one before the change of size."""
        block1, block2, within, across, resize = self
        x = across(within(block2(block1(x, condition), condition)), bias)
        return resize(x), x


class FactorisedUNet(nn.Module):
    """Estimates the noise in latents (B, C, Z, X, Y) of diffusion steps (B,); Z is never halved.

    Args:
        config: the network's size.
    """

    def __init__(self, config: FactorisedUNetConfig) -> None:
        super().__init__()
        self.config = config
        width, kernel, groups, time = config.width, config.init_kernel, config.norm_groups, 4 * config.width
        rotary = Rotary(min(config.head_width, 32))
        widths = level_channels(width, config.multipliers)
        last = len(widths) - 1

        def across(channels: int) -> Residual:
            return normed(channels, AcrossSlices(Attention(channels, config.heads, config.head_width, rotary)))

        def level(inputs: int, outputs: int, resize: nn.Module) -> Level:
            blocks = (slice_block(inputs, outputs, groups, time), slice_block(outputs, outputs, groups, time))
            within = normed(outputs, LinearAttention(outputs, config.heads))
            return Level([*blocks, within, across(outputs), resize])

        self.time_rel_pos_bias = RelativeBias(config.heads)
        self.init_conv = nn.Conv3d(config.channels, width, (1, kernel, kernel), padding=(0, kernel // 2, kernel // 2))
        self.init_temporal_attn = across(width)
        self.time_mlp = time_network(width)
        self.downs = nn.ModuleList(level(a, b, halving(b, depth == last)) for depth, (a, b) in enumerate(widths))
        self.ups = nn.ModuleList(
            level(2 * b, a, doubling(a, depth == last)) for depth, (a, b) in enumerate(reversed(widths))
        )
        coarsest = widths[-1][1]
        self.mid_block1 = slice_block(coarsest, coarsest, groups, time)
        self.mid_spatial_attn = normed(coarsest, WithinSlices(Attention(coarsest, config.heads)))
        self.mid_temporal_attn = across(coarsest)
        self.mid_block2 = slice_block(coarsest, coarsest, groups, time)
        self.final_conv = OutputBlock(width, config.channels, groups)

    @property
    def size_multiple(self) -> int:
        """Latent voxels that X and Y are a multiple of; Z is of any length."""
        return int(2 ** (len(self.config.multipliers) - 1))

    def forward(self, z_t: Tensor, t: Tensor) -> Tensor:
        """The noise in ``z_t``.

        Args:
            z_t: (B, C, Z, X, Y).
            t: (B,) diffusion steps.

        Raises:
            ValueError: X or Y is no multiple of ``size_multiple``.
        """
        check_size(z_t.shape[3:], self.size_multiple, ("X", "Y"))
        condition, bias = self.time_mlp(t), self.time_rel_pos_bias(z_t.shape[2])
        stem = self.init_conv(z_t)
        x, skips = self._encode(self.init_temporal_attn(stem, bias), condition, bias)
        x = self.mid_temporal_attn(self.mid_spatial_attn(self.mid_block1(x, condition)), bias)
        x = self.mid_block2(x, condition)
        for level in self.ups:
            x, _ = level(beside(x, skips.pop()), condition, bias)
        return self.final_conv(beside(x, stem))

    def _encode(self, x: Tensor, condition: Tensor, bias: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips: list[Tensor] = []
        for level in self.downs:
            x, skip = level(x, condition, bias)
            skips.append(skip)
        return x, skips
