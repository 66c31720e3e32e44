"""MR scans of a continuous object: truncated k-space of something finer than the grid, with phase, coils and noise.

A scanner samples a part of the object's spectrum, and what lies beyond is missing: edges ring (Gibbs). The inverse
crime, the transform of the pixels themselves, has no such edges. So the object lives on a finer grid and has a smooth
phase, coils see it whose sensitivities the reconstruction does not know, and every sample has complex noise. The
ground truth is the magnitude of the object's mean over each voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from physics.averaging import AreaAverage
from physics.mr.birdcage import birdcage_maps, drawn_ring, even_ring
from physics.mr.cartesian import CartesianMR, fft2c
from physics.mr.coils import estimate_maps
from physics.mr.masks import Mask
from physics.mr.phase import smooth_phase
from physics.noise import ComplexGaussianNoise
from recon.acquisition.continuous import averaged, fine_shape, refined
from recon.acquisition.mr_protocol import mr_protocol
from recon.errors import input_errors
from recon.scan.measurement import Measurement, Protocol, Scan
from recon.scan.volume import Volume

DEFAULT_NOISE = 0.01
"""Standard deviation of the noise per complex sample over the image's maximum: an eight-coil scan of a head at 3 T has
0.011, an undersampled one 0.015."""

_CALIBRATION = 24


@dataclass(frozen=True)
class Receiver:
    """What a simulated scanner receives besides the object's spectrum.

    Attributes:
        noise: standard deviation of the complex noise of a sample over the maximum of the ground truth; 0 for none.
        coils: number of receive coils around the body.
        phase: largest absolute value of the object's smooth phase, radians.
        drawn: whether places and gains of the coils are drawn; else the coils are alike, evenly spread on a circle.
    """

    noise: float = DEFAULT_NOISE
    coils: int = 1
    phase: float = math.pi / 2
    drawn: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 1:
            raise ValueError(f"`noise` {self.noise:g}: must be a fraction of the image's maximum, from 0 to below 1")
        if self.coils < 1:
            raise ValueError(f"`coils` {self.coils}: must be 1 or more")
        if not (math.isfinite(self.phase) and self.phase >= 0):
            raise ValueError(f"`phase` {self.phase:g}: must be 0 radians or more")


def scan_continuous_mr(
    volume: Volume,
    mask: Mask,
    receiver: Receiver | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Scan:
    """Scan a magnitude volume as a continuous object.

    Args:
        volume: MR magnitude. Where it is at least twice as fine as the mask, it is the object itself; else the object
            is interpolated between its pixels.
        mask: (y, x) sampling; its shape is that of the result, over the volume's field of view.
        receiver: phase, coils and noise; None takes the defaults.
        seed: the seed of phase and noise.
        device: device of the operator and of the data.

    Raises:
        InputError: a mask finer than the volume, or without a calibration region where there are several coils.
    """
    return scan_with_image(volume, mask, receiver or Receiver(), seed, device)[0]


def scan_with_image(
    volume: Volume, mask: Mask, receiver: Receiver, seed: int, device: torch.device | str = "cpu"
) -> tuple[Scan, Tensor]:
    """A scan, and the complex image (z, y, x) that its reconstruction should be.

    Its magnitude is the ground truth; its phase is that of the complete and noise-free k-space, seen by the operator's
    coils, since maps have a phase of their own. Arguments as for :func:`scan_continuous_mr`.
    """
    shape = (mask.array.shape[0], mask.array.shape[1])
    fine = fine_shape(volume, shape)
    grid = averaged(volume, shape)
    generator = torch.Generator().manual_seed(seed)
    phase = smooth_phase((len(volume.data), *fine), receiver.phase, generator)
    ring = drawn_ring(receiver.coils, generator) if receiver.drawn else even_ring(receiver.coils)
    sensitivities = birdcage_maps(ring, fine)
    truths, data = [], []
    for plane, angle in zip(volume.data.cpu(), phase, strict=True):
        body = torch.polar(refined(plane[None], fine), angle[None])
        truths.append(AreaAverage(fine, shape)(body).abs())
        data.append(truncated_kspace(body * sensitivities, shape))
    truth, complete = torch.cat(truths), torch.stack(data)
    noise = ComplexGaussianNoise.of_maximum(receiver.noise, float(truth.max())) if receiver.noise else None
    y = (noise.apply(complete, generator)[0] if noise else complete) * mask.array
    maps = _maps(y, mask, device)
    operator = CartesianMR(mask.array.to(device), maps, len(y))
    seen = CartesianMR(torch.ones_like(mask.array).to(device), maps, len(y)).adjoint(complete.to(device))
    sigma = noise.standard_deviation(y) if noise else None
    measurement = Measurement(y.to(device), operator, sigma, grid.spacing, _protocol(mask, receiver, noise, fine))
    return Scan(measurement, grid, grid.like(truth)), torch.polar(truth.to(device), seen.angle())


def truncated_kspace(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """The central k-space of finer images (..., y, x), as an orthonormal transform of ``shape`` has it.

    Pixels of the two grids cover the same field, so that their centres differ; a linear phase moves the image there.
    """
    rows, columns = image.shape[-2:]
    spectrum = fft2c(image) * math.sqrt(shape[0] * shape[1] / (rows * columns))
    first = [n // 2 - m // 2 for n, m in zip((rows, columns), shape, strict=True)]
    part = spectrum[..., first[0] : first[0] + shape[0], first[1] : first[1] + shape[1]]
    ramps = [_half_pixel(n, m) for n, m in zip((rows, columns), shape, strict=True)]
    return part * (ramps[0][:, None] * ramps[1])


def _half_pixel(fine: int, coarse: int) -> Tensor:
    """(coarse,) phases that move an image from the centres of fine pixels to those of the coarse ones."""
    frequency = torch.arange(coarse, dtype=torch.float64) - coarse // 2
    # Pixel n // 2 of a grid lies at 0 of its transform, and (n // 2 + ½)/n of the field from its edge.
    shift = (fine // 2 + 0.5) / fine - (coarse // 2 + 0.5) / coarse
    return torch.polar(torch.ones_like(frequency), -2 * math.pi * shift * frequency).to(torch.complex64)


def _maps(y: Tensor, mask: Mask, device: torch.device | str) -> Tensor | None:
    if y.shape[1] == 1:
        return None
    with input_errors("`mask`"):
        return estimate_maps(y, min(_CALIBRATION, mask.calib)).to(device)


def _protocol(mask: Mask, receiver: Receiver, noise: ComplexGaussianNoise | None, fine: tuple[int, int]) -> Protocol:
    words = noise.describe() if noise else "no noise"
    return mr_protocol(
        mask,
        receiver.coils,
        noise,
        f"{words[0].upper()}{words[1:]} was added.",
        source=f"simulated of a continuous object: the centre of the spectrum of {fine[0]} x {fine[1]} pixels, with a "
        f"smooth phase of up to {receiver.phase:.3g} radians",
        simulation="continuous",
        further=("The ground truth is the magnitude of the object's mean over each voxel.",),
    )
