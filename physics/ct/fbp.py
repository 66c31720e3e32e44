"""Filtered backprojection for parallel and flat-detector fan beams.

Fan beam: Kak & Slaney, Principles of Computerized Tomographic Imaging, section 3.4.2 (equispaced detector): cosine
weight, band-limited ramp filter, backprojection weighted with the squared distance to the source. How much each ray
counts is in :mod:`physics.ct.redundancy`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from physics.ct.backprojection import Backprojection
from physics.ct.field_of_view import magnification
from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.redundancy import missing_cells, ray_weights

Window = Literal["ram-lak", "shepp-logan", "cosine", "hann"]
WINDOWS: tuple[Window, ...] = get_args(Window)

_FILTERED_BYTES = 16 * 2**20
"""Projections that are filtered at once: the padded spectra of a volume would be large."""


def fbp(sinogram: Tensor, geometry: Geometry, grid: ImageGrid, window: Window = "ram-lak") -> Tensor:
    """Filtered backprojection of every slice, linear in the sinogram and differentiable.

    Args:
        sinogram: (..., views, cells) line integrals, dimensionless.
        geometry: the scanner's geometry, its number of cells decided.
        grid: pixels of the image.
        window: apodisation of the ramp filter.

    Returns:
        (..., y, x) attenuation in 1/mm.

    Raises:
        ValueError: unknown window, or a sinogram that is not of this geometry.
    """
    if tuple(sinogram.shape[-2:]) != geometry.data_shape:
        raise ValueError(f"the sinogram is {tuple(sinogram.shape[-2:])}, the geometry {geometry.data_shape}")
    weighted = sinogram * torch.from_numpy(ray_weights(geometry, grid)).to(sinogram)
    before, after = missing_cells(geometry, grid)
    if before or after:
        weighted = pad(weighted, (before, after))
        offset = geometry.offset + (after - before) * geometry.pitch / 2
        geometry = replace(geometry, cells=weighted.shape[-1], offset=offset)
    filtered = filter_projections(weighted, geometry, window)
    return Backprojection(geometry, grid, sinogram.dtype, sinogram.device)(filtered)


def ramp_response(cells: int, pitch: float, window: Window = "ram-lak") -> np.ndarray:
    """Frequency response of the band-limited ramp times a window, for a real FFT of :func:`padded_length` samples.

    The ramp is the transform of its exact spatial kernel, 1/(4 pitch²) at 0 and −1/(π n pitch)² at odd n
    (Kak & Slaney, eq. 3-61): sampling |f| itself would lose the mean and shift HU.

    Raises:
        ValueError: unknown window.
    """
    length = padded_length(cells)
    n = np.minimum(np.arange(length), length - np.arange(length))
    kernel = np.zeros(length)
    kernel[0] = 1 / (4 * pitch**2)
    odd = n % 2 == 1
    kernel[odd] = -1 / (np.pi * n[odd] * pitch) ** 2
    return np.fft.rfft(kernel).real * pitch * _apodisation(np.fft.rfftfreq(length), window)


def padded_length(cells: int) -> int:
    """Power of two that is at least twice ``cells``, so that the circular convolution is a linear one."""
    return int(2 ** math.ceil(math.log2(max(2 * cells, 2))))


def filter_projections(sinogram: Tensor, geometry: Geometry, window: Window) -> Tensor:
    """Ramp-filter the rows of (..., views, cells), in the unit 1/mm at the isocentre."""
    cells = geometry.data_shape[1]
    length = padded_length(cells)
    response = torch.from_numpy(ramp_response(cells, geometry.pitch / magnification(geometry), window)).to(sinogram)
    rows = sinogram.reshape(-1, cells)
    at_once = max(1, _FILTERED_BYTES // (length * sinogram.element_size()))
    parts = [
        torch.fft.irfft(torch.fft.rfft(part, n=length) * response, n=length)[..., :cells]
        for part in rows.split(at_once)
    ]
    return torch.cat(parts).reshape(sinogram.shape)


def _apodisation(frequency: np.ndarray, window: Window) -> np.ndarray:
    """The window over frequencies in cycles per sample (Nyquist 0.5)."""
    if window == "ram-lak":
        return np.ones_like(frequency)
    if window == "shepp-logan":
        return np.sinc(frequency)
    if window == "cosine":
        return np.cos(np.pi * frequency)
    if window == "hann":
        return 0.5 * (1 + np.cos(2 * np.pi * frequency))
    raise ValueError(f"the window must be one of {', '.join(WINDOWS)}, not {window!r}")
