"""The intra-patch flow's parts: a diffusion transformer (DiT) that sees one cube of the latent at a time.

Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023), with the skip connections of Bao et al., "All
are Worth Words" (2023), as 3D MedDiffusion uses them (section III-B). Tokens of all cubes lie in one batch,
(B * cubes, tokens of a cube, width), the cubes of a sample in z-major order; no token sees another cube.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.unet3d import ResnetBlock

NORM_EPS = 1e-6
HEAD_MULTIPLE = 8
"""Attention heads are padded to a multiple of this."""


def sincos_position(width: int, edge: int) -> Tensor:
    """Fixed position embedding of a cube's tokens: sines and cosines of z, then of x, then of y.

    Args:
        width: channels, a multiple of 6.
        edge: tokens along each axis.

    Returns:
        (1, ``edge``³, ``width``) float32, z-major.
    """
    waves = width // 6
    frequency = 10000 ** -(torch.arange(waves, dtype=torch.float64) / waves)
    phase = torch.arange(edge, dtype=torch.float64)[:, None] * frequency
    axis = torch.cat([phase.sin(), phase.cos()], dim=1)
    index = torch.arange(edge)
    grid = torch.meshgrid(index, index, index, indexing="ij")
    return torch.cat([axis[positions.flatten()] for positions in grid], dim=1)[None].float()


class PatchEmbedding(nn.Module):
    """Tokens from a latent: one for each ``patch``³ voxels, gathered by cubes of ``cube``³ voxels.

    Args:
        channels: the channels of the latent.
        width: the width of the tokens.
        patch: edge of what becomes one token, in latent voxels.
        cube: edge of a cube, in latent voxels; a multiple of ``patch``.
    """

    def __init__(self, channels: int, width: int, patch: int, cube: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(channels, width, kernel_size=patch, stride=patch)
        self._edge = cube // patch

    def forward(self, latent: Tensor) -> Tensor:
        """(B, C, Z, X, Y) to (B * cubes, tokens, width)."""
        # One convolution over the whole grid is the same as one for each cube: its stride is its size.
        return rearrange(
            self.proj(latent),
            "b c (nz z) (nx x) (ny y) -> (b nz nx ny) (z x y) c",
            z=self._edge,
            x=self._edge,
            y=self._edge,
        )


def merge_cubes(tokens: Tensor, size: torch.Size, patch: int, cube: int) -> Tensor:
    """The reverse of a :class:`PatchEmbedding`'s split.

    Args:
        tokens: (B * cubes, tokens, ``patch``³ * width), a token's voxels z-major, channels fastest.
        size: (Z, X, Y) of the grid.
        patch: edge of a token, in voxels.
        cube: edge of a cube, in voxels.

    Returns:
        (B, width, Z, X, Y).
    """
    cubes = [length // cube for length in size]
    edge = cube // patch
    return rearrange(
        tokens,
        "(b nz nx ny) (z x y) (pz px py c) -> b c (nz z pz) (nx x px) (ny y py)",
        nz=cubes[0],
        nx=cubes[1],
        ny=cubes[2],
        z=edge,
        x=edge,
        y=edge,
        pz=patch,
        px=patch,
        py=patch,
    )


class Modulation(nn.Sequential):
    """Shifts, scales and gates of the tokens from the condition (adaLN); zero in a new network.

    Args:
        condition: width of the condition.
        width: the width of the tokens.
        parts: how many vectors.
    """

    def __init__(self, condition: int, width: int, parts: int) -> None:
        super().__init__(nn.SiLU(), nn.Linear(condition, parts * width))
        self._parts = parts

    def vectors(self, condition: Tensor, cubes: int) -> tuple[Tensor, ...]:
        """(B, condition) to ``parts`` vectors, (``cubes``, 1, width) each; ``cubes`` is of the whole batch."""
        every = self(condition).repeat_interleave(cubes // len(condition), dim=0)
        return every[:, None].chunk(self._parts, dim=-1)


def _modulated_norm(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, functional.layer_norm(tokens, tokens.shape[-1:], eps=NORM_EPS), scale + 1)


class TokenAttention(nn.Module):
    """Self-attention of all tokens of a cube."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self._heads, self._head_width = heads, width // heads

    def forward(self, tokens: Tensor) -> Tensor:
        parts = rearrange(self.qkv(tokens), "b n (part h d) -> part b h n d", part=3, h=self._heads)
        # Zeros change no product. Fused kernels want heads of whole vectors: on a CPU the released 9 channels, padded
        # to 16, take two thirds of the time that they take as they are.
        q, k, v = functional.pad(parts, (0, -self._head_width % HEAD_MULTIPLE))
        mixed = functional.scaled_dot_product_attention(q, k, v, scale=self._head_width**-0.5)
        return self.proj(rearrange(mixed[..., : self._head_width], "b h n d -> b n (h d)"))


