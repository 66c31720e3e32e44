"""Parts of the ADM network: residual blocks told the diffusion step, and attention over pixels.

Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), appendix A. Attributes have the names of
the released state dicts. Maps are (B, C, H, W), step embeddings (B, E).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.adm_config import NORM_GROUPS

_LONGEST_PERIOD = 10000

Layer = TypeVar("Layer", bound=nn.Conv1d | nn.Conv2d)


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Steps (B,), not rescaled, as float32 (B, ``width``): cosines, then sines, of geometrically growing periods."""
    waves = width // 2
    exponent = torch.arange(waves, dtype=torch.float32, device=t.device) / waves
    phase = t.float()[:, None] * torch.exp(-math.log(_LONGEST_PERIOD) * exponent)
    return torch.cat([phase.cos(), phase.sin()], dim=1)


def zeroed(layer: Layer) -> Layer:
    """The layer with zero weights, so that what it ends adds nothing at first."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def halve(x: Tensor) -> Tensor:
    """Means of 2 x 2 pixels."""
    return functional.avg_pool2d(x, 2)


def double(x: Tensor) -> Tensor:
    """Each pixel as 2 x 2 of them."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def norm(channels: int) -> nn.GroupNorm:
    """Group norm with the published number of groups."""
    return nn.GroupNorm(NORM_GROUPS, channels)


class ResBlock(nn.Module):
    """Two convolutions with a shortcut; the step scales and shifts between them.

    Args:
        inputs: channels.
        outputs: channels; the shortcut is a 1 x 1 convolution where they differ from ``inputs``.
        embedding: width E of the step's embedding.
        dropout: the dropout rate before the last convolution.
        resample: what becomes of the size, in the block and in its shortcut; None keeps it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        dropout: float = 0.0,
        resample: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * outputs))
        last = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(norm(outputs), nn.SiLU(), nn.Dropout(dropout), last)
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self._resample = resample

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, inputs, H, W) and (B, E) to (B, outputs, H', W')."""
        first_norm, activation, convolution = self.in_layers
        hidden = activation(first_norm(x))
        if self._resample is not None:
            hidden, x = self._resample(hidden), self._resample(x)
        hidden = convolution(hidden)
        scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, dim=1)
        second_norm, *rest = self.out_layers
        hidden = torch.addcmul(shift, second_norm(hidden), scale + 1)
        for layer in rest:
            hidden = layer(hidden)
        return self.skip_connection(x) + hidden


class AttentionBlock(nn.Module):
    """Softmax attention among all pixels of a map, added to the map.

    Args:
        channels: the channels of the feature map.
        heads: the number of attention heads, which share the channels evenly.
        embedding: width E of the step's embedding, which is then added to what the pixels gather; None is untold.
    """

    def __init__(self, channels: int, heads: int, embedding: int | None = None) -> None:
        super().__init__()
        self.emb_layers = None if embedding is None else nn.Sequential(nn.SiLU(), nn.Linear(embedding, channels))
        self.norm = norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))
        self._heads = heads

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, H, W) and (B, E) to (B, C, H, W)."""
        pixels = self.norm(x).flatten(2)
        # Each head's query, key and value lie together, as in the released weights.
        q, k, v = rearrange(self.qkv(pixels), "b (head part d) n -> part b head n d", part=3, head=self._heads)
        mixed = rearrange(functional.scaled_dot_product_attention(q, k, v), "b head n d -> b (head d) n")
        if self.emb_layers is not None:
            mixed = mixed + self.emb_layers(embedding)[..., None]
        return x + self.proj_out(mixed).view_as(x)


class Stage(nn.ModuleList):
    """Layers one after another; all but plain convolutions are told the step."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, H, W) and (B, E) to (B, C', H', W')."""
        for layer in self:
            x = layer(x) if isinstance(layer, nn.Conv2d) else layer(x, embedding)
        return x
