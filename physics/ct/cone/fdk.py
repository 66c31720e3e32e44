"""The reconstruction of Feldkamp, Davis and Kress (1984, J Opt Soc Am A 1:612), for circles, arcs and helices.

Each view is weighted with the cosine of its rays' angle to the central ray, ramp-filtered along its rows, and
backprojected with the squared distance to the source. Which rays of a short scan or of a detector that is shifted
sideways count how much is taken from the fan beam in the midplane (:mod:`physics.ct.redundancy`: Parker's and Wang's
weights in a smooth form), where it is exact; the farther from the midplane, the less.

**Helices** are reconstructed in the same way, each slice from the views of about one turn around it (Wang et al. 1993,
IEEE Trans Med Imaging 12:486). A view counts for slices up to half a turn's feed away, with soft ends; views of the
same direction from neighbouring turns count to a sum of one. Rows beyond the detector's ends are taken to be as its
last ones. This is approximate: cone angles are treated as if the source moved on a circle. Slices within half a feed of
the ends of the helix lack views.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from physics.ct.cone.flat_views import FlatScan, flat_scan
from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.views import ConeGeometry
from physics.ct.fbp import Window, padded_length, ramp_response
from physics.ct.redundancy import missing_cells, ray_weights
from physics.ct.view_weights import view_weights

_BLOCK_BYTES = 16 * 2**20
"""Filtered views that are backprojected at once: they stay in the cache while the volume goes by."""

_SOFT = 0.1
"""Share of a turn's feed over which a view's weight for slices of a helix falls to zero."""


def fdk(data: Tensor, geometry: ConeGeometry, grid: VolumeGrid, window: str = "ram-lak") -> Tensor:
    """Reconstruct a volume; computed on the CPU and without gradients, whatever the device of the data.

    Args:
        data: (rows, views, cells) line integrals, dimensionless.
        geometry: the scanner's geometry, its rows and cells decided.
        grid: voxels of the volume.
        window: apodisation of the ramp filter, one of :data:`physics.ct.fbp.WINDOWS`.

    Returns:
        (z, y, x) attenuation in 1/mm.

    Raises:
        ValueError: unknown window, data that are not of this geometry, or views that surround no axis.
    """
    if tuple(data.shape) != geometry.scan_shape:
        raise ValueError(f"the data are {tuple(data.shape)}, the geometry {geometry.scan_shape} (rows, views, cells)")
    scan = flat_scan(geometry)
    beam, more = scan.beam, missing_cells(scan.beam.middle(), grid.slice_grid)
    weights = _ray_weights(beam, grid)
    beam = _widened(beam, more)
    response = ramp_response(beam.data_shape[1], beam.pitch / beam.magnification, cast(Window, window))
    seen, volume = data.detach().cpu(), torch.zeros((*grid.shape[1:], grid.shape[0]), dtype=data.dtype)
    slices = torch.from_numpy(slice_weights(scan, grid)).to(volume)
    size = beam.scan_shape[0] * padded_length(beam.data_shape[1]) * data.element_size()
    step = max(1, _BLOCK_BYTES // size)
    for first in range(0, beam.views, step):
        part = slice(first, min(first + step, beam.views))
        views = scan.views(seen, part) * _cosines(scan.beam, volume)
        views = views * torch.from_numpy(weights[part, None]).to(volume)
        filtered = _filtered(pad(views, more), torch.from_numpy(response).to(volume))
        _backproject(filtered, scan, beam, part, grid, slices[part], volume)
    return volume.permute(2, 0, 1).contiguous().to(data.device)


def _widened(beam: ConeBeam, more: tuple[int, int]) -> ConeBeam:
    """The detector with cells added before and after its own."""
    before, after = more
    return replace(
        beam, cells=beam.data_shape[1] + before + after, offset=beam.offset + (after - before) * beam.pitch / 2
    )


def _ray_weights(beam: ConeBeam, grid: VolumeGrid) -> np.ndarray:
    """(views, cells) cosine of the fan angle × arc of the view in radians × share among rays of the same line.

    On a helix, a view stands for the arc to its neighbours in its own turn.
    """
    weights = ray_weights(beam.middle(), grid.slice_grid)
    if not beam.helical:
        return weights
    angles = np.asarray(beam.angles)
    arcs = np.abs(np.gradient(angles)) if len(angles) > 1 else np.ones(1)
    return weights * (arcs / view_weights(angles, 2 * np.pi)[0])[:, None]


def slice_weights(scan: FlatScan, grid: VolumeGrid) -> np.ndarray:
    """(views, z) what each view counts for each slice: 1 on a circle, the window of the module's docstring on a
    helix."""
    beam = scan.beam
    if not beam.helical:
        return np.ones((beam.views, grid.shape[0]))
    z = (np.arange(grid.shape[0]) - (grid.shape[0] - 1) / 2) * grid.spacing[0]
    angles = np.asarray(beam.angles)
    away = (z - scan.heights[:, None]) / abs(beam.feed)
    whole = np.zeros_like(away)
    turns = math.ceil((angles.max() - angles.min()) / (2 * np.pi))
    sense = 1 if beam.feed > 0 else -1
    for turn in range(-turns, turns + 1):
        other = angles + turn * 2 * np.pi
        there = (other >= angles.min() - 1e-9) & (other <= angles.max() + 1e-9)
        whole += there[:, None] * _soft_window(away - sense * turn)
    own = _soft_window(away)
    return np.where(own > 0, own / np.maximum(whole, 1e-12), 0.0)


def _soft_window(away: np.ndarray) -> np.ndarray:
    """1 up to half a feed away, with soft ends."""
    return np.cos(np.clip((np.abs(away) - 0.5 + _SOFT / 2) / _SOFT, 0, 1) * np.pi / 2) ** 2


def _cosines(beam: ConeBeam, like: Tensor) -> Tensor:
    """(rows, cells) cosine of each ray's angle to the midplane, which the fan's weights lack."""
    rows = beam.scan_shape[0]
    v = (np.arange(rows) - (rows - 1) / 2) * beam.row_pitch + beam.row_offset
    square = beam.source_detector**2 + beam.cell_positions() ** 2
    return torch.from_numpy(np.sqrt(square / (square + v[:, None] ** 2))).to(like)


def _filtered(views: Tensor, response: Tensor) -> Tensor:
    """Ramp-filtered views (views, rows, cells), as (views, cells, rows)."""
    cells = views.shape[-1]
    length = padded_length(cells)
    spectrum = torch.fft.rfft(views, n=length) * response
    return torch.fft.irfft(spectrum, n=length)[..., :cells].transpose(1, 2).contiguous()


def _backproject(
    filtered: Tensor, scan: FlatScan, beam: ConeBeam, part: slice, grid: VolumeGrid, slices: Tensor, volume: Tensor
) -> None:
    """Add filtered views (views, cells, rows) to the volume (y, x, z)."""
    from physics.compiled import in_threads
    from physics.ct.cone.fdk_kernels import backproject

    z, y, x = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip(grid.shape, grid.spacing, strict=True))
    angles = np.asarray(beam.angles[part])
    first_row = beam.row_offset - (beam.scan_shape[0] - 1) / 2 * beam.row_pitch
    cell0 = float(beam.cell_positions()[0])
    facts = np.array([beam.source_detector, cell0, beam.pitch, first_row, beam.row_pitch])
    motion = np.cos(angles), np.sin(angles), scan.radius[part], scan.heights[part]
    height = np.array([z[0], grid.spacing[0]])
    data, window, target = filtered.numpy(), slices.numpy(), volume.numpy()

    def work(first: int, last: int) -> None:
        backproject(data, *motion, facts, y, x, height, beam.helical, window, target, first, last)

    in_threads(work, len(y))
