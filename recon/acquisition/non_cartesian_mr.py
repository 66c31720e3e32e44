"""MR scans along a trajectory, of a continuous object: samples of the spectrum of something finer than the grid.

As :mod:`recon.acquisition.continuous_mr`, but the samples lie anywhere: on spokes, spirals, or where a file says. Coil
sensitivities come from the scan itself, from the centre of the gridded coil images.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from physics.averaging import AreaAverage, refined
from physics.mr.birdcage import birdcage_maps
from physics.mr.cartesian import fft2c
from physics.mr.coils import estimate_maps
from physics.mr.non_cartesian import NonCartesian
from physics.mr.nufft import Nufft
from physics.mr.phase import smooth_phase
from physics.mr.stack_of_stars import StackOfStars
from physics.mr.trajectories import TRAJECTORY_KINDS, check_trajectory, make_trajectory
from physics.noise import ComplexGaussianNoise
from recon.acquisition.continuous import averaged, fine_shape
from recon.acquisition.continuous_mr import Receiver
from recon.acquisition.mr_protocol import simulation_notice
from recon.errors import InputError, input_errors
from recon.io.kspace.bart import bart_pair
from recon.io.kspace.trajectory_file import read_trajectory_file
from recon.scan.measurement import Measurement, Protocol, Scan
from recon.scan.volume import Volume

_CALIBRATION = 24

_READOUTS = {"radial": 64, "spiral": 16}
"""Number of readouts of a kind of trajectory where nobody says it."""

_OVERSAMPLED = 2
"""Samples of a spoke for one voxel across the field of view."""

_SAMPLES_OF_AN_ARM = 4
"""The same of a spiral's arm, for one voxel across the field of view and the turns of one arm."""


def choose_trajectory(trajectory: str | Path, readouts: int | None, shape: tuple[int, int]) -> tuple[str, Tensor]:
    """The name and the coordinates (readouts, samples, 2) of a trajectory.

    Args:
        trajectory: a kind of trajectory, or path of a file with coordinates.
        readouts: number of spokes or spiral arms of a kind; None takes its usual one.
        shape: (y, x) of the image.

    Raises:
        InputError: neither a kind nor a file; a file without a trajectory; or ``readouts`` for a file.
    """
    kind, matrix = str(trajectory), max(shape)
    if kind in TRAJECTORY_KINDS:
        count = _READOUTS[kind] if readouts is None else readouts
        arm = math.ceil(_SAMPLES_OF_AN_ARM * matrix * max(1.0, matrix / (2 * max(count, 1))) / 2)
        samples = _OVERSAMPLED * matrix if kind == "radial" else arm
        with input_errors():
            return kind, make_trajectory(kind, count, samples, matrix)
    path = Path(trajectory)
    if not path.exists():
        raise InputError(f"`trajectory` {kind}: neither a file nor one of {', '.join(TRAJECTORY_KINDS)}")
    if readouts is not None:
        raise InputError("`spokes`: a trajectory from a file has its own; leave it out")
    coordinates = torch.from_numpy(read_trajectory_file(path))
    if bart_pair(path) is not None:  # in cycles per field of view, with a coordinate along z
        coordinates = coordinates[..., :2] / torch.tensor(shape)
    with input_errors(str(path)):
        check_trajectory(coordinates)
    return path.stem, coordinates


