"""Sparse-view CT: from a volume or a measured sinogram to a measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from physics.ct import make_projector
from physics.ct.cone import ConeProjector, VolumeGrid, make_cone_projector
from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeViews
from physics.ct.geometry import Geometry, ImageGrid, circular_angles, golden_angles
from physics.ct.missing_rays import MissingRays
from physics.ct.projector import Projector
from physics.ct.protocol import load_scan_protocol
from physics.ct.scan_geometry import ScanGeometry, scan_geometry_from_dict, slice_geometry
from physics.noise import NoiseModel, Sigma, noise_from_dict
from recon.acquisition.noise_ct import estimate_noise
from recon.errors import InputError, input_errors
from recon.scan.measurement import Measurement, Protocol
from recon.scan.units import hu_to_attenuation
from recon.scan.volume import Source, Volume

if TYPE_CHECKING:
    from recon.io.sinogram import Sinogram

DEFAULT_GEOMETRY = "paper40"

_SLAB_SLICES = 32

MakeProjector = Callable[[Volume, Geometry, torch.device | str], Projector]
"""From a volume and a geometry to their operator on a device."""


def choose_geometry(
    geometry: str = DEFAULT_GEOMETRY,
    views: int | None = None,
    arc: float | None = None,
    start: float | None = None,
    order: str | None = None,
) -> Geometry:
    """A geometry of single slices, as :func:`choose_scan_geometry`; :class:`InputError` also for a cone beam."""
    found = choose_scan_geometry(geometry, views, arc, start, order)
    with input_errors(f"`geometry` {geometry}"):
        return slice_geometry(found)


def choose_scan_geometry(
    geometry: str = DEFAULT_GEOMETRY,
    views: int | None = None,
    arc: float | None = None,
    start: float | None = None,
    order: str | None = None,
) -> ScanGeometry:
    """A preset or a geometry file, with its angles replaced where something is said of them.

    Args:
        geometry: preset or path of a YAML file.
        views: number of views; None keeps the geometry's own.
        arc: degrees over which the views are spread; None keeps the geometry's own.
        start: angle of the first view in degrees; None keeps the geometry's own.
        order: ``uniform`` or ``golden``; None keeps the geometry's own.

    Raises:
        InputError: no such geometry, or impossible angles.
    """
    with input_errors(f"`geometry` {geometry}"):
        base = load_scan_protocol(geometry)
    if (views, arc, start, order) == (None, None, None, None):
        return base
    if isinstance(base, ConeViews):
        raise InputError(
            f"`views`, `arc`, `start`, `order`: the views of {geometry} are given as vectors; leave them out"
        )
    if start is not None and not math.isfinite(start):
        raise InputError(f"`start` {start}: must be an angle in degrees")
    first = base.angles[0] if start is None else math.radians(start)
    count = base.views if views is None else views
    if order == "golden":
        if arc is not None:
            raise InputError("`arc`: golden-angle views cover the full circle; leave `arc` out")
        with input_errors("`views`"):
            return replace(base, angles=golden_angles(count, first))
    if arc is None:
        with input_errors("`views`"):
            return base.with_views(count, None if start is None else first)
    with input_errors("`views`, `arc`"):
        return replace(base, angles=circular_angles(count, first, math.radians(arc)))


def simulate_ct(
    volume: Volume,
    geometry: ScanGeometry | str = DEFAULT_GEOMETRY,
    views: int | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    projectors: MakeProjector | None = None,
) -> Measurement:
    """Project a volume.

    Args:
        volume: CT in HU.
        geometry: a geometry, a preset's name or a geometry file.
        views: another number of views, spread over the same arc.
        noise: None for noise-free data.
        seed: the seed of the noise.
        device: the device of the operator and the data.
        projectors: makes the operator; None is :func:`projector_for`.

    Raises:
        InputError: a geometry that does not fit the volume.
    """
    if isinstance(geometry, str):
        geometry = choose_scan_geometry(geometry, views)
    elif views is not None:
        if isinstance(geometry, ConeViews):
            raise InputError("`views`: the views are given as vectors; leave it out")
        with input_errors("views"):
            geometry = geometry.with_views(views)
    projector: Projector | ConeProjector
    if isinstance(geometry, ConeBeam | ConeViews):
        projector = cone_projector_for(volume, geometry, device)
        y = projector(hu_to_attenuation(volume.data.clone()).to(projector.device))
    else:
        projector = (projectors or projector_for)(volume, geometry, device)
        y = torch.cat([_projections(projector, slab) for slab in volume.data.split(_SLAB_SLICES)])
    sigma: Sigma = None
    if noise is not None:
        y, sigma = noise.apply(y, torch.Generator().manual_seed(seed))
    return Measurement(y, projector, sigma, volume.spacing, ct_protocol(projector.geometry, noise, simulated=True))


def measured_ct(
    sinogram: Sinogram, noise: NoiseModel | None = None, device: torch.device | str = "cpu"
) -> tuple[Measurement, Volume]:
    """A measurement from a sinogram file, and the empty volume whose grid the reconstruction has.

    Args:
        sinogram: the sinogram as it was read.
        noise: what is known of its noise; None takes what the file says; where a measured file says nothing, the noise
            is estimated from the data.
        device: the device of the operator and the data.

    Raises:
        InputError: the geometry cannot see the grid.
    """
    with input_errors("`sinogram`"):
        geometry = scan_geometry_from_dict(sinogram.geometry)
    grid = Volume(torch.zeros(sinogram.shape), sinogram.affine, "CT", sinogram_source(sinogram), sinogram.notices)
    whole = any_projector_for(grid, geometry, device)
    projector = whole if sinogram.valid is None else MissingRays(whole, sinogram.valid)
    if noise is None:
        with input_errors("`sinogram`"):
            noise = noise_from_dict(sinogram.meta.get("noise") or None)
    y = sinogram.data.to(projector.device)
    seen = None if noise.known or sinogram.is_simulated else estimate_noise(projector.completed(y)[1])
    protocol = ct_protocol(
        projector.geometry, seen.noise if seen else noise, sinogram.is_simulated, not sinogram.is_ideal, bool(seen)
    )
    sigma = (seen.noise if seen else noise).standard_deviation(y)
    return Measurement(y, projector, sigma, grid.spacing, protocol), grid


def with_geometry(sinogram: Sinogram, geometry: str) -> Sinogram:
    """A sinogram with another geometry in place of its own.

    Args:
        sinogram: the sinogram as it was read.
        geometry: preset, or path of a YAML file; where it leaves out the angles, the sinogram's own stay.

    Raises:
        InputError: no such geometry, or one with other views or cells than the data have.
    """
    views, cells = (int(n) for n in sinogram.data.shape[1:])
    with input_errors(f"`geometry` {geometry}"):
        other = load_scan_protocol(geometry, scan_geometry_from_dict(sinogram.geometry).angles)
    if other.views != views or other.cells not in (None, cells):
        stated = "" if other.cells is None else f" of {other.cells} cells"
        raise InputError(
            f"`geometry` {geometry}: {other.views} views{stated}, but the sinogram has {views} of {cells} cells"
        )
    notice = f"the geometry is that of {geometry}, in place of the file's own"
    changed = replace(other, cells=cells).to_dict()
    if isinstance(other, ConeBeam | ConeViews):
        rows = int(sinogram.data.shape[0])
        if other.rows not in (None, rows):
            raise InputError(f"`geometry` {geometry}: {other.rows} detector rows, but the data have {rows}")
        changed |= {"rows": rows}
    return replace(sinogram, geometry=changed, notices=(*sinogram.notices, notice))


def _projections(projector: Projector, slab: Tensor) -> Tensor:
    """Line integrals (n, views, cells) of some slices in HU."""
    return projector.stack(len(slab))(hu_to_attenuation(slab).to(projector.device))


def sinogram_of(
    measurement: Measurement, volume: Volume, seed: int, simulation: Literal["ideal", "continuous"] = "ideal"
) -> Sinogram:
    """A simulated measurement as a sinogram that can be written.

    Args:
        measurement: the simulated measurement.
        volume: the volume on whose grid it is to be reconstructed.
        seed: the seed of the noise.
        simulation: how the scan was simulated, which the file states: by the operator that reconstructs it (the inverse
            crime), or of a continuous object.
    """
    from recon.io.sinogram import Sinogram

    z, y, x = volume.data.shape
    geometry = dict(measurement.protocol.geometry or {})
    geometry.pop("description", None)
    meta = {
        "simulated": True,
        "simulation": simulation,
        "noise": measurement.protocol.noise,
        "seed": seed,
        "source": volume.source.path.name if volume.source else None,
    }
    mask = measurement.operator.mask
    valid = None if mask is None else mask.cpu()
    return Sinogram(measurement.y.cpu(), geometry, (z, y, x), volume.affine, meta, valid=valid)


def projector_for(volume: Volume, geometry: Geometry, device: torch.device | str) -> Projector:
    """The operator of a geometry on a volume's slices; :class:`InputError` if the geometry does not fit them."""
    with input_errors("the geometry does not fit the volume"):
        grid = ImageGrid((volume.data.shape[1], volume.data.shape[2]), volume.spacing[1:])
        return make_projector(geometry, grid, device, volume.data.shape[0])


