"""Exact decoding of a whole volume by chunks, in a fraction of the memory.

Decoding at once holds several activations of the finest resolution beside one another. Here a level of the decoder has
two stores of its output's size and no more: one for the trunk, one for what is inside a residual block. An input of
twice the channels lies across both, and each chunk of it makes room for what is computed from it. So the most that is
ever held is about one input of the finest level.

Nothing is approximated unless asked for (``most_keys``): convolutions see one plane of the neighbouring chunks, group
norms the statistics of the whole volume (gathered while the layer before writes its chunks), and the attention, at the
coarsest resolution, all voxels, or all of a patch where the decoder's middle is a patch's. So there is no seam that
decoding at once has not, and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.networks.autoencoder_blocks import (
    HEAD_WIDTH,
    HEADS,
    Decoder,
    DecoderLevel,
    ResidualBlock,
    Upsampling,
    key_step,
)
from priors.networks.chunks import ChunkStore, with_neighbours

OnProgress = Callable[[float], None]
"""Called with the share of the work, 0 to 1, that is done."""

WORKING_COPIES = 8
"""Activations of a chunk that a layer holds at a time: padded input, output, and what the convolution itself wants."""

WORKING_SHARE = 1 / 16
"""Of the free memory, for those."""

MOST_WORKING_BYTES, MOST_WORKING_BYTES_GPU = 1 << 29, 1 << 31
"""Thicker chunks than these allow are no faster; a GPU wants more at a time."""


def free_bytes(device: torch.device) -> int:
    """Memory at hand on a device; what torch keeps unused on a GPU counts as free."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return int(psutil.virtual_memory().available)


def chunk_thickness(plane_bytes: int, device: torch.device) -> int:
    """Planes in a chunk of an activation with ``plane_bytes`` in each, from the memory at hand; at least 1."""
    most = MOST_WORKING_BYTES if device.type == "cpu" else MOST_WORKING_BYTES_GPU
    budget = min(free_bytes(device) * WORKING_SHARE, most)
    return max(1, int(budget / (WORKING_COPIES * plane_bytes)))


@torch.no_grad()
def stream_decode(
    decoder: Decoder,
    latent: Tensor,
    planes: int | None = None,
    on_progress: OnProgress | None = None,
    most_keys: int | None = None,
) -> Tensor:
    """What ``decoder(latent)`` gives, by chunks; no gradient is recorded.

    Args:
        decoder: the decoder of the autoencoder.
        latent: (B, C, Z, X, Y), the decoder's input.
        planes: the number of planes of a chunk, at every resolution; None chooses from the memory at hand.
        on_progress: called with the share of the work, 0 to 1, that is done.
        most_keys: the most keys of an attention, see
            :meth:`~priors.networks.autoencoder_blocks.AttentionBlock.forward`.

    Returns:
        (B, image channels, Z, X, Y).

    Raises:
        ValueError: a chunk of less than one plane.
    """
    return _Stream(decoder, latent, planes, on_progress or (lambda share: None), most_keys).run()


@torch.no_grad()
def stream_features(
    decoder: Decoder,
    latent: Tensor,
    planes: int | None = None,
    on_progress: OnProgress | None = None,
    most_keys: int | None = None,
) -> Iterator[Tensor]:
    """What the last convolution of ``decoder`` takes, by chunks; arguments and errors as for :func:`stream_decode`.

    The work is that of decoding but for the last convolution, and is nearly all done when the first chunk comes.

    Returns:
        Chunks (B, C, planes + 2, X, Y): each has the last plane of the one before and the first of the one after, and
        zeros beyond the ends, so that a 3 x 3 x 3 convolution without padding along Z gives the chunk's own planes.
    """
    yield from _Stream(decoder, latent, planes, on_progress or (lambda share: None), most_keys).features()


