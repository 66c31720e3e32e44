"""CT scans of a continuous object: data that the operator which reconstructs them did not make.

A scanned body knows nothing of pixels, a detector cell is wide, and what is counted are photons. So the object lives on
a grid finer than the one of the result, several rays cross each cell and the focal spot, their intensities are
averaged (:mod:`physics.ct.finite_cells`), over a spectrum of energies too where one is asked for
(:mod:`recon.acquisition.spectrum`), scatter is added, then noise, then the faults of single cells. The ground truth is
the object's mean over each voxel. Data projected by the operator that reconstructs them instead are the "inverse crime"
(Colton & Kress 1992; Kaipio & Somersalo 2007, J Comput Appl Math 198:493).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from physics.averaging import AreaAverage, refined
from physics.ct.finite_cells import Aperture, readings
from physics.ct.geometry import Geometry, ImageGrid
from physics.ct.missing_rays import MissingRays
from physics.noise import NoiseModel, Sigma
from recon.acquisition.ct import projector_for
from recon.acquisition.spectrum import Spectrum
from recon.errors import InputError, input_errors
from recon.scan.measurement import Measurement, Protocol
from recon.scan.units import attenuation_to_hu, hu_to_attenuation
from recon.scan.volume import Volume

_REFINEMENT = 2
"""Pixels of the object along each axis for one of the result, where the volume itself is no finer."""

_SLAB_SLICES = 16
_SCATTER_WIDTH = 0.15
"""Standard deviation of the scatter's smooth profile, as a share of the detector's width."""


@dataclass(frozen=True)
class Scanner:
    """What a simulated scanner does besides taking line integrals.

    Attributes:
        aperture: rays over a detector cell, and the width of the focal spot.
        scatter: scattered intensity over the mean primary one of a view, spread smoothly over the detector.
        gain_error: standard deviation of the relative error of a cell's gain, the same in all views (rings).
        dead_cells: share of the cells that read nothing in any view.
        spectrum: the spectrum of the beam, whose hardening by water is corrected; None for photons of one energy.
    """

    aperture: Aperture = field(default_factory=Aperture)
    scatter: float = 0.0
    gain_error: float = 0.0
    dead_cells: float = 0.0
    spectrum: Spectrum | None = None

    def __post_init__(self) -> None:
        for name, most in (("scatter", 10.0), ("gain_error", 0.5), ("dead_cells", 0.5)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise ValueError(f"`{name}` {value:g}: must be from 0 to {most:g}")

    def describe(self) -> str:
        """The scanner in words."""
        spot = f", a focal spot of {self.aperture.focal_spot:g} mm" if self.aperture.focal_spot else ""
        return ", ".join([f"{self.aperture.rays} rays a detector cell{spot}", *self.faults()])

    def faults(self) -> list[str]:
        """All but the cells and the focal spot, in words."""
        parts = [self.spectrum.description] if self.spectrum else []
        parts += [f"scatter of {self.scatter:g} of the primary intensity"] if self.scatter else []
        parts += [f"gain errors of {self.gain_error:g}"] if self.gain_error else []
        parts += [f"{self.dead_cells:.3g} of the cells dead"] if self.dead_cells else []
        return parts


@dataclass(frozen=True)
class ContinuousScan:
    """A simulated scan and what it was made of.

    Attributes:
        measurement: the data, their operator on the grid of the result, and the standard deviation of their noise.
        truth: the object's mean over each voxel of that grid, HU.
        missing: (z, cells) bool, True for dead cells, whose rays are not measured.
    """

    measurement: Measurement
    truth: Volume
    missing: Tensor


def scan_continuous(
    volume: Volume,
    geometry: Geometry,
    shape: tuple[int, int] | None = None,
    scanner: Scanner | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> ContinuousScan:
    """Scan a volume as a continuous object.

    Args:
        volume: CT in HU. Where it is at least twice as fine as the result, it is the object itself; else the object is
            interpolated between its pixels.
        geometry: the geometry of the scan.
        shape: (y, x) pixels of the result, over the same area; None takes the volume's own.
        scanner: what the scanner does besides line integrals; None takes its defaults.
        noise: noise of the line integrals; None for noise-free data.
        seed: the seed of noise, gains and dead cells.
        device: the device of the operator and the data.

    Raises:
        InputError: a result finer than the volume, or a geometry that does not fit the volume.
    """
    scanner = scanner or Scanner()
    fine = fine_shape(volume, shape or (volume.data.shape[1], volume.data.shape[2]))
    empty = averaged(volume, shape) if shape else volume
    projector = projector_for(empty, geometry, device)
    grid = ImageGrid(fine, _spacing(volume, fine))
    truths, data = [], []
    for slab in volume.data.cpu().split(_SLAB_SLICES):
        body = refined(hu_to_attenuation(slab.clone()), fine)
        truths.append(attenuation_to_hu(AreaAverage(fine, projector.grid.shape, len(body))(body)))
        with input_errors("`scanner`"):
            data.append(_read(body, projector.geometry, grid, scanner))
    y, sigma, missing = detected(torch.cat(data), scanner, noise, seed)
    protocol = _protocol(projector.geometry, scanner, noise, grid)
    moved = sigma.to(projector.device) if isinstance(sigma, Tensor) else sigma
    operator = projector if not missing.any() else MissingRays(projector, ~missing[:, None].expand(y.shape))
    measurement = Measurement(y.to(projector.device), operator, moved, empty.spacing, protocol)
    return ContinuousScan(measurement, empty.like(torch.cat(truths)), missing)


def averaged(volume: Volume, shape: tuple[int, int]) -> Volume:
    """The volume's mean over the pixels of a coarser grid (y, x) over the same area.

    Raises:
        InputError: the grid is finer than the volume.
    """
    own = (volume.data.shape[1], volume.data.shape[2])
    with input_errors("`grid`"):
        average = AreaAverage(own, shape, len(volume.data))
    ratio = np.array([own[1] / shape[1], own[0] / shape[0], 1.0])
    affine = volume.affine.astype(float).copy()
    affine[:3, 3] += affine[:3, :3] @ ((ratio - 1) / 2)
    affine[:3, :3] *= ratio
    source = volume.source if own == shape else None
    return Volume(average(volume.data), affine, volume.modality, source, volume.notices)


def fine_shape(volume: Volume, shape: tuple[int, int]) -> tuple[int, int]:
    """(y, x) pixels of the object: the volume's own where it is twice as fine as the result, else twice its own.

    Raises:
        InputError: the result is finer than the volume.
    """
    own = (volume.data.shape[1], volume.data.shape[2])
    if any(result > have for result, have in zip(shape, own, strict=True)):
        raise InputError(f"`grid` {shape[0]},{shape[1]}: finer than the volume, which has {own[0]} x {own[1]} pixels")
    if all(_REFINEMENT * result <= have for result, have in zip(shape, own, strict=True)):
        return own
    return (_REFINEMENT * own[0], _REFINEMENT * own[1])


def _spacing(volume: Volume, fine: tuple[int, int]) -> tuple[float, float]:
    (_, rows, columns), (_, y, x) = volume.data.shape, volume.spacing
    return y * rows / fine[0], x * columns / fine[1]


def _read(body: Tensor, geometry: Geometry, grid: ImageGrid, scanner: Scanner) -> Tensor:
    """What the detector reads of the attenuation (z, y, x), which is that at the energy of the result."""
    if scanner.spectrum is None:
        return readings(body, geometry, grid, scanner.aperture)
    beam = scanner.spectrum
    return readings(beam.materials(body), geometry, grid, scanner.aperture, beam.transmission)


def detected(ideal: Tensor, scanner: Scanner, noise: NoiseModel | None, seed: int) -> tuple[Tensor, Sigma, Tensor]:
    """Data with scatter, noise and the faults of cells; their noise's standard deviation; (z, cells) which are dead."""
    drawn, gained, died = (
        torch.Generator().manual_seed(int(part)) for part in np.random.SeedSequence(seed).generate_state(3)
    )
    y = _with_scatter(ideal, scanner.scatter)
    sigma: Sigma = None
    if noise is not None:
        y, sigma = noise.apply(y, drawn)
    cells = (len(y), y.shape[-1])
    if scanner.gain_error:
        gain = (1 + scanner.gain_error * torch.randn(cells, generator=gained)).clamp_min(0.1)
        y = y - gain.log()[:, None]
    if scanner.spectrum is not None:
        y, sigma = scanner.spectrum.corrected(y, sigma)
    missing = torch.rand(cells, generator=died) < scanner.dead_cells
    return y.masked_fill(missing[:, None], 0), sigma, missing