def cone_projector_for(volume: Volume, geometry: ConeBeam | ConeViews, device: torch.device | str) -> ConeProjector:
    """The operator of a cone beam on a volume; :class:`InputError` if the geometry does not fit it."""
    z, y, x = volume.data.shape
    with input_errors("the geometry does not fit the volume"):
        return make_cone_projector(geometry, VolumeGrid((z, y, x), volume.spacing), device)


def any_projector_for(volume: Volume, geometry: ScanGeometry, device: torch.device | str) -> Projector | ConeProjector:
    """The operator of any geometry on a volume; :class:`InputError` if the geometry does not fit it."""
    if isinstance(geometry, ConeBeam | ConeViews):
        return cone_projector_for(volume, geometry, device)
    return projector_for(volume, geometry, device)


def sinogram_source(sinogram: Sinogram) -> Source:
    """The source of a reconstruction from a sinogram: its own grid, as NIfTI.

    A measured volume that lies squarely around the isocentre was given no place: nobody knows where a patient's sides
    are, and there may be no patient.
    """
    from recon.io.sinogram import centred_affine

    z, y, x = sinogram.shape
    path = sinogram.path or Path("sinogram")
    affine = np.asarray(sinogram.affine, float)
    around = centred_affine((z, y, x), tuple(np.linalg.norm(affine[:3, :3], axis=0)[::-1]))
    placed = sinogram.is_simulated or not np.allclose(affine, around, atol=1e-6 * np.abs(around).max())
    return Source(path, "hdf5", affine, (x, y, z), orientation_known=placed)