class _Stream:
    """One decoding: the decoder, the thickness of the chunks, and how much of the work is done."""

    def __init__(
        self, decoder: Decoder, latent: Tensor, planes: int | None, on_progress: OnProgress, most_keys: int | None
    ) -> None:
        if planes is not None and planes < 1:
            raise ValueError(f"chunks of {planes} planes; at least 1 is needed")
        self.decoder, self.latent, self.on_progress, self.most_keys = decoder, latent, on_progress, most_keys
        self.levels = [cast(DecoderLevel, level) for level in decoder.conv_blocks]
        self.finest = 2 ** (len(self.levels) - 1)
        self.planes = planes or self._thickness()
        self.attention = _attention_work(latent, decoder.middle_edge, most_keys)
        self.total = self.attention + _convolution_work(self.levels, latent)
        self.done = 0.0

    def _thickness(self) -> int:
        """By the widest activation of the finest level; arithmetic is in float32 whatever the weights are."""
        batch, _, _, x, y = self.latent.shape
        width = self.levels[-1].res1.conv1.in_channels
        return chunk_thickness(batch * width * x * y * self.finest**2 * 4, self.latent.device)

    def run(self) -> Tensor:
        return self._final(self._finest())

    def features(self) -> Iterator[Tensor]:
        """See :func:`stream_features`."""
        x = self._finest()
        yield from with_neighbours(x.normed(cast(nn.GroupNorm, self.decoder.final_block[0]), x.chunks()))

    def _finest(self) -> ChunkStore:
        """The output of the last level."""
        *coarse, finest = self.levels
        chunks, factor = self._middle(), 1
        for level in coarse:
            # Nothing but these chunks refers to the level's memory, so it is freed with the last of them.
            chunks = self._upsample(cast(Upsampling, level.up), self._level(level, chunks, factor).chunks())
            factor *= 2
        return self._level(finest, chunks, factor)

    def _final(self, x: ChunkStore) -> Tensor:
        norm, convolution = self.decoder.final_block[0], cast(nn.Conv3d, self.decoder.final_block[2])
        volume = self._empty(convolution.out_channels, self.finest)
        chunks = self._convolve(convolution, x.normed(cast(nn.GroupNorm, norm), x.chunks()))
        for room, chunk in zip(volume.split(self.planes, dim=2), chunks, strict=True):
            room.copy_(chunk)
        self.on_progress(1.0)
        return volume

    def _empty(self, channels: int, factor: int) -> Tensor:
        """Memory for an activation whose axes are ``factor`` times those of the latent."""
        batch, _, *size = self.latent.shape
        return self.latent.new_empty(batch, channels, *(factor * edge for edge in size))

    def _middle(self) -> Iterator[Tensor]:
        """All at once: at the coarsest resolution that is little memory."""
        share = self.attention / self.total
        hidden = self.decoder.middle(self.latent, lambda done: self.on_progress(done * share), self.most_keys)
        self.done = self.attention
        return iter(hidden.split(self.planes, dim=2))

    def _level(self, level: DecoderLevel, chunks: Iterable[Tensor], factor: int) -> ChunkStore:
        """The level's output before the step to the next; its input is written to the same memory first."""
        width = level.res1.conv1.out_channels
        hidden, trunk = self._empty(width, factor), self._empty(width, factor)
        x = self._written(chunks, [hidden, trunk] if _changes_width(level.res1) else [trunk])
        for block in (level.res1, level.res2):
            x = self._written(self._residual(block, x, hidden, trunk), [trunk])
        return x

    def _written(self, chunks: Iterable[Tensor], parts: list[Tensor]) -> ChunkStore:
        store = ChunkStore(parts, self.planes, cast(nn.GroupNorm, self.decoder.final_block[0]).num_groups)
        store.write(chunks)
        return store

    def _residual(self, block: ResidualBlock, x: ChunkStore, hidden: Tensor, trunk: Tensor) -> Iterator[Tensor]:
        """The block's output; ``trunk`` may be overwritten with it chunk by chunk."""
        normed = x.normed(block.norm1, self._skipped(block, x, trunk))
        inner = self._written(self._convolve(block.conv1, normed), [hidden])
        branch = self._convolve(block.conv2, inner.normed(block.norm2, inner.chunks()))
        for skip, chunk in zip(trunk.split(self.planes, dim=2), branch, strict=True):
            yield chunk.add_(skip)

    def _skipped(self, block: ResidualBlock, x: ChunkStore, trunk: Tensor) -> Iterator[Tensor]:
        """The chunks of ``x``, once ``trunk`` holds what the skip connection adds."""
        for chunk, room in zip(x.chunks(), trunk.split(self.planes, dim=2), strict=True):
            if _changes_width(block):
                room.copy_(block.resConv(chunk))
            yield chunk

    def _convolve(self, convolution: nn.Conv3d, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """A 3 x 3 x 3 convolution; its padding along Z comes from the neighbours."""
        for padded in with_neighbours(chunks):
            yield functional.conv3d(padded, convolution.weight, convolution.bias, padding=(0, 1, 1))
            self._advance(convolution, padded[:, 0, 1:-1].numel())

    def _upsample(self, up: Upsampling, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """A transposed convolution, k4 s2 p1; each chunk becomes two."""
        convolution = up.conv_trans
        for padded in with_neighbours(chunks):
            # 3 = 1 + 2: the two planes at each end that the neighbour's plane alone would have made are cut.
            doubled = functional.conv_transpose3d(
                padded, convolution.weight, convolution.bias, stride=2, padding=(3, 1, 1)
            )
            yield from doubled.split(self.planes, dim=2)
            self._advance(convolution, padded[:, 0, 1:-1].numel())

    def _advance(self, convolution: nn.Conv3d | nn.ConvTranspose3d, inputs: int) -> None:
        self.done += inputs * convolution.weight.numel()
        self.on_progress(min(self.done / self.total, 1.0))


def _changes_width(block: ResidualBlock) -> bool:
    return isinstance(block.resConv, nn.Conv3d)


def _attention_work(latent: Tensor, middle_edge: int | None, most_keys: int | None) -> float:
    """Multiplications of the attention: every voxel with every voxel that it attends to, twice."""
    batch, voxels = latent.shape[0], latent[0, 0].numel()
    together = voxels if middle_edge is None else middle_edge**3
    return 2.0 * batch * voxels * (together // key_step(together, most_keys)) * HEADS * HEAD_WIDTH


def _convolution_work(levels: list[DecoderLevel], latent: Tensor) -> float:
    """Multiplications of the levels' convolutions, as ``_advance`` counts them (an up-sampling by its input)."""
    voxels = latent[:, 0].numel()
    streamed = (nn.Conv3d, nn.ConvTranspose3d)
    return float(
        sum(
            voxels * 8**number * sum(m.weight.numel() for m in level.modules() if isinstance(m, streamed))
            for number, level in enumerate(levels)
        )
    )