class TokenMlp(nn.Module):
    """Two layers that see one token at a time."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(tokens), approximate="tanh"))


class DiTBlock(nn.Module):
    """Attention and a perceptron, both shifted, scaled and gated by the condition.

    Args:
        width: the width of the tokens.
        condition: width of the condition.
        heads: the heads of the attention; their number divides ``width``.
        mlp_ratio: widening of the perceptron.
        skip: also takes the tokens of an earlier block.
    """

    def __init__(self, width: int, condition: int, heads: int, mlp_ratio: int, *, skip: bool = False) -> None:
        super().__init__()
        if skip:
            self.skip_linear = nn.Linear(2 * width, width)
        self.attn = TokenAttention(width, heads)
        self.mlp = TokenMlp(width, mlp_ratio)
        self.adaLN_modulation = Modulation(condition, width, parts=6)

    def forward(self, tokens: Tensor, condition: Tensor, skip: Tensor | None = None) -> Tensor:
        """(B * cubes, tokens, width) and (B, condition) to (B * cubes, tokens, width)."""
        if skip is not None:
            tokens = self.skip_linear(torch.cat([tokens, skip], dim=-1))
        vectors = self.adaLN_modulation.vectors(condition, len(tokens))
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = vectors
        tokens = tokens + gate_a * self.attn(_modulated_norm(tokens, shift_a, scale_a))
        return tokens + gate_m * self.mlp(_modulated_norm(tokens, shift_m, scale_m))


class ConvBlock(nn.Module):
    """Residual convolutions inside each cube, in the place of a :class:`DiTBlock` (3D MedDiffusion, Table VII).

    Args:
        width: the width of the tokens.
        condition: width of the condition.
        groups: the groups of the group norms.
        edge: the edge of a cube in tokens.
        skip: also takes the tokens of an earlier block.
    """

    def __init__(self, width: int, condition: int, groups: int, edge: int, *, skip: bool = False) -> None:
        super().__init__()
        if skip:
            self.skip_linear = nn.Linear(2 * width, width)
        self.block = ResnetBlock(width, width, groups, condition)
        self._edge = edge

    def forward(self, tokens: Tensor, condition: Tensor, skip: Tensor | None = None) -> Tensor:
        """(B * cubes, tokens, width) and (B, condition) to (B * cubes, tokens, width)."""
        if skip is not None:
            tokens = self.skip_linear(torch.cat([tokens, skip], dim=-1))
        grid = rearrange(tokens, "b (z x y) c -> b c z x y", z=self._edge, x=self._edge)
        each = condition.repeat_interleave(len(tokens) // len(condition), dim=0)
        return rearrange(self.block(grid, each), "b c z x y -> b (z x y) c")


class CubeHead(nn.Module):
    """From tokens to the features of their voxels, for :func:`merge_cubes`; zero in a new network."""

    def __init__(self, width: int, condition: int, patch: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, patch**3 * width)
        self.adaLN_modulation = Modulation(condition, width, parts=2)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(B * cubes, tokens, width) and (B, condition) to (B * cubes, tokens, patch³ * width)."""
        shift, scale = self.adaLN_modulation.vectors(condition, len(tokens))
        return self.linear(_modulated_norm(tokens, shift, scale))


class FlowStage(nn.ModuleList):
    """One stage of the intra-patch flow: ``0`` a DiT block, ``1`` the head that shows its tokens to the U-Net."""

    def __init__(self, block: DiTBlock | ConvBlock, head: CubeHead) -> None:
        super().__init__([block, head])

    def forward(self, tokens: Tensor, condition: Tensor, skip: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The block's tokens, and the head's features of their voxels."""
        block, head = self
        tokens = block(tokens, condition, skip)
        return tokens, head(tokens, condition)
