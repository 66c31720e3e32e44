"""Where the axis of rotation falls on the detector, found from the data themselves.

With a wrong offset no image explains all views, and the best one is blurred or doubled. So for a row of offsets the
smallest value of a total-variation problem is computed, of a coarse sinogram on a coarse grid, and the offset is where
a parabola through those values has its minimum. That asks nothing of the scan: half a turn of parallel views, a fan
beam's whole turn and a part of one are alike, and few views will do. Registration of opposite views is faster where
there are such (Donath et al. 2006, J Opt Soc Am A 23:1048, compare such criteria).

Over a short arc a wrong offset moves the image more than it spoils it. Where the values hardly differ, the offset is
said to be unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeViews
from physics.ct.field_of_view import magnification
from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.missing_rays import bridged
from physics.ct.projector import CTProjector
from physics.ct.scan_geometry import scan_geometry_from_dict
from recon.errors import InputError
from recon.io.sinogram import Sinogram
from recon.scan.measurement import Progress, RunContext, no_progress
from recon.solvers.krylov import cgls
from recon.solvers.tv import tv_reconstruct

_COARSE, _FINE = 48, 128
"""Cells to which the sinogram is binned, at most."""

_VIEWS = 60
"""Views that are looked at, at most, evenly taken."""

_SEARCHED = 0.12
"""Offsets up to this share of the detector's width to both sides of the stated one."""

_FINE_STEPS = tuple(step / 2 for step in range(-4, 5))
"""Offsets of the second pass, in coarse cells of that pass."""

_LEAST_CONTRAST, _NEAR = 0.05, 2
"""How much the values so many coarse cells beside the smallest must exceed it, relatively."""

_DEVIATION, _WEIGHT = 0.01, 60.0
"""Of the problem: deviation of the data over their largest value; λ over pixel size, at a largest value of 1."""

_START, _ITERATIONS = 5, 80

_BALANCE = 0.25
"""Size of the error of the first image, over the attenuation in it, to that of the dual variable."""


@dataclass(frozen=True)
class RotationCentre:
    """An estimate.

    Attributes:
        offset: shift of the detector along its axis, mm, as a geometry has it.
        contrast: how much the values near the smallest exceed it, relatively; large where the data tell it well.
    """

    offset: float
    contrast: float


