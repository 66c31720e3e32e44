"""Filtered backprojection for parallel and flat-detector fan beams.

Fan beam: Kak & Slaney, Principles of Computerized Tomographic Imaging, section 3.4.2 (equispaced
detector): cosine weight, band-limited ramp filter, backprojection weighted with the squared distance to
the source. Views that measure a ray twice share it (Noo et al. 2002), so full circles, short scans and
limited angles need no case of their own.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from physics.ct.geometry import FanBeam, Geometry, ImageGrid

Window = Literal["ram-lak", "shepp-logan", "cosine", "hann"]
WINDOWS: tuple[Window, ...] = get_args(Window)

# A band's matrix and the slices' columns that it gathers from stay in the cache.
_BAND_BYTES = 32 * 2**20
_SLICES_AT_ONCE = 16
_FEATHER = math.radians(10.0)


def fbp(sinogram: Tensor, geometry: Geometry, grid: ImageGrid, window: Window = "ram-lak") -> Tensor:
    """Filtered backprojection of every slice.

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
    slices = sinogram.reshape(-1, *geometry.data_shape)
    filtered = filter_projections(slices * _ray_weights(geometry).to(slices), geometry, window)
    image = _backproject(filtered, geometry, grid)
    return image.reshape(*sinogram.shape[:-2], *grid.shape)


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
    """Ramp-filter the rows of (slices, views, cells), in the unit 1/mm at the isocentre."""
    cells = geometry.data_shape[1]
    pitch = geometry.pitch / _magnification(geometry)
    response = torch.from_numpy(ramp_response(cells, pitch, window)).to(sinogram)
    filtered = torch.empty_like(sinogram)
    for i in range(sinogram.shape[0]):  # a slice at a time: the padded spectra of a volume would be large
        spectrum = torch.fft.rfft(sinogram[i], n=padded_length(cells)) * response
        filtered[i] = torch.fft.irfft(spectrum, n=padded_length(cells))[..., :cells]
    return filtered


