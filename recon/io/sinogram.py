"""Sinograms with their geometry in HDF5.

Layout, version 2. The end of a key is its unit; a length may also end in ``_um``, ``_cm`` or ``_m``.

* dataset ``sinogram``: (z, views, cells), or (views, cells) of a single slice; line integrals of attenuation, which
  have no unit. NaN is a ray that was not measured.
* dataset ``valid``, where there are such rays: (views, cells) or (z, views, cells), 1 for rays that were measured.
* attribute ``format``: "recon-sinogram"; ``version``: 2.
* attribute ``geometry``: JSON with the entries of a geometry file (:mod:`physics.ct.protocol`).
* attributes ``shape`` and ``spacing_mm``: (z, y, x) voxels of the volume to reconstruct, and their size.
* attribute ``affine_mm``, if the volume has a place in the room: (4, 4), voxel (x, y, z) to RAS+. Without it, the
  volume lies around the isocentre.
* of a cone beam (:mod:`physics.ct.cone.protocol`), z are the detector's rows, of which there may be any number.
* attribute ``meta``, if anything else is known: JSON, with ``noise`` such as ``{"photons": 1e5, "electronic": 0}``.

Version 1 had the geometry as ``Geometry.to_dict`` writes it, in mm and radians, and ``spacing`` and ``affine`` in mm.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.errors import InputError, input_errors
from recon.io.checks import check_values
from recon.io.hdf5 import create_hdf5, open_hdf5, read_affine, read_dataset, read_json
from recon.io.orientation import check_affine, spacing_of
from recon.io.projections.doubts import check_line_integrals
from recon.scan.volume import shape_text

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, VERSION = "recon-sinogram", 2

_PITCH = (1e-4, 1e3)
"""Plausible distances of detector cells, mm."""

_MOST_TURNS = 10
"""Of a helical or golden-angle scan that does not count angles from 0 again."""


@dataclass(frozen=True, repr=False)
class Sinogram:
    """Measured or simulated projections and the grid to reconstruct them on.

    Attributes:
        data: (z, views, cells) float32 line integrals of attenuation, 0 where nothing was measured; of a cone beam,
            (rows, views, cells).
        geometry: plain values from which ``physics.ct.scan_geometry.scan_geometry_from_dict`` makes the geometry.
        shape: (z, y, x) of the volume.
        affine: (4, 4) affine of the volume, voxel (x, y, z) to RAS+ mm.
        meta: plain facts: noise, seed, what it was simulated from.
        notices: what the reader of a result must know about how the file was read.
        valid: (1, views, cells) or (z, views, cells) bool, True for rays that were measured; None: all were.
        path: the file that it was read from; None for one made in memory.
    """

    data: Tensor
    geometry: dict[str, Any]
    shape: tuple[int, int, int]
    affine: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    valid: Tensor | None = None
    path: Path | None = None

    def __repr__(self) -> str:
        """Shapes and origin in one line, without the data."""
        what = "simulated sinogram" if self.is_simulated else "sinogram"
        axes = "(rows, views, cells)" if self.is_cone else "(z, views, cells)"
        shapes = f"{shape_text(self.data.shape)} {axes}, of {shape_text(self.shape)} voxels"
        return f"<{what}, {shapes}{f', {self.path.name}' if self.path else ''}>"

    def _repr_html_(self) -> str:
        """The middle slice's data, views down and cells across: what a notebook shows."""
        import html

        from recon.pictures import figures

        data = self.data[len(self.data) // 2].numpy()
        picture = figures.png(figures.to_bytes(data, *figures.finite_range(data, 0, 99.9)))
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in (repr(self)[1:-1], *self.notices))
        return f'<img src="{picture}" alt="the sinogram" style="width:420px;height:200px">{lines}'

    @property
    def is_cone(self) -> bool:
        """Whether the data are of a cone beam, whose rays cross the slices."""
        return str(self.geometry.get("type")).startswith("cone")

    @property
    def is_simulated(self) -> bool:
        """Whether the file says that its data were simulated."""
        return bool(self.meta.get("simulated", False))

    @property
    def is_ideal(self) -> bool:
        """Whether the operator that reconstructs also made the data (inverse crime)."""
        return self.is_simulated and self.meta.get("simulation", "ideal") != "continuous"


def write_sinogram(path: Path, sinogram: Sinogram) -> None:
    """Write a sinogram; the file need not exist yet (see :mod:`recon.io.atomic` for the way to a final name)."""
    from physics.ct.protocol import protocol_values
    from physics.ct.scan_geometry import scan_geometry_from_dict

    x, y, z = spacing_of(sinogram.affine)
    with create_hdf5(path) as file:
        file.create_dataset("sinogram", data=np.asarray(sinogram.data.numpy(), np.float32))
        if sinogram.valid is not None:
            file.create_dataset("valid", data=sinogram.valid.numpy().astype(np.uint8), compression="gzip")
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["geometry"] = json.dumps(protocol_values(scan_geometry_from_dict(sinogram.geometry)))
        file.attrs["shape"] = np.asarray(sinogram.shape, np.int64)
        file.attrs["spacing_mm"] = np.asarray([z, y, x])
        file.attrs["affine_mm"] = np.asarray(sinogram.affine, float)
        file.attrs["meta"] = json.dumps(sinogram.meta)