def find_offset(sinogram: Tensor, geometry: Geometry, progress: Progress = no_progress) -> RotationCentre:
    """The detector's offset that lets one image explain all views best.

    Args:
        sinogram: (views, cells) line integrals of a slice, all of them measured or filled in.
        geometry: geometry of the scan, whose offset the search begins with.
        progress: the callback that is told how far the search is.

    Raises:
        ValueError: no offset of the search explains the data better than the others.
    """
    step = max(1, geometry.views // _VIEWS)
    sinogram, geometry = sinogram[::step], replace(geometry, angles=geometry.angles[::step])
    coarse, coarse_geometry = _binned(sinogram, geometry, _COARSE)
    assert coarse_geometry.cells is not None
    reach = max(3, math.floor(_SEARCHED * coarse_geometry.cells))
    steps = [float(k) for k in range(-reach, reach + 1)]
    report = RunContext(progress=progress).report
    total = len(steps) + len(_FINE_STEPS)
    values = []
    for number, k in enumerate(steps):
        report("centre of rotation", number, total)
        values.append(_best_value(coarse, coarse_geometry, k, reach))
    best = int(np.argmin(values))
    beside = [values[k] for k in (best - _NEAR, best + _NEAR) if 0 <= k < len(values)]
    contrast = min(beside) / values[best] - 1
    if contrast < _LEAST_CONTRAST or len(beside) < 2:
        raise ValueError("the data do not tell where the axis of rotation is; state it in mm")
    first = geometry.offset + steps[best] * coarse_geometry.pitch
    fine, fine_geometry = _binned(sinogram, replace(geometry, offset=first), _FINE)
    found = []
    for number, k in enumerate(_FINE_STEPS):
        report("centre of rotation", len(steps) + number, total)
        found.append(_best_value(fine, fine_geometry, k, max(_FINE_STEPS)))
    report("centre of rotation", total, total)
    return RotationCentre(first + _minimum(_FINE_STEPS, found) * fine_geometry.pitch, contrast)


def centred(
    views: np.ndarray, geometry: Geometry, progress: Progress = no_progress
) -> tuple[Geometry, tuple[str, ...]]:
    """The geometry with the axis of rotation where the data have it, and a notice that says where.

    Args:
        views: (views, cells) line integrals of a slice, all of them measured or filled in.
        geometry: geometry of the scan, whose offset the search begins with.
        progress: the callback that is told how far the search is.

    Raises:
        InputError: the data do not tell it.
    """
    try:
        offset = find_offset(torch.from_numpy(views), geometry, progress).offset
    except ValueError as error:
        raise InputError(f"`centre` auto: {error}") from error
    return replace(geometry, offset=offset), (_said(offset, geometry, "found from the data"),)


def with_centre(sinogram: Sinogram, centre: float | Literal["auto"], progress: Progress = no_progress) -> Sinogram:
    """A sinogram whose geometry has the axis of rotation in its place, and says so.

    Args:
        sinogram: the sinogram; its middle slice is looked at.
        centre: place of the axis of rotation on the detector, mm from its middle towards the last cell; ``auto`` finds
            it.
        progress: the callback that is told how far the search is.

    Raises:
        InputError: the data do not tell it, or a place that is not on the detector.
    """
    geometry = scan_geometry_from_dict(sinogram.geometry)
    if isinstance(geometry, ConeViews):
        raise InputError("`centre`: the views are given as vectors, which state it; leave it out")
    flat = geometry.middle() if isinstance(geometry, ConeBeam) else geometry
    if centre == "auto":
        data = sinogram.data if sinogram.valid is None else bridged(sinogram.data, sinogram.valid)
        flat, said = centred(data[len(data) // 2].numpy(), flat, progress)
    else:
        check_centre(centre, flat)
        flat = replace(flat, offset=-centre)
        said = (_said(-centre, flat, "as stated"),)
    geometry = replace(geometry, offset=flat.offset)
    return replace(sinogram, geometry=geometry.to_dict(), notices=(*sinogram.notices, *said))


def _said(offset: float, geometry: Geometry, how: str) -> str:
    return (
        f"the axis of rotation falls {-offset:.4g} mm ({-offset / geometry.pitch:.2f} cells) from the detector's "
        f"middle, {how}"
    )


def parse_centre(text: str) -> float | Literal["auto"]:
    """``auto``, or a number of mm; :class:`InputError` for other texts."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"`centre` {text}: must be auto or a number of mm") from None


def check_centre(centre: float, geometry: Geometry) -> None:
    """:class:`InputError` unless the axis of rotation falls on the detector."""
    width = geometry.data_shape[1] * geometry.pitch
    if not abs(centre) <= width / 2:
        raise InputError(f"`centre` {centre:.4g}: not on the detector, which is {width:.4g} mm wide around 0")


def _binned(sinogram: Tensor, geometry: Geometry, most: int) -> tuple[Tensor, Geometry]:
    """Cells binned to ``most`` at most; what is left over at the end is dropped."""
    cells = geometry.data_shape[1]
    width = math.ceil(cells / most)
    kept = cells // width
    mean = sinogram[:, : kept * width].reshape(len(sinogram), kept, width).mean(-1)
    shift = -(cells - kept * width) / 2 * geometry.pitch
    return mean, replace(geometry, cells=kept, pitch=geometry.pitch * width, offset=geometry.offset + shift)


def _best_value(sinogram: Tensor, geometry: Geometry, step: float, reach: float) -> float:
    """The smallest value of ½‖(Ax − y)/σ‖² + λ TV(x) over x ≥ 0, the detector moved by ``step`` cells."""
    moved = replace(geometry, offset=geometry.offset + step * geometry.pitch)
    pixel = geometry.pitch / magnification(geometry)
    # The same grid for all offsets, or the grid's size and not the offset would decide.
    farthest = float(np.abs(geometry.cell_positions()).max()) / geometry.pitch
    side = 2 * math.ceil(farthest + reach + 0.5)
    operator = CTProjector(moved, ImageGrid((side, side), (pixel, pixel)))
    y = sinogram[None]
    peak = float(y.abs().max()) or 1.0
    sigma, weight = _DEVIATION * peak, _WEIGHT * pixel / peak
    start = cgls(operator, y, _START).clamp_min_(0)
    level = float(start.square().sum()) / (float(start.sum()) or 1.0)
    image = tv_reconstruct(operator, y, sigma, weight, (1.0, 1.0, 1.0), start, _BALANCE * level, _ITERATIONS)[0]
    variation = torch.hypot(image[1:, :-1] - image[:-1, :-1], image[:-1, 1:] - image[:-1, :-1]).sum()
    misfit = ((operator(image[None]) - y) / sigma).square().sum() / 2
    return float(misfit + weight * variation)


def _minimum(places: tuple[float, ...], values: list[float]) -> float:
    """The place of the minimum of a parabola through values, within the places."""
    curve, slope, _ = np.polyfit(places, values, 2)
    if curve <= 0:
        return places[int(np.argmin(values))]
    return float(np.clip(-slope / (2 * curve), places[0], places[-1]))
