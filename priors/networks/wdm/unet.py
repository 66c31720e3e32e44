"""The U-Net of WDM, in the form of its released weights: no attention, and skip connections that are added."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from priors.networks.sizes import check_size
from priors.networks.wdm.blocks import ResampledBlock, ResBlock, StepEmbedding, double, halve, output_layers
from priors.networks.wdm.config import BANDS, WDMConfig


class Stage(nn.ModuleList):
    """Layers one after another; all but plain convolutions are told the step."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, Z, X, Y) and (B, E) to (B, C', Z', X', Y')."""
        for layer in self:
            x = layer(x) if isinstance(layer, nn.Conv3d) else layer(x, embedding)
        return x


class WDMUNet(nn.Module):
    """Estimates the clean wavelet coefficients of noisy ones; the estimate is zero at first.

    Args:
        config: the sizes of the network; its ``form`` is ``unet``.
    """

    def __init__(self, config: WDMConfig) -> None:
        super().__init__()
        self.config = config
        last = config.level_width(-1)
        self.time_embed = StepEmbedding(config.width)
        self.input_blocks = nn.ModuleList([Stage([nn.Conv3d(BANDS, config.width, 3, padding=1)])])
        skips = [config.width]
        for stage, channels in self._down():
            self.input_blocks.append(stage)
            skips.append(channels)
        self.middle_block = Stage([ResBlock(config, last, last), ResBlock(config, last, last)])
        self.output_blocks = nn.ModuleList(self._up(skips))
        self.out = output_layers(config)

    def _down(self) -> Iterator[tuple[Stage, int]]:
        """The stages of the encoder after its first convolution, with their output channels."""
        config, channels = self.config, self.config.width
        for level in range(config.levels):
            width = config.level_width(level)
            for _ in range(config.blocks):
                yield Stage([ResBlock(config, channels, width)]), width
                channels = width
            if level < config.levels - 1:
                yield Stage([ResampledBlock(config, width, halve)]), width

    def _up(self, skips: list[int]) -> Iterator[Stage]:
        """The stages of the decoder: each is as wide as the skip connection that is added after it."""
        config = self.config
        *others, channels = skips
        following = [config.width, *others]  # the first convolution's skip is the last one, and nothing comes after it
        for level in reversed(range(config.levels)):
            for place in range(config.blocks + 1):
                width = following.pop()
                layers: list[nn.Module] = [ResBlock(config, channels, width)]
                channels = width
                if level > 0 and place == config.blocks:
                    layers.append(ResampledBlock(config, width, double))
                yield Stage(layers)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The clean coefficients.

        Args:
            x: (B, 8, Z, X, Y) noisy wavelet coefficients of a volume of twice that size.
            t: (B,) diffusion steps.

        Returns:
            (B, 8, Z, X, Y).

        Raises:
            ValueError: an edge of the volume is no multiple of ``config.size_multiple``; the nearest are named.
        """
        check_size([2 * edge for edge in x.shape[2:]], self.config.size_multiple)
        embedding, hidden, skips = self.time_embed(t), x, []
        for stage in self.input_blocks:
            hidden = stage(hidden, embedding)
            skips.append(hidden)
        hidden = self.middle_block(hidden, embedding)
        for stage in self.output_blocks:
            hidden = stage((hidden + skips.pop()) / 2, embedding)
        estimate: Tensor = self.out(hidden)
        return estimate