def read_sinogram(path: Path) -> Sinogram:
    """The sinogram in an HDF5 file.

    Raises:
        InputError: not HDF5 or damaged; no ``sinogram``, geometry or grid; infinity or a constant; no measured ray;
            values that are negative altogether; data that do not have the geometry's views and cells or the grid's
            slices.
    """
    import torch

    from physics.ct.scan_geometry import scan_geometry_from_dict
    from recon.io.projections.unit_doubt import doubt_of_unit

    with open_hdf5(path) as file:
        data = read_dataset(path, file, "sinogram", complex_values=False)
        valid = read_dataset(path, file, "valid", complex_values=False) if "valid" in file else None
        stated = read_json(path, file.attrs, "geometry")
        version = _version(path, file.attrs, stated)
        meta = read_json(path, file.attrs, "meta")
        shape, affine = _grid(path, file.attrs, "" if version == 1 else "_mm")
    if not stated:
        raise InputError(f"{path}: has no attribute 'geometry'; a sinogram cannot be reconstructed without it")
    if data.ndim == 2:
        data = data[None]
    geometry = _geometry(path, stated, version)
    geometry |= _check_shapes(path, data.shape, geometry, shape)
    data, measured = _measured(path, data, valid)
    notices = () if measured is None else (_missing(data.shape, measured),)
    seen = np.broadcast_to(True if measured is None else measured, data.shape)
    notices = (*notices, *check_line_integrals(data, seen, True, str(path)))
    if not (isinstance(meta, dict) and meta.get("simulated")):
        notices = (*notices, *doubt_of_unit(data, seen, scan_geometry_from_dict(geometry)))
    mask = None if measured is None else torch.from_numpy(measured)
    return Sinogram(torch.from_numpy(data), geometry, shape, affine, meta, notices, mask, path)


def _geometry(path: Path, stated: dict[str, Any], version: int) -> dict[str, Any]:
    """The geometry as plain values in mm and radians, of lengths and angles that scanners have."""
    from physics.ct.protocol import parse_scan_protocol

    if version == 1:
        _check_types(path, stated)
        geometry = stated
    else:
        with input_errors(f"{path}: geometry"):
            geometry = parse_scan_protocol(stated).to_dict()
    _check_range(path, geometry)
    return geometry


