"""From projections of another program to a sinogram that ``recon svct`` reconstructs, nothing else needed.

What is assumed on the way is among the sinogram's notices, one line each; nothing is guessed without being said.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeViews
from physics.ct.geometry import FanBeam, Geometry, ImageGrid
from physics.ct.scan_geometry import ScanGeometry
from recon.acquisition.import_cone import check_cone_request, cone_grid, placed_cone, rows_binned
from recon.acquisition.import_geometry import placed_geometry, stated_geometry
from recon.acquisition.import_grid import check_sees, image_grid, seen_beyond
from recon.acquisition.import_request import ImportRequest
from recon.acquisition.import_values import chosen_rows, line_integrals, ring_free
from recon.errors import InputError
from recon.io.projections.arrays import Arrays
from recon.io.projections.axes import ordered
from recon.io.projections.doubts import check_line_integrals
from recon.io.projections.intensities import LineIntegrals
from recon.io.projections.read import arrays_of, read_projections
from recon.io.projections.stored import Stored
from recon.io.projections.unit_doubt import doubt_of_unit
from recon.io.sinogram import Sinogram, centred_affine
from recon.scan.measurement import Progress, no_progress


def import_projections(request: ImportRequest, progress: Progress = no_progress) -> Sinogram:
    """The sinogram of a request.

    Args:
        request: what the user says.
        progress: the callback that is told how far the search for the axis of rotation is.

    Raises:
        InputError: files that cannot be read, statements that do not fit them, or values of which no image can come.
    """
    rows = slice(*request.rows) if request.rows else slice(None)
    stored = read_projections(list(request.paths), request.variable, rows)
    arrays = _named_arrays(request)
    geometry, notices = stated_geometry(request, stored, arrays)
    data, said = ordered(stored.data, request.axes or stored.axes, geometry.views, geometry.cells, stored.name)
    if data.dtype.kind not in "biuf":
        raise InputError(f"{stored.name}: holds {data.dtype}; real numbers are needed")
    if isinstance(geometry, ConeBeam | ConeViews):
        check_cone_request(request)
    elif request.slices is not None:
        raise InputError("`slices`: is for cone beams; of other scans each detector row is a slice")
    if request.rows:
        data = chosen_rows(data, request.rows, stored.rows_cut, stored.name)
    if data.shape[-1] < request.bin:
        raise InputError(f"`bin` {request.bin}: the detector has {data.shape[-1]} cells")
    found = line_integrals(data, stored, request, arrays)
    explicit = request.minus_log is not None or stored.intensities is not None
    doubts = check_line_integrals(found.data, found.measured, explicit, stored.name)
    found = ring_free(found) if request.rings else found
    placed: tuple[str, ...]
    if isinstance(geometry, ConeBeam | ConeViews):
        if geometry.rows not in (None, len(data)):
            raise InputError(f"{stored.name}: {len(data)} detector rows, but the geometry has {geometry.rows}")
        found = rows_binned(found, request.bin)
        whole = replace(geometry, cells=data.shape[-1], rows=len(data))
        geometry, placed = placed_cone(request, whole, found, progress)
    else:
        geometry, placed = placed_geometry(request, replace(geometry, cells=data.shape[-1]), found, progress)
    doubts = (*doubts, *doubt_of_unit(found.data, found.measured, geometry))
    notices = (*stored.notices, *notices, *said, *found.notices, *doubts, *placed)
    return _sinogram(request, stored, found, geometry, notices)


def _named_arrays(request: ImportRequest) -> Arrays | None:
    """The arrays beside the projections, where a parameter may name one of them."""
    named = (request.angles, request.flat, request.dark)
    return arrays_of(list(request.paths)) if any(value and not Path(value).exists() for value in named) else None


def _sinogram(
    request: ImportRequest, stored: Stored, found: LineIntegrals, geometry: ScanGeometry, notices: tuple[str, ...]
) -> Sinogram:
    import torch

    if isinstance(geometry, ConeBeam | ConeViews):
        shape, spacing, said = cone_grid(geometry, request)
    else:
        shape, spacing, said = _slice_grid(request, found, geometry)
    valid = None
    if not found.measured.all():
        alike = bool((found.measured == found.measured[:1]).all())
        valid = torch.from_numpy(np.ascontiguousarray(found.measured[:1] if alike else found.measured))
    data = torch.from_numpy(np.where(found.measured, found.data, np.float32(0)))
    return Sinogram(
        data,
        geometry.to_dict(),
        shape,
        centred_affine(shape, spacing),
        _meta(request, stored, found),
        (*notices, *said),
        valid,
    )


def _slice_grid(
    request: ImportRequest, found: LineIntegrals, geometry: Geometry
) -> tuple[tuple[int, int, int], tuple[float, float, float], tuple[str, ...]]:
    """Shape and spacing of the image of a scan of single slices, what of them was assumed, and doubts."""
    shape, spacing, assumed = image_grid(
        geometry, len(found.data), request.grid, request.pixel, request.slice_spacing, request.bin
    )
    slice_grid = ImageGrid(shape[1:], spacing[1:])
    check_sees(geometry, slice_grid)
    beyond = seen_beyond(geometry, slice_grid, found.data, found.measured)
    several = (
        (
            "each detector row is taken for a fan beam of its own, which rows far from the middle of a cone beam are "
            "not; a geometry of the type cone reconstructs it as one",
        )
        if isinstance(geometry, FanBeam) and shape[0] > 1
        else ()
    )
    return shape, spacing, (*assumed, *several, *beyond)


def _meta(request: ImportRequest, stored: Stored, found: LineIntegrals) -> dict[str, Any]:
    facts: dict[str, Any] = {"simulated": False, "source": request.paths[0].name} | stored.meta | found.meta
    noise = facts.get("noise")
    if request.bin > 1:
        facts["bin"] = request.bin
        if isinstance(noise, dict) and "photons" in noise:  # of a sinogram of this suite: a wide cell counts more
            electronic = float(noise.get("electronic") or 0.0) * request.bin**0.5
            facts["noise"] = {"photons": float(noise["photons"]) * request.bin, "electronic": electronic}
    return facts
