"""The inter-patch flow's parts: a 3-D U-Net over the whole latent, conditioned by scale and shift.

3D MedDiffusion, section III-B. Attributes have the names of the released state dicts. Tensors are (B, C, Z, X, Y).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 32
NORM_EPS = 1e-5


Kernel = tuple[int, int, int]
"""Taps (z, x, y) of a convolution, each odd."""

CUBE: Kernel = (3, 3, 3)


class ConvNorm(nn.Module):
    """Convolution that keeps the size, group norm, an optional scale and shift, SiLU."""

    def __init__(self, inputs: int, outputs: int, groups: int, kernel: Kernel = CUBE) -> None:
        super().__init__()
        z, x, y = kernel
        self.proj = nn.Conv3d(inputs, outputs, kernel_size=kernel, padding=(z // 2, x // 2, y // 2))
        self.norm = nn.GroupNorm(groups, outputs, eps=NORM_EPS)

    def forward(self, x: Tensor, modulation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """``modulation``: scale and shift, (B, C, 1, 1, 1) each."""
        x = self.norm(self.proj(x))
        if modulation is not None:
            scale, shift = modulation
            x = torch.addcmul(shift, x, scale + 1)
        return functional.silu(x)


class ResnetBlock(nn.Module):
    """Two convolutions with a shortcut; the condition scales and shifts between them.

    Args:
        inputs: channels.
        outputs: channels; the shortcut is a 1x1x1 convolution where they differ from ``inputs``.
        groups: the groups of the group norms.
        condition: width of the condition; None for a block without.
        kernel: taps (z, x, y) of the two convolutions.
    """

    def __init__(
        self, inputs: int, outputs: int, groups: int, condition: int | None = None, kernel: Kernel = CUBE
    ) -> None:
        super().__init__()
        if condition is not None:
            self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(condition, 2 * outputs))
        self.block1 = ConvNorm(inputs, outputs, groups, kernel)
        self.block2 = ConvNorm(outputs, outputs, groups, kernel)
        self.res_conv = nn.Conv3d(inputs, outputs, kernel_size=1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, inputs, Z, X, Y) and (B, condition) to (B, outputs, Z, X, Y)."""
        hidden = self.block1(x, None if condition is None else self._modulation(condition))
        return self.block2(hidden) + self.res_conv(x)

    def _modulation(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.mlp(condition)[:, :, None, None, None].chunk(2, dim=1)
        return scale, shift


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each token, with a gain and no offset."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, tokens, C)."""
        return functional.layer_norm(tokens, tokens.shape[-1:], self.gamma.flatten(), eps=NORM_EPS)


class MultiHeadAttention(nn.Module):
    """Full softmax attention among all voxels; heads are 32 wide whatever the channels."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.to_qkv = nn.Linear(channels, 3 * inner, bias=False)
        self.to_out = nn.Conv3d(inner, channels, kernel_size=1)
        self._heads = heads

    def forward(self, tokens: Tensor, size: torch.Size) -> Tensor:
        """(B, Z * X * Y, C) to (B, C, Z, X, Y); ``size`` is (Z, X, Y)."""
        q, k, v = rearrange(self.to_qkv(tokens), "b n (part h d) -> part b h n d", part=3, h=self._heads)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.to_out(rearrange(mixed, "b h n d -> b (h d) n").unflatten(2, size))


class NormedAttention(nn.Module):
    """Channel norm, then attention."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.fn = MultiHeadAttention(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(rearrange(x, "b c z x y -> b (z x y) c")), x.shape[2:])


class SpatialAttention(nn.Module):
    """Attention among all voxels of a (B, C, Z, X, Y) map, added to the map."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.fn = NormedAttention(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn(x)


def _attention(channels: int, heads: int | None) -> nn.Module:
    return nn.Identity() if heads is None else SpatialAttention(channels, heads)


class EncoderLevel(nn.ModuleList):
    """Two residual blocks, each perhaps with attention after it, then perhaps half the resolution.

    Children: ``0`` block, ``1`` attention, ``2`` block, ``3`` attention, ``4`` convolution of stride 2.

    Args:
        inputs: channels.
        outputs: channels.
        groups: the groups of the group norms.
        condition: width of the condition.
        heads: the heads of the attention; None for no attention.
        down: halve the resolution.
    """

    def __init__(self, inputs: int, outputs: int, groups: int, condition: int, heads: int | None, down: bool) -> None:
        super().__init__(
            [
                ResnetBlock(inputs, outputs, groups, condition),
                _attention(outputs, heads),
                ResnetBlock(outputs, outputs, groups, condition),
                _attention(outputs, heads),
                nn.Conv3d(outputs, outputs, kernel_size=4, stride=2, padding=1) if down else nn.Identity(),
            ]
        )

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The next level's input, and the two skips of this level."""
        block1, attention1, block2, attention2, down = self
        first = attention1(block1(x, condition))
        second = attention2(block2(first, condition))
        return down(second), [first, second]


class DecoderLevel(nn.ModuleList):
    """The mirror of an :class:`EncoderLevel`: takes its two skips, the last one first.

    Children: ``0`` block, ``1`` attention, ``2`` block, ``3`` attention, ``4`` transposed convolution of stride 2.

    Args:
        inputs: channels; those of both skips as well.
        outputs: channels.
        groups: the groups of the group norms.
        condition: width of the condition.
        heads: the heads of the attention; None for no attention.
        up: double the resolution.
    """

    def __init__(self, inputs: int, outputs: int, groups: int, condition: int, heads: int | None, up: bool) -> None:
        super().__init__(
            [
                ResnetBlock(2 * inputs, inputs, groups, condition),
                _attention(inputs, heads),
                ResnetBlock(2 * inputs, outputs, groups, condition),
                _attention(outputs, heads),
                nn.ConvTranspose3d(outputs, outputs, kernel_size=4, stride=2, padding=1) if up else nn.Identity(),
            ]
        )

    def forward(self, x: Tensor, condition: Tensor, second: Tensor, first: Tensor) -> Tensor:
        """``second`` and ``first``: the skips of the encoder's level."""
        block1, attention1, block2, attention2, up = self
        x = attention1(block1(torch.cat([x, second], dim=1), condition))
        x = attention2(block2(torch.cat([x, first], dim=1), condition))
        return up(x)
