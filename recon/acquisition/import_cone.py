"""Imported projections of a cone beam: the place of the axis, binned cells and rows, and the grid that they see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.grid import VolumeGrid
from physics.ct.cone.views import ConeGeometry, ConeViews
from physics.ct.field_of_view import seen_radius
from recon.acquisition.import_request import ImportRequest
from recon.acquisition.import_values import without_gaps
from recon.acquisition.rotation_centre import centred, check_centre
from recon.errors import InputError, input_errors
from recon.io.projections.intensities import LineIntegrals
from recon.scan.measurement import Progress

_LEAST_MEASURED = 0.5
"""Share of the rows of a bin that must have been measured for the bin to count."""


def check_cone_request(request: ImportRequest) -> None:
    """:class:`InputError` for what only scans of single slices can have."""
    if request.rows is not None:
        raise InputError("`rows`: a cone beam needs all of its detector rows; leave it out")


def placed_cone(
    request: ImportRequest, geometry: ConeGeometry, found: LineIntegrals, progress: Progress
) -> tuple[ConeGeometry, tuple[str, ...]]:
    """The geometry of the binned cells and rows with the axis of rotation where it is stated or found to be.

    Args:
        request: what the user says.
        geometry: the geometry before binning, its rows and cells decided.
        found: the binned line integrals; the row next to the midplane tells where the axis is.
        progress: the callback that is told how far the search for the axis is.
    """
    if isinstance(geometry, ConeViews):
        if request.centre is not None:
            raise InputError("`centre`: the views are given as vectors, which state it; leave it out")
        return _binned_views(geometry, request.bin), ()
    if request.centre is not None and request.centre != "auto":
        check_centre(request.centre, geometry.middle())
        geometry = replace(geometry, offset=-request.centre)
    binned = _binned_beam(geometry, request.bin)
    if request.centre != "auto":
        return binned, ()
    rows = binned.scan_shape[0]
    middle = round(float(np.clip((rows - 1) / 2 - binned.row_offset / binned.row_pitch, 0, rows - 1)))
    flat, said = centred(without_gaps(found)[middle], binned.middle(), progress)
    return replace(binned, offset=flat.offset), said


def rows_binned(found: LineIntegrals, width: int) -> LineIntegrals:
    """Line integrals with so many rows averaged to one; rows that are left over at the end are dropped."""
    if width == 1:
        return found
    rows = len(found.data) // width
    if rows < 1:
        raise InputError(f"`bin` {width}: the detector has {len(found.data)} rows")
    shape = (rows, width, *found.data.shape[1:])
    data, seen = (each[: rows * width].reshape(shape) for each in (found.data, found.measured))
    count = seen.sum(1)
    mean = np.where(seen, data, 0).sum(1) / np.maximum(count, 1)
    return replace(found, data=mean.astype(np.float32), measured=count >= _LEAST_MEASURED * width)


def _binned_beam(geometry: ConeBeam, width: int) -> ConeBeam:
    rows, _, cells = geometry.scan_shape
    dropped = cells % width, rows % width
    return replace(
        geometry,
        cells=cells // width,
        rows=rows // width,
        pitch=geometry.pitch * width,
        row_pitch=geometry.row_pitch * width,
        offset=geometry.offset - dropped[0] / 2 * geometry.pitch,
        row_offset=geometry.row_offset - dropped[1] / 2 * geometry.row_pitch,
    )


def _binned_views(geometry: ConeViews, width: int) -> ConeViews:
    facts = np.array(geometry.vectors, float).reshape(-1, 4, 3)
    facts[:, 1] -= geometry.cells % width / 2 * facts[:, 2] + geometry.rows % width / 2 * facts[:, 3]
    facts[:, 2:] *= width
    vectors = tuple(tuple(float(each) for each in view.ravel()) for view in facts)
    return ConeViews(vectors, geometry.cells // width, geometry.rows // width)


def cone_grid(
    geometry: ConeGeometry, request: ImportRequest
) -> tuple[tuple[int, int, int], tuple[float, float, float], tuple[str, ...]]:
    """Shape and spacing in mm (z, y, x) of the volume, and what of them was assumed.

    By default, voxels are cubes as wide as a cell at the axis of rotation, as many as the detector sees there.

    Raises:
        InputError: a geometry that does not fit the grid.
    """
    rows, _, cells = geometry.scan_shape
    cell, row = geometry.pitch / geometry.magnification, geometry.row_pitch / geometry.magnification
    width = cell * cells
    if isinstance(geometry, ConeBeam):
        width = 2 * seen_radius(geometry.middle()) or width
    pixel = request.pixel or (width / max(request.grid) if request.grid else cell)
    side = max(1, round(width / pixel))
    y, x = request.grid or (side, side)
    thickness = request.slice_spacing or pixel
    slices = request.slices or max(1, round((row * rows + _travel(geometry)) / thickness))
    notices = []
    if request.pixel is None:
        notices.append(f"pixels of {pixel:.5g} mm" + (", a cell at the axis of rotation" if not request.grid else ""))
    if request.grid is None:
        notices.append(f"slices of {y} x {x} pixels, which the scanner sees")
    if request.slice_spacing is None:
        notices.append(f"slices {thickness:.5g} mm apart, as wide as pixels")
    if request.slices is None:
        notices.append(f"{slices} slices, which the detector sees at the axis of rotation")
    shape, spacing = (slices, y, x), (thickness, pixel, pixel)
    with input_errors("the geometry does not fit the grid"):
        geometry.covering(VolumeGrid(shape, spacing))
    return shape, spacing, tuple(notices)


def _travel(geometry: ConeGeometry) -> float:
    """Way of the source along the axis, mm."""
    heights = geometry.rays().sources[:, 2]
    return float(heights.max() - heights.min())
