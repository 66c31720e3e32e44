"""A start for training a Patch-Volume autoencoder in few steps: block averages in, interpolation out.

With PyTorch's usual weights the first thousands of steps go into the grey level of a patch, which group norms take
away. Here the paths that no norm touches already carry an image: the encoder's steps to coarser resolutions average
2 x 2 x 2 voxels, its last one keeps the eight halves of each voxel as eight channels; the decoder puts them side by
side and interpolates. Residual branches and attention add nothing yet, as in networks with zero-initialised residuals
(Goyal et al. 2017). The norms before the two last convolutions change little of what passes: a group there holds each
value with both signs, which cancels its mean and makes SiLU linear (silu(v) - silu(-v) = v), beside a constant that
rules its deviation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from priors.networks.autoencoder import PatchVolumeAutoencoder
from priors.networks.autoencoder_blocks import AttentionBlock, DecoderLevel, EncoderLevel, ResidualBlock

HALVES = 8
"""Of a voxel, in three dimensions; as many latent channels are needed."""

_REST = 0.1
"""What the other weights of the carrying convolutions keep of their random start."""

_MEAN_SQUARE = 0.5
"""Of images in the network range, about."""

_RULING = 3.0
"""Square of the deviation that a norm's constant makes, in units of the image's own."""

_LINEAR = (0.25, 0.75, 0.75, 0.25)
"""Interpolation at twice the resolution, as a transposed convolution of size 4 and stride 2."""


@torch.no_grad()
def start_as_averages(net: PatchVolumeAutoencoder) -> None:
    """Set a new network's weights such that it keeps averages of blocks half as wide as a latent voxel.

    Raises:
        ValueError: a network whose channels or groups are too few for that.
    """
    _check(net)
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            _zero(module.conv2)
        elif isinstance(module, AttentionBlock):
            _zero(module.to_out)
    _encoder(net)
    for convolution in (net.pre_vq_conv, net.post_vq_conv):
        _zero(convolution)
        convolution.weight.copy_(torch.eye(convolution.out_channels)[..., None, None, None])
    _decoder(net)


def _check(net: PatchVolumeAutoencoder) -> None:
    config = net.config
    if config.compression < 4:
        raise ValueError(f"a start as averages needs a compression of 4 or more, not {config.compression}")
    if config.latent_channels < HALVES or config.image_channels != 1:
        raise ValueError(f"a start as averages needs one image channel and at least {HALVES} of the latent")
    coarse, fine = (width // config.norm_groups for width in (config.widths[-1], config.widths[0]))
    if coarse < 2 * -(-HALVES // config.norm_groups) + 2 or fine < 4:
        raise ValueError(
            f"a start as averages needs groups of more channels than {coarse} and {fine}; norm_groups down"
        )


def _encoder(net: PatchVolumeAutoencoder) -> None:
    encoder, config = net.encoder, net.config
    levels = [level for level in encoder.conv_blocks if isinstance(level, EncoderLevel)]
    downs = [level.down for level in levels if isinstance(level.down, nn.Conv3d)]
    _carry(encoder.conv_first, [(0, 0, _CENTRE)])
    for level in levels:
        if isinstance(level.res1.resConv, nn.Conv3d):
            _carry(level.res1.resConv, [(0, 0, _POINT)])
    for down in downs[:-1]:
        _carry(down, [(0, 0, _product((0.0, 0.5, 0.5, 0.0)))])
    places = _pairs(config.widths[-1], config.norm_groups, HALVES)
    _carry(downs[-1], [(0, place.plus, half) for place, half in zip(places, _halves(), strict=True)], places)
    _read(encoder.final_block, places)


def _decoder(net: PatchVolumeAutoencoder) -> None:
    decoder, config = net.decoder, net.config
    levels = [level for level in decoder.conv_blocks if isinstance(level, DecoderLevel)]
    ups = [level.up.conv_trans for level in levels if level.up is not None]
    _carry(decoder.conv_first, [(half, half, _CENTRE) for half in range(HALVES)])
    _carry(ups[0], [(channel, 0, half) for channel, half in enumerate(_halves())])
    for up in ups[1:]:
        _carry(up, [(0, 0, _product(_LINEAR))])
    for level in levels[:-1]:
        if isinstance(level.res1.resConv, nn.Conv3d):
            _carry(level.res1.resConv, [(0, 0, _POINT)])
    places = _pairs(config.widths[0], config.norm_groups, 1)
    narrowing = levels[-1].res1.resConv
    assert isinstance(narrowing, nn.Conv3d), "the finest level is narrower than the one before"
    _carry(narrowing, [(0, places[0].plus, _POINT)], places)
    _read(decoder.final_block, places)


@dataclass(frozen=True)
class _Pair:
    """Channels of one value with both signs, in a group (first and last channel) that a constant rules.

    Attributes:
        plus, minus: channels.
        group: all channels of the group.
        constants: two of them.
    """

    plus: int
    minus: int
    group: range
    constants: tuple[int, int]


def _pairs(width: int, groups: int, values: int) -> list[_Pair]:
    """Places for some values, spread evenly over the groups of a norm."""
    size, each = width // groups, -(-values // groups)
    found = []
    for value in range(values):
        group = range(value // each * size, (value // each + 1) * size)
        plus = group.start + 2 * (value % each)
        found.append(_Pair(plus, plus + 1, group, (group.stop - 2, group.stop - 1)))
    return found


def _deviation(places: Sequence[_Pair]) -> float:
    """What the norm of the first pair's group divides by, for images of the usual mean square."""
    own = [place for place in places if place.group == places[0].group]
    return math.sqrt((1 + _RULING) * 2 * len(own) * _MEAN_SQUARE / len(own[0].group))


