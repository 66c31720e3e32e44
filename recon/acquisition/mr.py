"""Accelerated MR: the masks that users ask for, k-space simulated from a volume, and k-space to write to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, simulate_kspace
from physics.mr.masks import MASK_KINDS, Mask, make_mask, seed_of, stated_mask
from physics.noise import ComplexGaussianNoise
from recon.acquisition.mr_protocol import mr_protocol
from recon.errors import InputError, input_errors
from recon.io.kspace.mask_file import read_mask_file
from recon.scan.kspace import KSpace
from recon.scan.measurement import Measurement, Scan
from recon.scan.volume import Volume

DEFAULT_MASK = "poisson"
DEFAULT_ACCELERATION = 8.0


@dataclass(frozen=True)
class MaskRequest:
    """Which mask the user wants; every field None: the file's own, or else the default.

    Attributes:
        kind: a kind of mask, or the path of a mask file.
        accel: nominal acceleration.
        calib: fully sampled centre, in samples.
        seed: None for one that follows from the volume's name.
    """

    kind: str | None = None
    accel: float | None = None
    calib: int | None = None
    seed: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing was asked for."""
        return self.kind is None and self.accel is None and self.calib is None


def choose_mask(request: MaskRequest, shape: tuple[int, int], name: str) -> Mask:
    """Draw or read the mask that was asked for.

    Args:
        request: what the user wants.
        shape: (y, x) of k-space.
        name: the volume's name, from which the seed follows when none is given.

    Raises:
        InputError: no such mask, or one that cannot be.
    """
    kind = request.kind or DEFAULT_MASK
    if kind not in MASK_KINDS:
        if not Path(kind).exists():
            raise InputError(f"`mask` {kind}: neither a file nor one of {', '.join(MASK_KINDS)}")
        if request.accel is not None or request.calib is not None:
            raise InputError(f"`mask` {kind}: a mask from a file has its own acceleration; leave `accel`, `calib` out")
        with input_errors(f"`mask`: {kind}"):
            return stated_mask(read_mask_file(Path(kind), shape), shape)
    seed = seed_of(name) if request.seed is None else request.seed
    accel = DEFAULT_ACCELERATION if request.accel is None else request.accel
    with input_errors(f"`mask` {kind}"):
        return make_mask(kind, shape, accel, request.calib, seed)


def simulate_mr(
    volume: Volume,
    mask: Mask | str = DEFAULT_MASK,
    accel: float = DEFAULT_ACCELERATION,
    noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    phase: Tensor | None = None,
) -> Measurement:
    """Undersampled single-coil k-space of a magnitude volume by the operator that reconstructs it (the inverse crime).

    Args:
        volume: MR magnitude.
        mask: a mask, a kind of mask or a mask file; its seed follows from the volume's name.
        accel: nominal acceleration, if ``mask`` is a kind.
        noise: standard deviation per complex sample over the volume's maximum.
        seed: the seed of the noise.
        device: the device of the operator and the data.
        phase: (z, y, x) radians that the image shall have; None leaves it real.

    Raises:
        InputError: a mask that cannot be.
    """
    if isinstance(mask, str):
        request = MaskRequest(mask, accel if mask in MASK_KINDS else None)
        mask = choose_mask(request, (volume.data.shape[1], volume.data.shape[2]), volume_name(volume))
    added = ComplexGaussianNoise.of_maximum(noise, float(volume.data.max())) if noise else None
    generator = torch.Generator().manual_seed(seed)
    image = volume.data.to(torch.complex64) if phase is None else torch.polar(volume.data, phase)
    y = simulate_kspace(image, mask.array, None, added, generator)
    words = added.describe() if added else "no noise"
    protocol = mr_protocol(
        mask,
        1,
        added,
        f"{words[0].upper()}{words[1:]} was added.",
        source="simulated from a magnitude volume",
        simulation="ideal",
    )
    operator = CartesianMR(mask.array.to(device), slices=len(y))
    sigma = None if added is None else added.standard_deviation(y)
    return Measurement(y.to(device), operator, sigma, volume.spacing, protocol)


def kspace_of(case: Scan, data: Volume | KSpace) -> KSpace:
    """The measurement as k-space that can be written, with its mask and the fully sampled image as reference."""
    measurement, protocol = case.measurement, case.measurement.protocol
    meta: dict[str, Any] = {"simulated": protocol.simulation is not None, "mask": protocol.mask}
    if protocol.simulation is not None:
        meta["simulation"] = protocol.simulation
    if data.source is not None:
        known = {"spacing_known": data.source.spacing_known, "orientation_known": data.source.orientation_known}
        meta |= {name: value for name, value in known.items() if not value}
    if measurement.sigma is not None:
        meta["noise_std"] = measurement.sigma
    return KSpace(
        data=measurement.y,
        affine=case.grid.affine,
        mask=measurement.operator.mask,
        calibration=_calibration_of(measurement, data),
        image_shape=data.image_shape if isinstance(data, KSpace) else None,
        reference=None if case.truth is None else case.truth.data,
        meta=meta,
    )


def _calibration_of(measurement: Measurement, data: Volume | KSpace) -> Tensor | None:
    """The calibration lines of the file that the measurement was made of, unless its coils were combined anew."""
    if not isinstance(data, KSpace) or data.calibration is None or data.noise_readouts is not None:
        return None
    return data.calibration if data.calibration.shape[1] == measurement.y.shape[1] else None


def image_of(reconstruction: Tensor, shape: tuple[int, int]) -> Tensor:
    """Magnitude of a (z, y, x) image, cropped around its centre to ``shape`` (readout oversampling)."""
    return center_crop(reconstruction.abs(), shape).float()


def center_crop(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """The central ``shape`` of the last two axes, where fastMRI crops it: the voxel at n // 2 stays the centre, save
    for an odd part of an even length, which is half a voxel towards the start."""
    first = [(n - m) // 2 for n, m in zip(image.shape[-2:], shape, strict=True)]
    return image[..., first[0] : first[0] + shape[0], first[1] : first[1] + shape[1]]


def volume_name(volume: Volume | KSpace) -> str:
    """The file's name, from which a mask's seed follows."""
    return volume.source.path.name if volume.source else "volume"
