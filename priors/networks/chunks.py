"""Activations in chunks along Z: their memory, their neighbours' planes, and group norms over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

_GROUPED = (2, 3, 4, 5)
"""Axes that a group norm averages over, once the groups are an axis of their own."""


def with_neighbours(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Each chunk with the last plane of the one before and the first of the one after; zeros beyond the ends."""
    queue = iter(chunks)
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


class ChunkStore:
    """A layer's output in memory that is given, and the statistics that a group norm needs of all of it.

    The memory is taken beforehand, since chunks that are allocated one by one, between those that come and go, scatter
    over the CPU's heap and leave holes of many times their size.

    Args:
        parts: each (B, some of the channels, Z, X, Y).
        planes: the number of planes of a chunk.
        groups: the groups of the group norms.
    """

    def __init__(self, parts: list[Tensor], planes: int, groups: int) -> None:
        self._parts = parts
        self._planes = planes
        self._moments = Moments(len(parts[0].split(planes, dim=2)), groups)

    def write(self, chunks: Iterable[Tensor]) -> None:
        """Fill with chunks that come in their order, a chunk at a time."""
        for room, chunk in zip(self._rooms(), chunks, strict=True):
            self._moments.add(chunk)
            for part, channels in zip(room, torch.chunk(chunk, len(room), dim=1), strict=True):
                part.copy_(channels)

    def chunks(self) -> Iterator[Tensor]:
        """The chunks; copies where there are several parts, so those may be overwritten."""
        for room in self._rooms():
            yield torch.cat(room, dim=1) if len(room) > 1 else room[0]

    def _rooms(self) -> Iterator[tuple[Tensor, ...]]:
        """Where each chunk lies, in every part."""
        return zip(*(part.split(self._planes, dim=2) for part in self._parts), strict=True)

    def normed(self, norm: nn.GroupNorm, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Its chunks after norm and SiLU."""
        scale, shift = self._moments.affine(norm)
        for chunk in chunks:
            wide = torch.addcmul(shift, chunk.to(shift.dtype), scale)
            yield functional.silu(wide, inplace=True).to(chunk.dtype)


class Moments:
    """Mean and variance of groups of channels over chunks that come one by one, merged in float64.

    Args:
        chunks: the number of chunks that will come.
        groups: the groups of channels, as in GroupNorm.
    """

    def __init__(self, chunks: int, groups: int) -> None:
        self._chunks, self._groups = chunks, groups
        self._counts: list[int] = []
        self._kept = torch.empty(0)  # of each chunk, mean and variance of each group

    def add(self, chunk: Tensor) -> None:
        """Take in a chunk (B, C, Z, X, Y)."""
        grouped = chunk.to(torch.promote_types(chunk.dtype, torch.float32)).unflatten(1, (self._groups, -1))
        if not self._counts:
            self._kept = grouped.new_empty(self._chunks, 2, len(chunk), self._groups)
        # Two passes, since var_mean takes eight times as long on the CPU.
        mean = grouped.mean(dim=_GROUPED, keepdim=True)
        kept = self._kept[len(self._counts)]
        kept[0] = mean.flatten(1)
        kept[1] = (grouped - mean).square_().mean(dim=_GROUPED)
        self._counts.append(grouped[0, 0].numel())

    def _merged(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (B, groups) of all chunks, on the CPU, since not every device has float64."""
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