def _constant(places: Sequence[_Pair]) -> float:
    own = [place for place in places if place.group == places[0].group]
    return math.sqrt(_RULING * len(own) * _MEAN_SQUARE)


def _carry(
    convolution: nn.Conv3d | nn.ConvTranspose3d,
    kernels: Sequence[tuple[int, int, Tensor]],
    places: Sequence[_Pair] = (),
) -> None:
    """Channels that carry an image, each the sum of sources filtered by kernels; the rest stays random and small.

    Args:
        convolution: changed.
        kernels: source, target, kernel.
        places: the places of the targets where a norm follows; their groups hold nothing else.
    """
    weight, bias = convolution.weight, convolution.bias
    assert bias is not None
    rows = weight.transpose(0, 1) if isinstance(convolution, nn.ConvTranspose3d) else weight
    weight.mul_(_REST)
    for channel in {target for _, target, _ in kernels} | {each for place in places for each in place.group}:
        rows[channel], bias[channel] = 0, 0
    for source, target, kernel in kernels:
        rows[target, source] += kernel
    for place in places:
        rows[place.minus] = -rows[place.plus]
        for sign, channel in zip((1, -1), place.constants, strict=True):
            bias[channel] = sign * _constant(places)


def _read(final: nn.Sequential, places: Sequence[_Pair]) -> None:
    """The last norm and convolution: each output is the value of one pair; further outputs stay random and small."""
    norm, convolution = final[0], final[-1]
    assert isinstance(norm, nn.GroupNorm)
    assert isinstance(convolution, nn.Conv3d)
    assert convolution.bias is not None
    convolution.weight.mul_(_REST)
    for output, place in enumerate(places):
        convolution.weight[output], convolution.bias[output] = 0, 0
        for sign, channel in ((1, place.plus), (-1, place.minus)):
            norm.weight[channel] = _deviation(places)
            convolution.weight[output, channel] = sign * _CENTRE


def _zero(convolution: nn.Conv3d) -> None:
    convolution.weight.zero_()
    if convolution.bias is not None:
        convolution.bias.zero_()


def _product(line: tuple[float, float, float, float]) -> Tensor:
    """A separable kernel."""
    values = torch.tensor(line)
    return values[:, None, None] * values[:, None] * values


def _halves() -> list[Tensor]:
    """Kernels of size 4 and stride 2 that take, or transposed place, one of the eight halves of a voxel."""
    kernels = []
    for taps in itertools.product((1, 2), repeat=3):
        kernel = torch.zeros(4, 4, 4)
        kernel[taps] = 1
        kernels.append(kernel)
    return kernels


_POINT = torch.ones(1, 1, 1)
_CENTRE = nn.functional.pad(_POINT, (1,) * 6)
