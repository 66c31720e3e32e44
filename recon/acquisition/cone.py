"""Cone-beam scans of a continuous object, as :mod:`recon.acquisition.continuous` simulates those of slices.

The object lives on voxels half as wide and half as high as those of the result, several rays cross each cell, and
their intensities are averaged. The ground truth is the object's mean over each voxel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from physics.averaging import refined
from physics.ct.cone import VolumeGrid
from physics.ct.cone.finite_cells import cone_readings
from physics.ct.cone.views import ConeGeometry
from physics.ct.missing_rays import MissingRays
from physics.noise import NoiseModel
from physics.operator import LinearOperator
from recon.acquisition.continuous import Scanner, averaged, detected, fine_shape
from recon.acquisition.ct import cone_projector_for
from recon.errors import InputError
from recon.scan.measurement import Measurement, Protocol, Scan
from recon.scan.units import hu_to_attenuation
from recon.scan.volume import Volume

_RAYS = 2
"""Rays along each side of a cell."""

_SLICES = 2
"""Layers of the object's voxels in each slice."""

_SLAB_SLICES = 16


def scan_cone(
    volume: Volume,
    geometry: ConeGeometry,
    shape: tuple[int, int] | None = None,
    scanner: Scanner | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Scan:
    """Scan a volume as a continuous object with a cone beam.

    Args:
        volume: CT in HU. Where it is at least twice as fine as the result within slices, it is the object itself; else
            the object is interpolated between its pixels.
        geometry: the geometry of the scan.
        shape: (y, x) pixels of the result, over the same area; None takes the volume's own.
        scanner: what the scanner does besides line integrals; None takes its defaults.
        noise: noise of the line integrals; None for noise-free data.
        seed: the seed of noise, gains and dead cells.
        device: the device of the operator and the data.

    Raises:
        InputError: a focal spot, a result finer than the volume, or a geometry that does not fit the volume.
    """
    scanner = scanner or Scanner()
    if scanner.aperture.focal_spot:
        raise InputError("`focal_spot`: is simulated for fan beams only; leave it out with a cone beam")
    truth = averaged(volume, shape) if shape else volume
    projector = cone_projector_for(truth, geometry, device)
    body, grid = _object(volume, shape or (volume.data.shape[1], volume.data.shape[2]))
    y, sigma, missing = detected(_read(body, projector.geometry, grid, scanner), scanner, noise, seed)
    moved = sigma.to(projector.device) if isinstance(sigma, Tensor) else sigma
    operator: LinearOperator = projector
    if bool(missing.any()):
        operator = MissingRays(projector, ~missing[:, None].expand(y.shape))
    protocol = _protocol(projector.geometry, scanner, noise, grid)
    measurement = Measurement(y.to(projector.device), operator, moved, truth.spacing, protocol)
    return Scan(measurement, truth, truth)


def _object(volume: Volume, shape: tuple[int, int]) -> tuple[Tensor, VolumeGrid]:
    """The object's attenuation (z, y, x) and its voxels."""
    rows, columns = fine_shape(volume, shape)
    slabs = [
        refined(hu_to_attenuation(slab.clone()), (rows, columns)) for slab in volume.data.cpu().split(_SLAB_SLICES)
    ]
    body = torch.cat(slabs).repeat_interleave(_SLICES, 0)
    (_, y, x), (dz, dy, dx) = volume.data.shape, volume.spacing
    spacing = (dz / _SLICES, dy * y / rows, dx * x / columns)
    return body, VolumeGrid((len(body), rows, columns), spacing)


def _read(body: Tensor, geometry: ConeGeometry, grid: VolumeGrid, scanner: Scanner) -> Tensor:
    """What the detector reads of the attenuation (z, y, x), which is that at the energy of the result."""
    if scanner.spectrum is None:
        return cone_readings([body], geometry, grid, _RAYS)
    beam = scanner.spectrum
    return cone_readings(beam.materials(body).chunk(2), geometry, grid, _RAYS, beam.transmission)


def _protocol(geometry: ConeGeometry, scanner: Scanner, noise: NoiseModel | None, grid: VolumeGrid) -> Protocol:
    described = geometry.describe()
    voxels = " x ".join(map(str, grid.shape)) + f" voxels of {math.prod(grid.spacing) ** (1 / 3):.3g} mm"
    added = noise.describe() if noise else "no noise was added"
    parts = [f"{_RAYS} x {_RAYS} rays a detector cell", *scanner.faults()]
    return Protocol(
        sentences=(
            f"{described[0].upper()}{described[1:]}.",
            f"The scan was simulated of a continuous object: attenuation (water 0.0192/mm) on {voxels}, "
            f"{', '.join(parts)}, intensities averaged.",
            f"{added[0].upper()}{added[1:]}.",
            "The ground truth is the object's mean over each voxel.",
        ),
        geometry=geometry.to_dict() | {"description": described},
        noise=None if noise is None else noise.to_dict(),
        simulation="continuous",
    )