def scan_along(
    volume: Volume,
    trajectory: Tensor,
    name: str,
    receiver: Receiver,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Scan:
    """Scan a magnitude volume, slice by slice, as a continuous object along a trajectory.

    Args:
        volume: MR magnitude, on whose grid the result is.
        trajectory: (readouts, samples, 2) coordinates along y and x in cycles per voxel.
        name: the trajectory in a word, such as "radial".
        receiver: phase, coils and noise.
        seed: seed of the phase and the noise.
        device: device of the operator and of the data.

    Raises:
        InputError: coordinates that are no trajectory, or a volume too small for coil sensitivity maps.
    """
    z, y, x = volume.data.shape
    fine = fine_shape(volume, (y, x))
    generator = torch.Generator().manual_seed(seed)
    phase = smooth_phase((z, *fine), receiver.phase, generator)
    sensitivities = birdcage_maps(receiver.coils, fine)
    truths, data = [], []
    with input_errors("`trajectory`"):
        encoding = NonCartesian(trajectory, (y, x), slices=z)
        for plane, angle in zip(volume.data.cpu(), phase, strict=True):
            body = torch.polar(refined(plane[None], fine), angle[None])
            truths.append(AreaAverage(fine, (y, x))(body).abs())
            data.append(samples_of(body * sensitivities, trajectory, (y, x)))
        truth, complete = torch.cat(truths), torch.stack(data)
        noise = ComplexGaussianNoise.of_maximum(receiver.noise, float(truth.max())) if receiver.noise else None
        measured = noise.apply(complete, generator)[0] if noise else complete
        if receiver.coils > 1:
            maps = gridded_maps(measured, encoding)
            encoding = NonCartesian(trajectory, (y, x), maps.to(device))
    grid = averaged(volume, (y, x))
    protocol = trajectory_protocol(trajectory, (y, x), name, receiver, noise, fine)
    sigma = noise.standard_deviation(measured) if noise else None
    measurement = Measurement(measured.to(device), encoding, sigma, grid.spacing, protocol)
    return Scan(measurement, grid, grid.like(truth))


def samples_of(image: Tensor, trajectory: Tensor, shape: tuple[int, int]) -> Tensor:
    """Samples (n, readouts, samples) of the spectrum of finer images (n, y, x), as an orthonormal transform of the
    coarse ``shape`` has them; the centres of the pixels of the two grids differ."""
    fine = image.shape[-2], image.shape[-1]
    ratio = torch.tensor([coarse / full for coarse, full in zip(shape, fine, strict=True)], dtype=torch.float64)
    points = trajectory.double().reshape(-1, 2)
    shift = torch.tensor([_offset(coarse, full) for coarse, full in zip(shape, fine, strict=True)])
    ramp = torch.polar(torch.ones(len(points), dtype=torch.float64), -2 * math.pi * (points @ shift.double()))
    spectrum = Nufft(points * ratio, fine).forward(image) * math.sqrt(math.prod(shape) / math.prod(fine))
    return (spectrum * ramp.to(spectrum.dtype)).reshape(len(image), *trajectory.shape[:2])


def _offset(coarse: int, fine: int) -> float:
    """Coarse voxels from the origin of the coarse grid's transform to that of the fine one's."""
    return (fine // 2 + 0.5) / fine * coarse - (coarse // 2 + 0.5)


def gridded_maps(samples: Tensor, encoding: NonCartesian | StackOfStars) -> Tensor:
    """Coil sensitivities (z, coils, y, x) from the centre of the k-space of the gridded images of the coils.

    Args:
        samples: (z, coils, readouts, samples) data.
        encoding: the encoding of one uniform coil.
    """
    images = encoding.coil_images(samples)
    return estimate_maps(fft2c(images), min(_CALIBRATION, *images.shape[-2:]))


def trajectory_protocol(
    trajectory: Tensor,
    shape: tuple[int, int],
    name: str,
    receiver: Receiver,
    noise: ComplexGaussianNoise | None,
    fine: tuple[int, int],
) -> Protocol:
    """How such a scan came to be."""
    readouts, samples = trajectory.shape[:2]
    acceleration = math.pi / 2 * max(shape) / readouts
    coils = "one coil" if receiver.coils == 1 else f"{receiver.coils} coils with ESPIRiT maps from the gridded centre"
    words = noise.describe() if noise else "no noise"
    fully = f"; {acceleration:.3g} times fewer spokes than resolve the field of view" if name == "radial" else ""
    return Protocol(
        sentences=(
            f"Non-Cartesian 2D Fourier encoding, {coils}; k-space was simulated of a continuous object: the spectrum "
            f"of {fine[0]} x {fine[1]} pixels, with a smooth phase of up to {receiver.phase:.3g} radians.",
            f"Trajectory {name}: {readouts} readouts of {samples} samples, the same for every slice{fully}.",
            "The ground truth is the magnitude of the object's mean over each voxel.",
            f"{words[0].upper()}{words[1:]} was added.",
        ),
        notices=simulation_notice("continuous"),
        true_acceleration=acceleration if name == "radial" else None,
        noise=None if noise is None else noise.to_dict(),
        simulation="continuous",
        coils=receiver.coils,
    )
