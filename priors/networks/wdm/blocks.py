"""Parts of WDM's networks: residual blocks told the diffusion step, which may halve or double the resolution.

Attributes have the names of the released state dicts. Maps are (B, C, Z, X, Y), step embeddings (B, E).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.adm_blocks import sinusoids
from priors.networks.wdm.config import BANDS, WDMConfig
from priors.networks.wdm.haar import LOW_SCALE, from_haar_bands, haar_bands

Resample = Callable[[Tensor], Tensor]


class Float32GroupNorm(nn.GroupNorm):
    """Group norm that computes in float32, also where activations have fewer bits."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


class ResBlock(nn.Module):
    """Two convolutions with a shortcut; the embedding of the step is added between them.

    Args:
        config: the sizes of the network.
        inputs: channels.
        outputs: channels; the shortcut is a convolution of one voxel where they differ from ``inputs``.
    """

    def __init__(self, config: WDMConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        norm, embedding = config.norm_groups, 4 * config.width
        first = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.in_layers = nn.Sequential(Float32GroupNorm(norm, inputs), nn.SiLU(), first)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        last = zeroed(nn.Conv3d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(Float32GroupNorm(norm, outputs), nn.SiLU(), nn.Dropout(config.dropout), last)
        self.skip_connection = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, inputs, Z, X, Y) and (B, E) to (B, outputs, Z, X, Y)."""
        return self._finish(self.in_layers(x), x, embedding)

    def _finish(self, hidden: Tensor, x: Tensor, embedding: Tensor) -> Tensor:
        """Everything after the first convolution; ``hidden`` and the shortcut ``x`` have the final resolution."""
        hidden = hidden + self.emb_layers(embedding)[:, :, None, None, None]
        output: Tensor = self.skip_connection(x) + self.out_layers(hidden)
        return output


class ResampledBlock(ResBlock):
    """A residual block that changes the resolution, in front of its first convolution and on its shortcut.

    Args:
        config: the sizes of the network.
        channels: channels of input and output.
        resample: :func:`halve` or :func:`double`.
    """

    def __init__(self, config: WDMConfig, channels: int, resample: Resample) -> None:
        super().__init__(config, channels, channels)
        self._resample = resample

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        hidden = convolution(self._resample(activation(norm(x))))
        return self._finish(hidden, self._resample(x), embedding)


class WaveletDown(ResBlock):
    """A residual block after whose first convolution the lowest band goes on alone; the others are set aside."""

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:  # type: ignore[override]
        """(B, C, Z, X, Y) to (B, C, Z / 2, X / 2, Y / 2), and the seven high bands behind the first convolution."""
        low, *high = haar_bands(self.in_layers(x))
        return self._finish(low / LOW_SCALE, haar_bands(x)[0] / LOW_SCALE, embedding), high


class WaveletUp(ResBlock):
    """The mirror of :class:`WaveletDown`: doubles the resolution with the high bands that were set aside."""

    def forward(self, x: Tensor, embedding: Tensor, high: list[Tensor]) -> Tensor:  # type: ignore[override]
        """(B, C, Z, X, Y) and seven bands of the same size to (B, C, 2 Z, 2 X, 2 Y)."""
        hidden, shortcut = (from_haar_bands([LOW_SCALE * low, *high]) for low in (self.in_layers(x), x))
        return self._finish(hidden, shortcut, embedding)


class BandsDown(nn.Module):
    """All eight bands of a map, divided by 3, through a convolution: the path of the input beside the encoder."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(BANDS * inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, Z, X, Y) to (B, outputs, Z / 2, X / 2, Y / 2)."""
        output: Tensor = self.conv(torch.cat(haar_bands(x), dim=1) / LOW_SCALE)
        return output


class StepEmbedding(nn.Sequential):
    """What the blocks are told of the diffusion step: steps (B,) to (B, 4 ``width``)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        self._width = width

    def forward(self, t: Tensor) -> Tensor:
        embedded: Tensor = super().forward(sinusoids(t, self._width).to(next(self.parameters()).dtype))
        return embedded


def output_layers(config: WDMConfig) -> nn.Sequential:
    """The last layers, from ``config.width`` channels to the eight bands; they give zero at first."""
    last = zeroed(nn.Conv3d(config.width, BANDS, 3, padding=1))
    return nn.Sequential(Float32GroupNorm(config.norm_groups, config.width), nn.SiLU(), last)


def zeroed(layer: nn.Conv3d) -> nn.Conv3d:
    """The layer with zero weights, so that what it ends adds nothing at first."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def halve(x: Tensor) -> Tensor:
    """Means of 2 x 2 x 2 voxels."""
    return functional.avg_pool3d(x, 2)


def double(x: Tensor) -> Tensor:
    """Each voxel as 2 x 2 x 2 of them."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")