def ct_protocol(
    geometry: ScanGeometry, noise: NoiseModel | None, simulated: bool, continuous: bool = False, estimated: bool = False
) -> Protocol:
    """How CT data come to be, or will: what is known of a scan before it is measured, too.

    Args:
        geometry: the geometry of the scan.
        noise: the noise of the data; None for noise-free data.
        simulated: whether the data are simulated.
        continuous: whether they are simulated of a continuous object, and not by the operator that reconstructs.
        estimated: whether the noise of measured data was estimated from the data, and not stated.
    """
    described = geometry.describe()
    return Protocol(
        sentences=tuple(_sentences(described, noise, simulated, continuous, estimated)),
        geometry=geometry.to_dict() | {"description": described},
        noise=None if noise is None else noise.to_dict(),
        simulation=("continuous" if continuous else "ideal") if simulated else None,
    )


def _sentences(
    described: str, noise: NoiseModel | None, simulated: bool, continuous: bool, estimated: bool
) -> Iterator[str]:
    yield described[0].upper() + described[1:] + "."
    words = noise.describe() if noise and noise.known else None
    if simulated:
        yield "The measurement was simulated: line integrals of attenuation (water 0.0192/mm) through every slice."
        yield f"{words[0].upper()}{words[1:]}." if words else "No noise was added."
        if continuous:
            yield "The data are of a continuous object on a finer grid, not of the operator that reconstructs."
        else:
            yield "The operator that reconstructs also made the data (inverse crime), which is easier than a real scan."
        yield "Scatter and beam hardening are not simulated."
    else:
        yield "The sinogram was read from a file; there is no ground truth."
        told = "estimated from the data" if estimated else "taken"
        yield f"Its noise was {told} as {words}." if words else "Nothing is known of its noise."
