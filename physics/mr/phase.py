"""The phase of MR images: smooth, from field inhomogeneity and the coil, and unknown."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_NODES = 4

SMOOTHING = 1.5
"""Standard deviation of the Gaussian that an image's phase is taken through, in pixels: wide enough that noise and
aliasing average out, narrow enough for the phase to follow; chosen on validation scans with drawn phases."""


def smooth_phase(shape: tuple[int, int, int], largest: float, generator: torch.Generator) -> Tensor:
    """A random phase map that varies over about a quarter of each axis.

    Args:
        shape: (z, y, x).
        largest: radians that its absolute value reaches.
        generator: the random generator, on the CPU.

    Returns:
        (z, y, x) float32.
    """
    nodes = torch.randn(1, 1, *(min(_NODES, size) for size in shape), generator=generator)
    smooth = functional.interpolate(nodes, shape, mode="trilinear", align_corners=True)[0, 0]
    return smooth * (largest / smooth.abs().max().clamp_min(1e-6))


def smoothed_phase(image: Tensor, width: float = SMOOTHING) -> Tensor:
    """The phase of a complex image without what of it is noise: that of the image, smoothed slice by slice.

    Args:
        image: (z, y, x), complex.
        width: standard deviation of the Gaussian, in pixels.

    Returns:
        (z, y, x) complex numbers of magnitude 1; 1 where the image is zero.
    """
    rows, columns = (torch.fft.fftfreq(size, device=image.device) for size in image.shape[-2:])
    gaussian = torch.exp(-2 * (math.pi * width) ** 2 * (rows[:, None].square() + columns.square()))
    smooth = torch.fft.ifft2(torch.fft.fft2(image) * gaussian)
    return torch.polar(torch.ones_like(smooth.real), smooth.angle())
