"""The power spectrum of volumes by radius, in bands that are told by the Nyquist frequency of a coarser grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Band:
    """The power of an image in a band of frequencies, beside that of a reference.

    Attributes:
        low, high: the ends of the band, in units of the coarse grid's Nyquist frequency.
        share: the power of the image as a share of the reference's.
        agreement: the correlation of the image with the reference in the band, from -1 to 1: what is right of that
            power, where noise or invented structure has 0.
    """

    low: float
    high: float
    share: float
    agreement: float


def bands(reference: Tensor, image: Tensor, cells: Sequence[float], edges: Sequence[float]) -> list[Band]:
    """The power of an image in bands of radial frequency.

    Both are multiplied by a Hann window first, whose mean they have lost, so that their ends are no edges.

    Args:
        reference: (Z, X, Y).
        image: (Z, X, Y).
        cells: the edges (z, x, y) of their voxels, in voxels of the coarse grid. An axis with voxels no finer than
            the coarse grid's has no frequencies above its Nyquist frequency.
        edges: the ends of the bands, rising, in units of the coarse grid's Nyquist frequency along each axis; the
            radius is that of the ellipsoid through these.

    Returns:
        The bands in which the reference has frequencies.
    """
    spectra = [torch.fft.rfftn(_windowed(each)) for each in (reference, image)]
    radius = _radius(reference.shape, cells)
    found = []
    for low, high in pairwise(edges):
        inside = (radius >= low) & (radius < high)
        if not bool(inside.any()):
            continue
        own, other = (spectrum[inside] for spectrum in spectra)
        known, power = (float(each.abs().square().sum()) for each in (own, other))
        both = float((own.conj() * other).real.sum())
        found.append(Band(low, high, power / max(known, 1e-30), both / max((known * power) ** 0.5, 1e-30)))
    return found


def _windowed(image: Tensor) -> Tensor:
    centred = image.double() - image.double().mean()
    for axis, size in enumerate(image.shape):
        if size > 1:
            hann = torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]
            centred = centred * hann.view(-1, *[1] * (image.dim() - 1 - axis))
    return centred


def _radius(shape: Sequence[int], cells: Sequence[float]) -> Tensor:
    """The radial frequency of each coefficient of ``rfftn``, in units of the coarse grid's Nyquist frequency."""
    *outer, last = zip(shape, cells, strict=True)
    axes = [2 * torch.fft.fftfreq(size, cell, dtype=torch.float64) for size, cell in outer]
    axes.append(2 * torch.fft.rfftfreq(last[0], last[1], dtype=torch.float64))
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([each.square() for each in grids]).sum(0).sqrt()
