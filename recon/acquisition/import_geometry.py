"""The geometry of imported projections: from the scanner's file, the angles, and the place of the axis of rotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from physics.ct.cone.views import ConeViews
from physics.ct.geometry import Geometry
from physics.ct.protocol import load_scan_protocol
from physics.ct.scan_geometry import ScanGeometry
from recon.acquisition.import_request import ImportRequest
from recon.acquisition.import_values import without_gaps
from recon.acquisition.rotation_centre import centred, check_centre
from recon.errors import InputError, input_errors
from recon.io.projections.angles import in_radians, read_angles
from recon.io.projections.arrays import Arrays
from recon.io.projections.intensities import LineIntegrals
from recon.io.projections.stored import Stored
from recon.scan.measurement import Progress


def stated_geometry(
    request: ImportRequest, stored: Stored, arrays: Arrays | None
) -> tuple[ScanGeometry, tuple[str, ...]]:
    """The geometry, its angles replaced by those that the user gives, and what was assumed."""
    if request.angle_unit and request.angles is None and not (stored.angles is not None and stored.angles_assumed):
        raise InputError(f"`angle_unit` {request.angle_unit}: no angles are read whose unit is open; leave it out")
    own = _own_angles(request, stored)
    given = None if request.angles is None else _given_angles(request, arrays)
    if request.geometry is not None:
        with input_errors(f"`geometry` {request.geometry}"):
            geometry: ScanGeometry = load_scan_protocol(request.geometry, given or own)
    elif stored.geometry is not None:
        geometry = stored.geometry
    else:
        raise InputError(f"`geometry`: {stored.name} does not state the scanner's; give a YAML file that does")
    if isinstance(geometry, ConeViews):
        if given is not None:
            raise InputError(
                f"`angles` {request.angles}: the views are given as vectors, which state them; leave it out"
            )
        return geometry, ()
    if given is not None:
        with input_errors(f"`angles` {request.angles}"):
            geometry = replace(geometry, angles=given)
    elif own is not None and len(own) == geometry.views and not np.allclose(own, geometry.angles, atol=1e-3):
        return geometry, ("the angles are those of the geometry file, which differ from those beside the data",)
    return geometry, ()


def _own_angles(request: ImportRequest, stored: Stored) -> tuple[float, ...] | None:
    """The view angles beside the data in radians, in the unit that the user states where the file does not."""
    if stored.angles is None:
        return None
    values = stored.angles
    if stored.angles_assumed and request.angles is None:
        values = in_radians(np.degrees(values), request.angle_unit, f"{stored.name}: its angles")
    return tuple(float(angle) for angle in values)


def _given_angles(request: ImportRequest, arrays: Arrays | None) -> tuple[float, ...]:
    assert request.angles is not None
    subject = f"`angles` {request.angles}"
    if Path(request.angles).exists():
        values = read_angles(Path(request.angles))
    elif arrays is not None:
        values = np.ravel(arrays.named(request.angles, "angles")).astype(float)
    else:
        raise InputError(f"{subject}: no such file")
    return tuple(float(angle) for angle in in_radians(values, request.angle_unit, subject))


def placed_geometry(
    request: ImportRequest, geometry: Geometry, found: LineIntegrals, progress: Progress
) -> tuple[Geometry, tuple[str, ...]]:
    """The geometry of the binned cells with the axis of rotation where it is stated or found to be."""
    if request.centre is not None and request.centre != "auto":
        check_centre(request.centre, geometry)
        geometry = replace(geometry, offset=-request.centre)
    binned = _binned_geometry(geometry, request.bin)
    if request.centre != "auto":
        return binned, ()
    return centred(without_gaps(found)[len(found.data) // 2], binned, progress)


def _binned_geometry(geometry: Geometry, width: int) -> Geometry:
    """The geometry whose cells are ``width`` of the old ones; those that are left over at the end are dropped."""
    assert geometry.cells is not None
    cells = geometry.cells // width
    dropped = geometry.cells - cells * width
    shift = -dropped / 2 * geometry.pitch
    return replace(geometry, cells=cells, pitch=geometry.pitch * width, offset=geometry.offset + shift)