def _measured(path: Path, data: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Data without NaN, and (1 or z, views, cells) which rays were measured; None where all were."""
    measured = ~np.isnan(data)
    if valid is not None:
        valid = valid[None] if valid.ndim == 2 else valid
        if valid.shape not in (data.shape, (1, *data.shape[1:])):
            raise InputError(f"{path}: 'valid' is {valid.shape}, but the sinogram {data.shape}")
        if not np.isin(valid, (0, 1)).all():
            raise InputError(f"{path}: 'valid' must be 1 for rays that were measured and 0 for others")
        measured &= valid.astype(bool)
    if not measured.any():
        raise InputError(f"{path}: no ray of the sinogram was measured: all are NaN or not valid")
    check_values(path, data[measured], "sinogram")
    if measured.all():
        return data, None
    alike = bool((measured == measured[:1]).all())
    return np.where(measured, data, np.float32(0)), measured[:1] if alike else measured


def _missing(shape: tuple[int, ...], measured: np.ndarray) -> str:
    share = 1 - np.broadcast_to(measured, shape).mean()
    return f"{share:.3g} of the rays were not measured; they have no weight"


def _check_types(path: Path, geometry: dict[str, Any]) -> None:
    """Refuse values of other types in a geometry of version 1."""
    angles, cells = geometry.get("angles"), geometry.get("cells")
    if not isinstance(geometry.get("type"), str):
        raise InputError(f"{path}: geometry: 'type' must be a name")
    if cells is not None and type(cells) is not int:
        raise InputError(f"{path}: geometry: 'cells' is {cells}; it must be a whole number")
    if any(type(value) is bool for value in (*geometry.values(), *(angles if isinstance(angles, list) else []))):
        raise InputError(f"{path}: geometry: true and false are no numbers")


def _check_range(path: Path, geometry: dict[str, Any]) -> None:
    """Refuse lengths and angles that no scanner has."""
    angles, pitch = geometry.get("angles"), geometry.get("pitch")
    if isinstance(pitch, int | float) and not _PITCH[0] <= pitch <= _PITCH[1]:
        raise InputError(f"{path}: geometry: a pitch of {pitch:g} mm; it must be {_PITCH[0]:g} to {_PITCH[1]:g} mm")
    numbers = [value for value in angles if isinstance(value, int | float)] if isinstance(angles, list) else []
    span = max(numbers, default=0) - min(numbers, default=0)
    if geometry["type"] != "cone" and math.isfinite(span) and span > _MOST_TURNS * math.tau:
        raise InputError(
            f"{path}: geometry: the angles span {math.degrees(span):.0f} degrees; they must be radians, not degrees"
        )


def _version(path: Path, attributes: Any, geometry: dict[str, Any]) -> int:
    """The version of the layout; where it is not stated, the one that the geometry is written in."""
    if attributes.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path}: its format is {attributes['format']!r}, not {FORMAT!r}")
    version = attributes.get("version", 1 if "pitch" in geometry else VERSION)
    if version not in (1, VERSION):
        raise InputError(f"{path}: sinogram format version {version}; this program reads 1 to {VERSION}")
    return int(version)


def _grid(path: Path, attributes: Any, unit: str) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape (z, y, x) and affine of the volume, which must agree with the spacing if that is stated too."""
    attributes = _lengths_in_millimetres(path, attributes) if unit else attributes
    try:
        z, y, x = (int(n) for n in attributes["shape"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: the attribute 'shape' must give the volume's (z, y, x) voxels") from None
    if min(z, y, x) < 1:
        raise InputError(f"{path}: the volume's shape is {z} x {y} x {x}; it must be positive")
    spacing = np.ravel(attributes[f"spacing{unit}"]) if f"spacing{unit}" in attributes else None
    if unit and "affine_mm" not in attributes and spacing is not None:
        return (z, y, x), centred_affine((z, y, x), _spacing(path, spacing))
    affine = read_affine(path, attributes, f"affine{unit}")
    check_affine(path, affine)
    own = spacing_of(affine)[::-1]
    if spacing is not None and (spacing.shape != (3,) or not np.allclose(spacing, own, rtol=1e-3, atol=0)):
        raise InputError(f"{path}: 'spacing{unit}' is {spacing.tolist()} mm, the affine says {own} (z, y, x)")
    return (z, y, x), affine


def _lengths_in_millimetres(path: Path, attributes: Any) -> dict[str, Any]:
    """The attributes with the grid's lengths in mm, whatever unit the end of their keys states."""
    from physics.ct.protocol_entries import MILLIMETRES

    found = dict(attributes)
    for name in ("spacing", "affine"):
        given = [unit for unit in MILLIMETRES if f"{name}_{unit}" in found]
        if len(given) > 1:
            raise InputError(f"{path}: '{name}' is given twice, in {' and in '.join(given)}")
        if not given or given == ["mm"]:
            continue
        values = np.asarray(found.pop(f"{name}_{given[0]}"))
        if values.dtype.kind not in "iuf" or (name == "affine" and values.shape != (4, 4)):
            raise InputError(f"{path}: the attribute '{name}_{given[0]}' must hold numbers")
        factor = np.full(values.shape, MILLIMETRES[given[0]])
        if name == "affine":
            factor[3] = 1
        found[f"{name}_mm"] = values * factor
    return found


def _spacing(path: Path, values: np.ndarray) -> tuple[float, float, float]:
    if values.shape != (3,) or values.dtype.kind not in "iuf" or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"{path}: the attribute 'spacing_mm' must give the voxels' size (z, y, x), above 0")
    z, y, x = (float(value) for value in values)
    return z, y, x


def centred_affine(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    """The affine of a volume (z, y, x) around the origin whose axes are those of the room."""
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape[::-1], spacing[::-1], strict=True)]
    return affine


def _check_shapes(
    path: Path, data: tuple[int, ...], geometry: dict[str, Any], shape: tuple[int, int, int]
) -> dict[str, int]:
    """The numbers of cells and of a cone beam's rows: the geometry's, or where it leaves them open the data's."""
    from physics.ct.cone.geometry import ConeBeam
    from physics.ct.cone.views import ConeViews
    from physics.ct.scan_geometry import scan_geometry_from_dict

    with input_errors(f"{path}: geometry"):
        expected = scan_geometry_from_dict(geometry)
    cells = expected.cells if expected.cells is not None else data[-1] if data else 0
    if isinstance(expected, ConeBeam | ConeViews):
        rows = expected.rows if expected.rows is not None else data[0] if data else 0
        if data != (rows, expected.views, cells):
            raise InputError(
                f"{path}: the data are {data}, but the geometry has {rows} rows, {expected.views} views and {cells} "
                "cells"
            )
        return {"rows": rows, "cells": cells}
    if data != (shape[0], expected.views, cells):
        raise InputError(
            f"{path}: the sinogram is {data}, but the volume has {shape[0]} slices and the geometry "
            f"{expected.views} views of {cells} cells"
        )
    return {"cells": cells}
