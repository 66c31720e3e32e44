"""Activations in slabs along Z: their memory, their neighbours' planes, and group norms over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

_GROUPED = (2, 3, 4, 5)
"""Axes that a group norm averages over, once the groups are an axis of their own."""


def with_neighbours(slabs: Iterable[Tensor]) -> Iterator[Tensor]:
    """Each slab with the last plane of the one before and the first of the one after; zeros beyond the ends."""
    queue = iter(slabs)
    current = next(queue)
    outside = torch.zeros_like(current[:, :, :1])
    before = outside.clone()
    for following in chain(queue, [None]):
        after = outside if following is None else following[:, :, :1]
        padded = torch.cat([before, current, after], dim=2)
        before.copy_(current[:, :, -1:])  # before the consumer overwrites it
        if following is not None:
            current = following
        yield padded


class SlabStore:
    """A layer's output in memory that is given, and the statistics that a group norm needs of all of it.

    The memory is taken beforehand, since slabs that are allocated one by one, between those that come and go, scatter
    over the CPU's heap and leave holes of many times their size.

    Args:
        parts: each (B, some of the channels, Z, X, Y).
        slab: planes of a slab.
        groups: the groups of the group norms.
    """

    def __init__(self, parts: list[Tensor], slab: int, groups: int) -> None:
        self._parts = parts
        self._slab = slab
        self._moments = Moments(len(parts[0].split(slab, dim=2)), groups)

    def write(self, slabs: Iterable[Tensor]) -> None:
        """Fill with slabs that come in their order, a slab at a time."""
        for room, slab in zip(self._rooms(), slabs, strict=True):
            self._moments.add(slab)
            for part, channels in zip(room, slab.chunk(len(room), dim=1), strict=True):
                part.copy_(channels)

    def slabs(self) -> Iterator[Tensor]:
        """The slabs; copies where there are several parts, so those may be overwritten."""
        for room in self._rooms():
            yield torch.cat(room, dim=1) if len(room) > 1 else room[0]

    def _rooms(self) -> Iterator[tuple[Tensor, ...]]:
        """Where each slab lies, in every part."""
        return zip(*(part.split(self._slab, dim=2) for part in self._parts), strict=True)

    def normed(self, norm: nn.GroupNorm, slabs: Iterable[Tensor]) -> Iterator[Tensor]:
        """Its slabs after norm and SiLU."""
        scale, shift = self._moments.affine(norm)
        for slab in slabs:
            wide = torch.addcmul(shift, slab.to(shift.dtype), scale)
            yield functional.silu(wide, inplace=True).to(slab.dtype)


class Moments:
    """Mean and variance of groups of channels over slabs that come one by one, merged in float64.

    Args:
        slabs: how many will come.
        groups: the groups of channels, as in GroupNorm.
    """

    def __init__(self, slabs: int, groups: int) -> None:
        self._slabs, self._groups = slabs, groups
        self._counts: list[int] = []
        self._kept = torch.empty(0)  # of each slab, mean and variance of each group

    def add(self, slab: Tensor) -> None:
        """Take in a slab (B, C, Z, X, Y)."""
        grouped = slab.to(torch.promote_types(slab.dtype, torch.float32)).unflatten(1, (self._groups, -1))
        if not self._counts:
            self._kept = grouped.new_empty(self._slabs, 2, len(slab), self._groups)
        # Two passes, since var_mean takes eight times as long on the CPU.
        mean = grouped.mean(dim=_GROUPED, keepdim=True)
        kept = self._kept[len(self._counts)]
        kept[0] = mean.flatten(1)
        kept[1] = (grouped - mean).square_().mean(dim=_GROUPED)
        self._counts.append(grouped[0, 0].numel())

    def _merged(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (B, groups) of all slabs, on the CPU, since not every device has float64."""
        means, variances = self._kept.cpu().double().unbind(dim=1)
        weights = torch.tensor(self._counts, dtype=torch.float64)[:, None, None] / sum(self._counts)
        mean = (weights * means).sum(dim=0)
        return mean, (weights * (variances + (means - mean).square())).sum(dim=0)

    def affine(self, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
        """Factor and summand (B, C, 1, 1, 1), at least float32, that normalise as ``norm`` would the whole volume."""
        channels = norm.num_channels // norm.num_groups
        mean, variance = (moment.repeat_interleave(channels, dim=1) for moment in self._merged())
        scale = norm.weight.cpu().double() / (variance + norm.eps).sqrt()
        shift = norm.bias.cpu().double() - mean * scale
        dtype, device = torch.promote_types(norm.weight.dtype, torch.float32), norm.weight.device
        return scale[..., None, None, None].to(device, dtype), shift[..., None, None, None].to(device, dtype)
