"""Attention of factorised U-Nets: within each slice, across the slices, and to the tokens of a text.

Attributes have the names of the released state dicts. Maps are (B, C, Z, X, Y), tokens (B, n, C).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.unet3d import HEAD_WIDTH, ChannelNorm

BUCKETS = 32
"""Groups of distances between two slices that have a bias of their own, half of them for either direction."""

FARTHEST = 32
"""Distance in slices from which on all share the last bucket."""


class Residual(nn.Module):
    """Adds what a module makes of a map to the map."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor, *told: Any) -> Tensor:
        """``told``: what the module takes beside the map."""
        return x + self.fn(x, *told)


class Normed(nn.Module):
    """A layer norm over the channels of each voxel, then a module."""

    def __init__(self, channels: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.fn = fn

    def forward(self, x: Tensor, *told: Any) -> Tensor:
        """``told``: what the module takes beside the map."""
        return self.fn(self.norm(x.movedim(1, -1)).movedim(-1, 1), *told)


class Attention(nn.Module):
    """Multi-head softmax attention among tokens.

    Args:
        channels: channels of the tokens.
        heads: the number of heads.
        head_width: channels of a head.
        rotary: turns queries and keys by their places (Su et al. 2021); None leaves them.
    """

    def __init__(self, channels: int, heads: int, head_width: int = HEAD_WIDTH, rotary: Rotary | None = None) -> None:
        super().__init__()
        self._heads = heads
        inner = heads * head_width
        if rotary is not None:
            self.rotary_emb = rotary
        self._turned = rotary is not None
        self.to_qkv = nn.Linear(channels, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)

    def forward(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, n, C) to the same; ``bias`` (heads, n, n) is added to the products of queries and keys."""
        q, k, v = rearrange(self.to_qkv(tokens), "b n (part h d) -> part b h n d", part=3, h=self._heads)
        if self._turned:
            q, k = self.rotary_emb(q), self.rotary_emb(k)
        mask = None if bias is None else bias.to(q.dtype)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.to_out(rearrange(mixed, "b h n d -> b n (h d)"))


class Rotary(nn.Module):
    """Turns pairs of neighbouring channels by angles in proportion to a token's place.

    Args:
        width: channels that are turned, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = torch.arange(0, width, 2, dtype=torch.float32) / width
        self.freqs = nn.Parameter(torch.exp(-math.log(10000) * exponent), requires_grad=False)

    def forward(self, heads: Tensor) -> Tensor:
        """(B, heads, n, D) to the same."""
        places = torch.arange(heads.shape[-2], device=heads.device, dtype=torch.float32)
        angles = (places[:, None] * self.freqs.float()).repeat_interleave(2, dim=-1)
        first, second = heads.unflatten(-1, (-1, 2)).unbind(-1)
        quarter = torch.stack([-second, first], dim=-1).flatten(-2)
        return (heads * angles.cos() + quarter * angles.sin()).to(heads.dtype)


class RelativeBias(nn.Module):
    """A bias of attention for each distance between two slices and each head (Raffel et al. 2020, T5)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, slices: int) -> Tensor:
        """(heads, ``slices``, ``slices``), the query's slice first."""
        places = torch.arange(slices, device=self.relative_attention_bias.weight.device)
        distances = places[None, :] - places[:, None]
        return self.relative_attention_bias(_bucket(distances)).permute(2, 0, 1)


def _bucket(distance: Tensor) -> Tensor:
    """The bucket of signed distances: small ones have one each, larger ones share by their logarithm."""
    one_way = BUCKETS // 2
    exact = one_way // 2
    ahead = distance.abs()
    logarithm = torch.log(ahead.clamp_min(1).float() / exact) / math.log(FARTHEST / exact)
    shared = exact + (logarithm * (one_way - exact)).long()
    return (distance > 0).long() * one_way + torch.where(ahead < exact, ahead, shared.clamp_max(one_way - 1))


class WithinSlices(nn.Module):
    """Attention among the voxels of each slice."""

    def __init__(self, fn: Attention) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.fn(rearrange(x, "b c z x y -> (b z) (x y) c"))
        return rearrange(tokens, "(b z) (x y) c -> b c z x y", z=x.shape[2], x=x.shape[3])


class AcrossSlices(nn.Module):
    """Attention among the voxels at the same place of all slices."""

    def __init__(self, fn: Attention) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """``bias``: that of a :class:`RelativeBias`."""
        tokens = self.fn(rearrange(x, "b c z x y -> (b x y) z c"), bias)
        return rearrange(tokens, "(b x y) z c -> b c z x y", x=x.shape[3], y=x.shape[4])


class LinearAttention(nn.Module):
    """Attention within each slice at a cost that grows with its voxels (Shen et al. 2021).

    Queries are normalised over the channels of a head and keys over the voxels, so that keys and values are summed up
    before a query meets them.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self._heads = heads
        self.to_qkv = nn.Conv2d(channels, 3 * inner, kernel_size=1, bias=False)
        self.to_out = nn.Conv2d(inner, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        slices = rearrange(x, "b c z x y -> (b z) c x y")
        q, k, v = rearrange(self.to_qkv(slices), "b (part h d) x y -> part b h d (x y)", part=3, h=self._heads)
        summed = k.softmax(dim=-1) @ v.transpose(-1, -2)
        mixed = summed.transpose(-1, -2) @ (q.softmax(dim=-2) * HEAD_WIDTH**-0.5)
        merged = rearrange(mixed, "b h d (x y) -> b (h d) x y", x=x.shape[3])
        return rearrange(self.to_out(merged), "(b z) c x y -> b c z x y", z=x.shape[2])


class TextAttention(nn.Module):
    """Attention of every voxel to the tokens of a text, the same for all slices.

    Args:
        channels: channels of the map.
        text_width: channels of the tokens.
        heads: the number of heads.
    """

    def __init__(self, channels: int, text_width: int, heads: int) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self._heads = heads
        self.to_q = nn.Conv2d(channels, inner, kernel_size=1, bias=False)
        self.to_kv = nn.Linear(text_width, 2 * inner, bias=False)
        self.to_out = nn.Conv2d(inner, channels, kernel_size=1)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """(B, C, Z, X, Y) and (B, n, text width) to the first's shape."""
        sizes = {"z": x.shape[2], "x": x.shape[3]}
        query = self.to_q(rearrange(x, "b c z x y -> (b z) c x y"))
        q = rearrange(query, "(b z) (h d) x y -> b h (z x y) d", h=self._heads, z=sizes["z"])
        k, v = rearrange(self.to_kv(text), "b n (part h d) -> part b h n d", part=2, h=self._heads)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        merged = self.to_out(rearrange(mixed, "b h (z x y) d -> (b z) (h d) x y", **sizes))
        return rearrange(merged, "(b z) c x y -> b c z x y", z=sizes["z"])


def normed(channels: int, fn: nn.Module) -> Residual:
    """What is added to a map: a norm, then a module."""
    return Residual(Normed(channels, fn))