def view_weights(angles: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """Each view's share of the arc (radians), and (gaps, 2) arcs that no view covers.

    A gap between neighbouring views that is more than 5 times the median is a part that was not scanned
    (golden-angle gaps differ by 2.6 times at most); the views beside it get the inner gap only.
    """
    order = np.argsort(angles % period, kind="stable")
    turned = (angles % period)[order]
    gaps = np.diff(turned, append=turned[0] + period)
    missing = gaps > 5 * np.median(gaps) if len(angles) > 2 else np.zeros(len(angles), dtype=bool)
    after = np.where(missing, np.roll(gaps, 1), gaps)
    before = np.where(np.roll(missing, 1), gaps, np.roll(gaps, 1))
    weights = np.empty(len(angles))
    weights[order] = (after + before) / 2
    half = np.where(missing, np.roll(gaps, 1), 0.0) / 2
    wedges = np.stack([turned + half, turned + gaps - half], 1)[missing]
    return weights, wedges


def _ray_weights(geometry: Geometry) -> Tensor:
    """(views, cells) cosine weight × arc of the view × share among views that measure the same ray."""
    angles = np.asarray(geometry.angles)
    position = geometry.cell_positions()
    fan = np.arctan(position / geometry.source_detector) if isinstance(geometry, FanBeam) else np.zeros_like(position)
    # A fan beam needs the whole circle; a parallel beam repeats itself after half of it.
    arc, wedges = view_weights(angles, 2 * np.pi)
    conjugate = angles[:, None] + np.pi - 2 * fan[None, :]
    own, other = _coverage(angles, wedges)[:, None], _coverage(conjugate, wedges)
    share = own / (own + other)
    return torch.from_numpy(np.cos(fan) * arc[:, None] * share)


def _coverage(angles: np.ndarray, wedges: np.ndarray) -> np.ndarray:
    """c(β) of Noo et al. 2002: 1 inside the scanned arc, 0 outside, smooth near its ends."""
    inside = np.ones_like(angles)
    for start, end in wedges:
        depth = np.minimum((start - angles) % (2 * np.pi), (angles - end) % (2 * np.pi))
        outside = (angles - start) % (2 * np.pi) < end - start
        edge = np.sin(np.clip(depth / _FEATHER, 0, 1) * np.pi / 2) ** 2
        inside = inside * np.where(outside, 0.0, np.maximum(edge, 1e-6))
    return inside


def _backproject(filtered: Tensor, geometry: Geometry, grid: ImageGrid) -> Tensor:
    """Pixel-driven backprojection with linear interpolation, as one sparse product per band of image rows."""
    image = filtered.new_empty((filtered.shape[0], *grid.shape))
    columns = [part.flatten(1).t().contiguous() for part in filtered.split(_SLICES_AT_ONCE)]
    entry_bytes = 2 * (filtered.element_size() + 4)
    height = max(1, _BAND_BYTES // (grid.shape[1] * geometry.views * entry_bytes))
    for first in range(0, grid.shape[0], height):
        band = slice(first, min(first + height, grid.shape[0]))
        matrix = _interpolation_matrix(geometry, grid, band, filtered.dtype, filtered.device)
        for part, target in zip(columns, image.split(_SLICES_AT_ONCE), strict=True):
            target[:, band] = (matrix @ part).t().reshape(len(target), -1, grid.shape[1])
    return image


def _interpolation_matrix(
    geometry: Geometry, grid: ImageGrid, band: slice, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(pixels of the band, views · cells) CSR: a pixel reads two cells of each view; (D/U)² included."""
    cells = geometry.data_shape[1]
    y, x = (
        (torch.arange(n, dtype=dtype, device=device) - (n - 1) / 2) * step
        for n, step in zip(grid.shape, grid.spacing, strict=True)
    )
    y = y[band]
    beta = torch.tensor(geometry.angles, dtype=torch.float64, device=device)
    cos, sin = torch.cos(beta).to(dtype), torch.sin(beta).to(dtype)
    views = geometry.views
    cell = ((y[:, None] * sin)[:, None] + (x[:, None] * cos)[None]).view(-1, views)
    weight = torch.ones_like(cell)
    if isinstance(geometry, FanBeam):
        depth = ((y[:, None] * cos)[:, None] - (x[:, None] * sin)[None]).view(-1, views)
        inverse = depth.add_(geometry.source_isocentre).reciprocal_()
        weight = (inverse * geometry.source_isocentre).square_()
        cell.mul_(inverse).mul_(geometry.source_detector)
    cell.sub_(geometry.offset).div_(geometry.pitch).add_((cells - 1) / 2)
    weight.masked_fill_((cell < 0) | (cell > cells - 1), 0.0)
    lower = cell.floor().clamp_(0, max(cells - 2, 0))
    fraction = cell.sub_(lower)
    columns = torch.empty((*cell.shape, 2), dtype=torch.int32, device=device)
    columns[..., 0] = lower
    columns[..., 0] += cells * torch.arange(views, dtype=torch.int32, device=device)
    torch.add(columns[..., 0], min(1, cells - 1), out=columns[..., 1])
    values = torch.empty((*cell.shape, 2), dtype=dtype, device=device)
    torch.mul(weight, fraction, out=values[..., 1])
    torch.sub(weight, values[..., 1], out=values[..., 0])
    row_ends = torch.arange(0, columns.numel() + 1, 2 * views, dtype=torch.int32, device=device)
    size = (len(y) * len(x), cells * views)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(row_ends, columns.flatten(), values.flatten(), size=size, check_invariants=False)


def _magnification(geometry: Geometry) -> float:
    """Detector size over size at the isocentre."""
    return geometry.source_detector / geometry.source_isocentre if isinstance(geometry, FanBeam) else 1.0


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
