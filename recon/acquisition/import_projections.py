"""From projections of another program to a sinogram that ``recon svct`` reconstructs, nothing else needed.

What is assumed on the way is among the sinogram's notices, one line each; nothing is guessed without being said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from physics.ct.geometry import FanBeam, Geometry, ImageGrid
from physics.ct.missing_rays import bridged
from physics.ct.protocol import load_protocol
from physics.ct.rings import without_rings
from recon.acquisition.import_grid import check_sees, image_grid, seen_beyond
from recon.acquisition.rotation_centre import centred, check_centre
from recon.errors import InputError, input_errors
from recon.io.checks import check_fits
from recon.io.projections.angles import AngleUnit, in_radians, read_angles
from recon.io.projections.arrays import Arrays
from recon.io.projections.axes import ordered
from recon.io.projections.doubts import check_line_integrals
from recon.io.projections.intensities import LineIntegrals, from_intensities, from_line_integrals
from recon.io.projections.read import arrays_of, read_frames, read_projections
from recon.io.projections.stored import Stored
from recon.io.sinogram import Sinogram, centred_affine
from recon.scan.measurement import Progress, no_progress

_WORKING_BYTES = 48
"""Memory to a ray on the way from counts to line integrals."""


@dataclass(frozen=True)
class ImportRequest:
    """What a user says of projections; None takes what the files say, or what the notices then state.

    Attributes:
        paths: one file, or several TIFF files, or a folder of these.
        geometry: preset or geometry file; may leave the angles out where the projections or ``angles`` have them.
        variable: name of the array in a file that holds several.
        axes: axes of the array: z (detector rows), v (views), c (cells), such as ``vzc``.
        angles: text file with the view angles, or the name of an array in the file of the projections.
        angle_unit: unit of these.
        flat: readings without an object: a file, a number, or the name of an array in the file of the projections.
        dark: readings without a beam, in the same way.
        minus_log: whether the data are counts or transmissions, of which the logarithm is taken.
        bin: number of cells that are binned to one.
        rows: first detector row and the one after the last.
        grid: (y, x) pixels of the image.
        pixel: their size, mm.
        slice_spacing: distance between detector rows at the isocentre, mm.
        rings: whether what single cells add to every view is taken off.
        centre: place of the axis of rotation on the detector, mm from its middle towards the last cell; ``auto`` finds
            it from the data; None believes the geometry's offset.
    """

    paths: tuple[Path, ...]
    geometry: str | None = None
    variable: str | None = None
    axes: str | None = None
    angles: str | None = None
    angle_unit: AngleUnit | None = None
    flat: str | None = None
    dark: str | None = None
    minus_log: bool | None = None
    bin: int = 1
    rows: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    pixel: float | None = None
    slice_spacing: float | None = None
    rings: bool = False
    centre: float | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("`files`: give the file with the projections")
        if self.bin < 1:
            raise InputError(f"`bin` {self.bin}: must be 1 or more cells")
        if self.rows is not None and not 0 <= self.rows[0] < self.rows[1]:
            raise InputError(f"`rows` {self.rows[0]}:{self.rows[1]}: must be FIRST:STOP, from 0, with STOP above FIRST")
        for name in ("pixel", "slice_spacing"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"`{name}` {value:g}: must be above 0 mm")
        if self.grid is not None and min(self.grid) < 1:
            raise InputError(f"`grid` {self.grid[0]},{self.grid[1]}: must be 1 pixel or more along each axis")


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
    geometry, notices = _geometry(request, stored, arrays)
    data, said = ordered(stored.data, request.axes or stored.axes, geometry.views, geometry.cells, stored.name)
    if data.dtype.kind not in "biuf":
        raise InputError(f"{stored.name}: holds {data.dtype}; real numbers are needed")
    if request.rows:
        data = _rows(data, request.rows, stored.rows_cut, stored.name)
    if data.shape[-1] < request.bin:
        raise InputError(f"`bin` {request.bin}: the detector has {data.shape[-1]} cells")
    found = _line_integrals(data, stored, request, arrays)
    explicit = request.minus_log is not None or stored.intensities is not None
    doubts = check_line_integrals(found.data, found.measured, explicit, stored.name)
    found = _without_rings(found) if request.rings else found
    geometry, placed = _placed(request, replace(geometry, cells=data.shape[-1]), found, progress)
    notices = (*stored.notices, *notices, *said, *found.notices, *doubts, *placed)
    return _sinogram(request, stored, found, geometry, notices)


def _without_rings(found: LineIntegrals) -> LineIntegrals:
    """Line integrals without what single cells add to every view."""
    with input_errors("`rings`"):
        clean = without_rings(_filled(found))
    return replace(
        found, data=np.where(found.measured, clean, np.float32(0)), meta=found.meta | {"rings_removed": True}
    )


def _filled(found: LineIntegrals) -> np.ndarray:
    """Line integrals with those interpolated that were not measured."""
    import torch

    return bridged(torch.from_numpy(found.data), torch.from_numpy(found.measured)).numpy()


def _placed(
    request: ImportRequest, geometry: Geometry, found: LineIntegrals, progress: Progress
) -> tuple[Geometry, tuple[str, ...]]:
    """The geometry of the binned cells with the axis of rotation where it is stated or found to be."""
    if request.centre is not None and request.centre != "auto":
        check_centre(request.centre, geometry)
        geometry = replace(geometry, offset=-request.centre)
    binned = _binned_geometry(geometry, request.bin)
    if request.centre != "auto":
        return binned, ()
    return centred(_filled(found)[len(found.data) // 2], binned, progress)


def _named_arrays(request: ImportRequest) -> Arrays | None:
    """The arrays beside the projections, where a parameter may name one of them."""
    named = (request.angles, request.flat, request.dark)
    return arrays_of(list(request.paths)) if any(value and not Path(value).exists() for value in named) else None


def _geometry(request: ImportRequest, stored: Stored, arrays: Arrays | None) -> tuple[Geometry, tuple[str, ...]]:
    """The geometry, its angles replaced by those that the user gives, and what was assumed."""
    own = _own_angles(request, stored)
    given = None if request.angles is None else _given_angles(request, arrays)
    if request.geometry is not None:
        with input_errors(f"`geometry` {request.geometry}"):
            geometry = load_protocol(request.geometry, given or own)
    elif stored.geometry is not None:
        geometry = stored.geometry
    else:
        raise InputError(f"`geometry`: {stored.name} does not state the scanner's; give a YAML file that does")
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


def _rows(data: np.ndarray, rows: tuple[int, int], cut: bool, name: str) -> np.ndarray:
    """The detector rows that are asked for, of (z, views, cells), or of what was read of them already (``cut``)."""
    start, stop = (0, rows[1] - rows[0]) if cut else rows
    if stop > len(data):
        raise InputError(f"`rows` {rows[0]}:{rows[1]}: {name} has {len(data) + rows[0] - start} detector rows")
    return data[start:stop]


def _line_integrals(data: np.ndarray, stored: Stored, request: ImportRequest, arrays: Arrays | None) -> LineIntegrals:
    """Line integrals of what was stored, by minus logarithm where it is intensities."""
    check_fits(request.paths[0], _WORKING_BYTES * data.size)
    flat = stored.flat if request.flat is None else read_frames(request.flat, "flat", arrays)
    dark = stored.dark if request.dark is None else read_frames(request.dark, "dark", arrays)
    logarithm = request.minus_log if request.minus_log is not None else (stored.intensities or flat is not None)
    if not logarithm:
        if request.flat is not None or request.dark is not None:
            raise InputError("`flat`, `dark`: are for counts, of which the logarithm is taken; give `minus_log`")
        return from_line_integrals(data, request.bin)
    size = (data.shape[0], data.shape[2])
    frames = None if flat is None else _frames(flat, size, request.rows, "flat")
    darks = None if dark is None else _frames(dark, size, request.rows, "dark")
    if frames is None:
        finite = data[np.isfinite(data)]
        if finite.size and float(np.quantile(finite, 0.99)) > 2:
            raise InputError(
                f"{stored.name}: counts up to {float(finite.max()):g} and no `flat` to divide them by; give a file of "
                "flats, or the number of counts without an object"
            )
    return from_intensities(data, frames, darks, stored.ceiling, request.bin, stored.name)


def _frames(values: np.ndarray, size: tuple[int, int], rows: tuple[int, int] | None, parameter: str) -> np.ndarray:
    """Flats or darks as (frames, z, cells)."""
    z, cells = size
    if values.ndim == 3 and rows is not None and values.shape[1] > z:
        values = values[:, rows[0] : rows[1]]
    if values.ndim == 2 and rows is not None and values.shape[0] > z and values.shape[1] == cells:
        values = values[rows[0] : rows[1]]
    if values.ndim == 0:
        return np.broadcast_to(values, (1, z, cells))
    if values.shape == (cells,) or values.shape == (z, cells):
        return np.broadcast_to(values, (1, z, cells))
    if values.ndim == 3 and values.shape[1:] == (z, cells):
        return values
    if values.ndim == 2 and z == 1 and values.shape[1] == cells:
        return values[:, None]
    raise InputError(
        f"`{parameter}`: shape {values.shape}; it must be (frames, rows, cells) or (rows, cells), with {z} rows of "
        f"{cells} cells"
    )


def _binned_geometry(geometry: Geometry, width: int) -> Geometry:
    """The geometry whose cells are ``width`` of the old ones; those that are left over at the end are dropped."""
    assert geometry.cells is not None
    cells = geometry.cells // width
    dropped = geometry.cells - cells * width
    shift = -dropped / 2 * geometry.pitch
    return replace(geometry, cells=cells, pitch=geometry.pitch * width, offset=geometry.offset + shift)


def _sinogram(
    request: ImportRequest, stored: Stored, found: LineIntegrals, geometry: Geometry, notices: tuple[str, ...]
) -> Sinogram:
    import torch

    shape, spacing, assumed = image_grid(
        geometry, len(found.data), request.grid, request.pixel, request.slice_spacing, request.bin
    )
    slice_grid = ImageGrid(shape[1:], spacing[1:])
    check_sees(geometry, slice_grid)
    beyond = seen_beyond(geometry, slice_grid, found.data, found.measured)
    several = (
        ("each detector row is taken for a fan beam of its own, which rows far from the middle of a cone beam are not",)
        if isinstance(geometry, FanBeam) and shape[0] > 1
        else ()
    )
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
        (*notices, *assumed, *several, *beyond),
        valid,
    )


def _meta(request: ImportRequest, stored: Stored, found: LineIntegrals) -> dict[str, Any]:
    facts: dict[str, Any] = {"simulated": False, "source": request.paths[0].name} | stored.meta | found.meta
    noise = facts.get("noise")
    if request.bin > 1:
        facts["bin"] = request.bin
        if isinstance(noise, dict) and "photons" in noise:  # of a sinogram of this suite: a wide cell counts more
            electronic = float(noise.get("electronic") or 0.0) * request.bin**0.5
            facts["noise"] = {"photons": float(noise["photons"]) * request.bin, "electronic": electronic}
    return facts