def _with_scatter(line_integrals: Tensor, share: float) -> Tensor:
    """Each view's intensity with ``share`` of its mean added, in the shape of the view smoothed far and wide."""
    if not share:
        return line_integrals
    primary = torch.exp(-line_integrals)
    half = primary.shape[-1]
    distance = torch.arange(-half, half + 1, dtype=primary.dtype) / (_SCATTER_WIDTH * half)
    kernel = torch.exp(-distance.square() / 2)
    rows = pad(primary.reshape(-1, 1, half), (half, half), mode="replicate")
    smooth = conv1d(rows, (kernel / kernel.sum())[None, None]).reshape(primary.shape)
    level = primary.mean(-1, keepdim=True) / smooth.mean(-1, keepdim=True)
    return -torch.log(primary + share * level * smooth)


def _protocol(geometry: Geometry, scanner: Scanner, noise: NoiseModel | None, grid: ImageGrid) -> Protocol:
    described = geometry.describe()
    pixels = f"{grid.shape[0]} x {grid.shape[1]} pixels of {math.prod(grid.spacing) ** 0.5:.3g} mm"
    added = noise.describe() if noise else "no noise was added"
    return Protocol(
        sentences=(
            f"{described[0].upper()}{described[1:]}.",
            f"The scan was simulated of a continuous object: attenuation (water 0.0192/mm) on {pixels}, "
            f"{scanner.describe()}, intensities averaged.",
            f"{added[0].upper()}{added[1:]}.",
            "The ground truth is the object's mean over each voxel.",
        ),
        geometry=geometry.to_dict() | {"description": described},
        noise=None if noise is None else noise.to_dict(),
        simulation="continuous",
    )
