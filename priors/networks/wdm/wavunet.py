"""The other network of WDM, in which wavelet transforms halve and double the resolution and carry the skips."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from priors.networks.sizes import check_size
from priors.networks.wdm.blocks import BandsDown, ResBlock, StepEmbedding, WaveletDown, WaveletUp, output_layers
from priors.networks.wdm.config import BANDS, WDMConfig


class WDMWavUNet(nn.Module):
    """Estimates the clean wavelet coefficients of noisy ones; the estimate is zero at first.

    Every level ends at half of its resolution. The high bands that are left there serve the decoder as skip connection,
    and a path of the input's own transforms is added.

    Args:
        config: the sizes of the network; its ``form`` is ``wavunet``.
    """

    def __init__(self, config: WDMConfig) -> None:
        super().__init__()
        self.config = config
        last = config.level_width(-1)
        self.time_embed = StepEmbedding(config.width)
        self.input_blocks = nn.ModuleList([_single(nn.Conv3d(BANDS, config.width, 3, padding=1)), *self._down()])
        self.middle_block = nn.ModuleList([ResBlock(config, last, last), ResBlock(config, last, last)])
        self.output_blocks = nn.ModuleList(self._up())
        self.out_res = nn.ModuleList(
            _single(ResBlock(config, config.width, config.width)) for _ in range(config.blocks)
        )
        self.out = output_layers(config)

    def _down(self) -> Iterator[nn.Module]:
        """Of each level its residual blocks, the block that halves the resolution, and the path of the input."""
        config, channels, carried = self.config, self.config.width, BANDS
        for level in range(config.levels):
            width = config.level_width(level)
            for _ in range(config.blocks):
                yield _single(ResBlock(config, channels, width))
                channels = width
            yield _single(WaveletDown(config, width, width))
            yield _single(BandsDown(carried, width))
            carried = width

    def _up(self) -> Iterator[nn.Module]:
        """Of each level, the coarsest first, its residual blocks; the last stage also doubles the resolution.

        That stage begins with the residual block of the stage before, under a second name and with the same weights, as
        in the official code. The first block of a level changes the width, so that two or more blocks are needed.
        """
        config, channels = self.config, self.config.level_width(-1)
        for level in reversed(range(config.levels)):
            width = config.level_width(level)
            for _ in range(config.blocks):
                block = ResBlock(config, channels, width)
                yield _single(block)
                channels = width
            yield nn.ModuleList([block, WaveletUp(config, width, width)])

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The clean coefficients; as :meth:`priors.networks.wdm.unet.WDMUNet.forward`."""
        check_size([2 * edge for edge in x.shape[2:]], self.config.size_multiple)
        embedding = self.time_embed(t)
        hidden, skips = self._encode(x, embedding)
        for block in self.middle_block:
            hidden = block(hidden, embedding)
        for stage in self.output_blocks:
            for layer in stage.children():
                up = isinstance(layer, WaveletUp)
                hidden = layer(hidden, embedding, skips.pop()) if up else layer(hidden, embedding)
        for stage in self.out_res:
            hidden = _only(stage)(hidden, embedding)
        estimate: Tensor = self.out(hidden)
        return estimate

    def _encode(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[list[Tensor]]]:
        """The coarsest map, and the high bands of each level."""
        first, *layers = map(_only, self.input_blocks)
        hidden, carried, skips = first(x), x, []
        for layer in layers:
            if isinstance(layer, BandsDown):
                hidden = carried = layer(carried) + hidden
            elif isinstance(layer, WaveletDown):
                hidden, high = layer(hidden, embedding)
                skips.append(high)
            else:
                hidden = layer(hidden, embedding)
        return hidden, skips


def _only(stage: nn.Module) -> nn.Module:
    """The layer of a stage that has one."""
    (layer,) = stage.children()
    return layer


def _single(layer: nn.Module) -> nn.ModuleList:
    """One layer under the name that the released files have for it."""
    return nn.ModuleList([layer])
