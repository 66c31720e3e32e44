"""The ADM network: it tells the noise in an image, and perhaps the variance of the step back, under a condition or not.

Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), as DDS and DOLCE configure it: residual
blocks change the size, scale and shift carry the step, every head of the attention is equally wide. State dicts have
the names of the released ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from einops import repeat
from torch import Tensor, nn

from priors.networks.adm_blocks import AttentionBlock, ResBlock, Stage, double, halve, norm, sinusoids, zeroed
from priors.networks.adm_config import ADMConfig
from priors.networks.sizes import check_size


class ADMUNet(nn.Module):
    """See the module; the noise it tells at first is zero."""

    def __init__(self, config: ADMConfig) -> None:
        super().__init__()
        self.config = config
        self._embedding = 4 * config.width
        self.time_embed = nn.Sequential(
            nn.Linear(config.width, self._embedding), nn.SiLU(), nn.Linear(self._embedding, self._embedding)
        )
        first, last = config.level_width(0), config.level_width(config.levels - 1)
        self.input_blocks = nn.ModuleList([Stage([nn.Conv2d(config.in_channels, first, 3, padding=1)])])
        skips = [first]
        for stage, channels in self._down():
            self.input_blocks.append(stage)
            skips.append(channels)
        told = self._embedding if config.timed_middle else None
        attention = AttentionBlock(last, config.attention_heads(last), told)
        self.middle_block = Stage([self._block(last, last), attention, self._block(last, last)])
        self.output_blocks = nn.ModuleList(self._up(skips))
        self.out = nn.Sequential(norm(first), nn.SiLU(), zeroed(nn.Conv2d(first, config.out_channels, 3, padding=1)))

    def _block(self, inputs: int, outputs: int) -> ResBlock:
        return ResBlock(inputs, outputs, self._embedding, self.config.dropout)

    def _level(self, level: int, inputs: int) -> list[nn.Module]:
        """A residual block, those that follow it at this level, and attention where it is wanted."""
        width = self.config.level_width(level)
        layers: list[nn.Module] = [self._block(inputs, width)]
        layers += [self._block(width, width) for _ in range(self.config.level_extra_blocks(level))]
        if 2**level in self.config.attention:
            layers.append(AttentionBlock(width, self.config.attention_heads(width)))
        return layers

    def _down(self) -> Iterator[tuple[Stage, int]]:
        """The stages of the encoder after its first convolution, with their output channels."""
        config, channels = self.config, self.config.level_width(0)
        for level in range(config.levels):
            for _ in range(config.blocks):
                stage = Stage(self._level(level, channels))
                channels = config.level_width(level)
                yield stage, channels
            if level < config.levels - 1:
                yield Stage([ResBlock(channels, channels, self._embedding, config.dropout, halve)]), channels

    def _up(self, skips: list[int]) -> Iterator[Stage]:
        """The stages of the decoder; each takes the output of one of the encoder's, last first."""
        config, channels, skips = self.config, self.config.level_width(-1), list(skips)
        for level in reversed(range(config.levels)):
            for place in range(config.blocks + 1):
                layers = self._level(level, channels + skips.pop())
                channels = config.level_width(level)
                if level > 0 and place == config.blocks:
                    layers.append(ResBlock(channels, channels, self._embedding, config.dropout, double))
                yield Stage(layers)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The raw output, noise before variance fractions.

        Args:
            x: (B, in_channels, H, W) noisy image, then the condition if there is one.
            t: (B,) diffusion steps, counted as in the training.

        Returns:
            (B, out_channels, H, W).

        Raises:
            ValueError: H or W is no multiple of ``config.size_multiple``; the nearest sizes are named.
        """
        check_size(x.shape[2:], self.config.size_multiple, axes=("height", "width"))
        embedding = self.time_embed(sinusoids(t, self.config.width).to(x.dtype))
        hidden, skips = x, []
        for stage in self.input_blocks:
            hidden = stage(hidden, embedding)
            skips.append(hidden)
        hidden = self.middle_block(hidden, embedding)
        for stage in self.output_blocks:
            hidden = stage(torch.cat([hidden, skips.pop()], dim=1), embedding)
        return self.out(hidden)

    def estimate(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The noise in an image.

        Args:
            x: (B, channels, H, W) noisy image.
            t: (B,) diffusion steps.
            condition: (B, conditions, H, W), given to the network as often as it has channels for; None without.

        Returns:
            The noise, and the variance fractions (Nichol and Dhariwal 2021, equation 15, as (1 + fraction) / 2) or
            None, (B, channels, H, W) each.

        Raises:
            ValueError: a condition is missing, not wanted, or does not fit the channels; or sizes that the network
                cannot take.
        """
        output = self(self._with_condition(x, condition), t)
        if not self.config.learn_sigma:
            return output, None
        noise, fraction = output.chunk(2, dim=1)
        return noise, fraction

    def _with_condition(self, x: Tensor, condition: Tensor | None) -> Tensor:
        given = 0 if condition is None else condition.shape[1]
        times = condition_repeats(self.config, given)
        if condition is None:
            return x
        return torch.cat([x, repeat(condition, "b c h w -> b (times c) h w", times=times)], dim=1)


def condition_repeats(config: ADMConfig, conditions: int) -> int:
    """How often a condition of so many channels is given to a network.

    Raises:
        ValueError: its input has no room for them, or room that they do not fill.
    """
    room = config.in_channels - config.channels
    if (room == 0) != (conditions == 0) or (conditions and room % conditions):
        raise ValueError(f"a condition of {conditions} channels, where the network takes {room}")
    return room // conditions if conditions else 0
