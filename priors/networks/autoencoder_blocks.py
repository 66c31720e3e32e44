"""Encoder and decoder of the Patch-Volume autoencoder (3D MedDiffusion, section III-A).

Attribute names are the keys of the released state dicts. Tensors are (B, C, Z, X, Y).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.sizes import check_size

HEADS = 4
HEAD_WIDTH = 32

QUERY_ROWS = 1 << 14
"""Queries of the attention at a time: enough to be fast, few enough to show progress on the largest volumes."""

CUBES = 16
"""Patches whose middle is computed at a time."""

NORM_EPS = 1e-6


def level_widths(width: int, levels: int) -> list[int]:
    """Channels at each resolution of the encoder, finest first; the coarsest keeps the width of the one before."""
    doubled = [width * 2**level for level in range(levels)]
    return [*doubled, doubled[-1]]


def convolution(inputs: int, outputs: int) -> nn.Conv3d:
    """3 x 3 x 3, keeps the size."""
    return nn.Conv3d(inputs, outputs, kernel_size=3, padding=1)


class _GroupNorm(nn.GroupNorm):
    """In its input's own precision, where autocast would write and read everything as float32.

    The mean and the deviation are computed in float32 all the same; memory is what norms of volumes wait for.
    """

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
        with torch.autocast(input.device.type, enabled=False):
            return functional.group_norm(input, self.num_groups, weight, bias, self.eps)


def _normalisation(groups: int, width: int) -> nn.GroupNorm:
    return _GroupNorm(groups, width, eps=NORM_EPS)


def key_step(voxels: int, most_keys: int | None) -> int:
    """Every how many of so many voxels are attended to, see :meth:`AttentionBlock.forward`."""
    return 1 if most_keys is None else max(1, round(voxels / most_keys))


class ResidualBlock(nn.Module):
    """Two rounds of norm, SiLU and convolution, added to the input.

    Args:
        inputs, outputs: channels; where they differ, the input passes through the 1 x 1 x 1 convolution ``resConv``.
        groups: the groups of the group norms.
    """

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.resConv = nn.Conv3d(inputs, outputs, kernel_size=1) if inputs != outputs else nn.Identity()
        self.norm1 = _normalisation(groups, inputs)
        self.conv1 = convolution(inputs, outputs)
        self.norm2 = _normalisation(groups, outputs)
        self.conv2 = convolution(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, Z, X, Y) to (B, outputs, Z, X, Y)."""
        hidden = self.conv1(functional.silu(self.norm1(x)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        return self.resConv(x) + hidden


class AttentionBlock(nn.Module):
    """Multi-head self-attention over all voxels, added to the input.

    Args:
        width: channels.
        groups: the groups of the group norm.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.norm = _normalisation(groups, width)
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Conv3d(inner, width, kernel_size=1)

    def forward(
        self, x: Tensor, on_progress: Callable[[float], None] | None = None, most_keys: int | None = None
    ) -> Tensor:
        """(B, C, Z, X, Y) to the same.

        Args:
            x: the input.
            on_progress: called with the share of the queries that is done.
            most_keys: attend to no more voxels than about these, every n-th of all, so that the work grows with the
                volume and not with its square; None attends to every one.
        """
        tokens = rearrange(self.norm(x), "b c z x y -> b (z x y) c")
        query, key, value = rearrange(self.to_qkv(tokens), "b n (part h d) -> part b h n d", part=3, h=HEADS)
        step = key_step(key.shape[2], most_keys)
        key, value = key[:, :, ::step], value[:, :, ::step]
        answers, done = [], 0
        for rows in query.split(QUERY_ROWS, dim=2):
            answers.append(functional.scaled_dot_product_attention(rows, key, value))
            done += rows.shape[2]
            if on_progress is not None:
                on_progress(done / query.shape[2])
        merged = rearrange(torch.cat(answers, dim=2), "b h (z x y) d -> b (h d) z x y", z=x.shape[2], x=x.shape[3])
        return x + self.to_out(merged)


class MiddleBlock(nn.Module):
    """What encoder and decoder have at the coarsest resolution: residual block, attention, residual block."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.res1 = ResidualBlock(width, width, groups)
        self.attn = AttentionBlock(width, groups)
        self.res2 = ResidualBlock(width, width, groups)

    def forward(
        self, x: Tensor, on_progress: Callable[[float], None] | None = None, most_keys: int | None = None
    ) -> Tensor:
        """(B, C, Z, X, Y) to the same; ``on_progress`` follows the attention, which nearly all the work is in."""
        return self.res2(self.attn(self.res1(x), on_progress, most_keys))


class EncoderLevel(nn.Module):
    """One resolution of the encoder, and the step to the next if there is one."""

    def __init__(self, inputs: int, outputs: int, groups: int, last: bool) -> None:
        super().__init__()
        self.res1 = ResidualBlock(inputs, outputs, groups)
        self.res2 = ResidualBlock(outputs, outputs, groups)
        self.down = nn.Identity() if last else nn.Conv3d(outputs, outputs, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, Z, X, Y) to (B, outputs, …), each axis halved unless it is the last level."""
        return self.down(self.res2(self.res1(x)))


class Upsampling(nn.Module):
    """Doubles each axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_trans = nn.ConvTranspose3d(width, width, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, Z, X, Y) to (B, C, 2Z, 2X, 2Y)."""
        return self.conv_trans(x)


class DecoderLevel(nn.Module):
    """One resolution of the decoder, and the step to the next if there is one."""

    def __init__(self, inputs: int, outputs: int, groups: int, last: bool) -> None:
        super().__init__()
        self.res1 = ResidualBlock(inputs, outputs, groups)
        self.res2 = ResidualBlock(outputs, outputs, groups)
        self.up = None if last else Upsampling(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, Z, X, Y) to (B, outputs, …), each axis doubled unless it is the last level."""
        hidden = self.res2(self.res1(x))
        return hidden if self.up is None else self.up(hidden)


def _final_block(width: int, outputs: int, groups: int) -> nn.Sequential:
    return nn.Sequential(_normalisation(groups, width), nn.SiLU(), convolution(width, outputs))


class Encoder(nn.Module):
    """Volume to latent.

    Args:
        image_channels: the channels of the volume.
        latent_channels: the channels of the latent.
        widths: channels at each resolution, finest first, see :func:`level_widths`.
        groups: the groups of the group norms.
    """

    def __init__(self, image_channels: int, latent_channels: int, widths: Sequence[int], groups: int) -> None:
        super().__init__()
        self.conv_first = convolution(image_channels, widths[0])
        self.conv_blocks = nn.ModuleList(
            EncoderLevel(widths[max(level - 1, 0)], width, groups, last=level == len(widths) - 1)
            for level, width in enumerate(widths)
        )
        self.mid_block = MiddleBlock(widths[-1], groups)
        self.final_block = _final_block(widths[-1], latent_channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, image channels, Z, X, Y) to (B, latent channels, …), each axis divided by 2 for each level but one."""
        hidden = self.conv_first(x)
        for level in self.conv_blocks:
            hidden = level(hidden)
        return self.final_block(self.mid_block(hidden))


class Decoder(nn.Module):
    """Latent to volume; ``priors.networks.streaming`` computes the same by chunks.

    The widths change one level late, after the step to the finer resolution: an up-sampling has the width of the
    resolution that it starts from.

    Args:
        image_channels: the channels of the volume.
        latent_channels: the channels of the latent.
        widths: channels at each resolution, coarsest first.
        groups: the groups of the group norms.
        middle_edge: latent voxels along the cubes in each of which the middle is computed on its own; None takes the
            whole latent, as the released network does. Codes of one patch belong together: encoder and decoder learn
            them with norms and attention over that patch.
    """

    def __init__(
        self,
        image_channels: int,
        latent_channels: int,
        widths: Sequence[int],
        groups: int,
        middle_edge: int | None = None,
    ) -> None:
        super().__init__()
        self.middle_edge = middle_edge
        self.conv_first = convolution(latent_channels, widths[0])
        self.mid_block = MiddleBlock(widths[0], groups)
        self.conv_blocks = nn.ModuleList(
            DecoderLevel(widths[max(level - 1, 0)], width, groups, last=level == len(widths) - 1)
            for level, width in enumerate(widths)
        )
        self.final_block = _final_block(widths[-1], image_channels, groups)

    def forward(self, latent: Tensor) -> Tensor:
        """(B, latent channels, Z, X, Y) to (B, image channels, …), each axis doubled for each level but one.

        Raises:
            ValueError: an axis that is no multiple of ``middle_edge``.
        """
        hidden = self.middle(latent)
        for level in self.conv_blocks:
            hidden = level(hidden)
        return self.final_block(hidden)

    def middle(
        self, latent: Tensor, on_progress: Callable[[float], None] | None = None, most_keys: int | None = None
    ) -> Tensor:
        """What the levels begin with, at the latent's resolution; arguments as for :meth:`AttentionBlock.forward`.

        Raises:
            ValueError: as :meth:`forward`.
        """
        if self.middle_edge is None:
            return self.mid_block(self.conv_first(latent), on_progress, most_keys)
        check_size(latent.shape[2:], self.middle_edge)
        grid = dict(zip("zxy", (size // self.middle_edge for size in latent.shape[2:]), strict=True))
        cubes = rearrange(latent, "b c (z p) (x q) (y r) -> (b z x y) c p q r", **grid)
        parts = []
        for part in cubes.split(CUBES):
            parts.append(self.mid_block(self.conv_first(part), None, most_keys))
            if on_progress is not None:
                on_progress(min(1.0, CUBES * len(parts) / len(cubes)))
        return rearrange(torch.cat(parts), "(b z x y) c p q r -> b c (z p) (x q) (y r)", **grid)
