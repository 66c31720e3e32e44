"""Accelerated MR: from a volume or a k-space file to a measurement, and to the ground truth where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, ifft2c, simulate_kspace
from physics.mr.coils import LEAST_CALIBRATION, estimate_maps, rss
from physics.mr.masks import MASK_KINDS, Mask, calibration_width, make_mask, seed_of, stated_mask
from physics.noise import ComplexGaussianNoise, NoiseModel, UnknownNoise, noise_from_dict
from recon.errors import InputError, input_errors
from recon.io.kspace.mask_file import read_mask_file
from recon.scan.kspace import KSpace
from recon.scan.measurement import Measurement, Protocol, Scan
from recon.scan.volume import Volume

DEFAULT_MASK = "poisson"
DEFAULT_ACCELERATION = 8.0
SIMULATED_FROM_MAGNITUDE = (
    "simulated from magnitude: k-space was computed from a magnitude image, which has no phase and no noise of its "
    "own; this (an inverse crime) makes the task easier than a real scan"
)

Origin = Literal["simulated", "measured", "undersampled"]
"""Where k-space comes from: a magnitude volume, a fully sampled file, a file that was undersampled already."""

_MAP_CALIBRATION = 24


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
    """Undersampled single-coil k-space of a magnitude volume, slice by slice.

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
    protocol = _protocol(mask, 1, added, (SIMULATED_FROM_MAGNITUDE,))
    operator = CartesianMR(mask.array.to(device), slices=len(y))
    sigma = None if added is None else added.standard_deviation(y)
    return Measurement(y.to(device), operator, sigma, volume.spacing, protocol)


def measured_mr(
    kspace: KSpace, request: MaskRequest, noise: float = 0.0, seed: int = 0, device: torch.device | str = "cpu"
) -> Scan:
    """A measurement from k-space, undersampled here if the file is fully sampled.

    Coil sensitivity maps come from the calibration region that the mask leaves, or from calibration lines that were
    measured apart (ESPIRiT); they never see other data. Padding, and what partial Fourier left out, are no samples of
    the mask.

    Raises:
        InputError: a mask or noise was asked for and the file is undersampled already; no calibration region for
            several coils; a mask that samples nothing but padding.
    """
    if kspace.mask is not None and noise:
        raise InputError("`noise`: the file is undersampled already; noise is added to fully sampled data only")
    shape = (kspace.data.shape[-2], kspace.data.shape[-1])
    mask = _mask_for(kspace, request, shape)
    data, model = kspace.data, _stated_noise(kspace)
    if kspace.mask is None and noise:
        model = ComplexGaussianNoise.of_maximum(noise, float(_combined(data).max()))
        data = model.apply(data, torch.Generator().manual_seed(seed))[0]
    data = data * mask.array
    operator = CartesianMR(mask.array.to(device), _coil_maps(kspace, data, mask, device), len(data))
    notices = (SIMULATED_FROM_MAGNITUDE,) if kspace.meta.get("simulated") else ()
    full = kspace.mask is None and not kspace.partial_fourier
    origin: Origin = "measured" if full else "undersampled"
    places = mask.array.numel() if kspace.acquired is None else int(kspace.acquired.sum())
    protocol = _protocol(mask, data.shape[1], model, notices, origin, places)
    spacing = Volume(torch.zeros(1, 1, 1), kspace.affine, "MR").spacing
    sigma = None if model is None else model.standard_deviation(data)
    measurement = Measurement(data.to(device), operator, sigma, spacing, protocol)
    truth = reference_image(kspace)
    grid_shape = (len(data), *(kspace.image_shape or shape))
    grid = Volume(torch.zeros(grid_shape), kspace.affine, "MR", kspace.source, kspace.notices)
    return Scan(measurement, grid, None if truth is None else grid.like(truth))


def mr_case(
    data: Volume | KSpace, request: MaskRequest, noise: float, seed: int, device: torch.device | str = "cpu"
) -> Scan:
    """Undersample whatever was read: a magnitude volume, or k-space (see :func:`measured_mr`)."""
    if isinstance(data, KSpace):
        return measured_mr(data, request, noise, seed, device)
    mask = choose_mask(request, (data.data.shape[1], data.data.shape[2]), volume_name(data))
    return Scan(simulate_mr(data, mask, noise=noise, seed=seed, device=device), data, data)


def kspace_of(case: Scan, data: Volume | KSpace) -> KSpace:
    """The measurement as k-space that can be written, with its mask and the fully sampled image as reference."""
    measurement, protocol = case.measurement, case.measurement.protocol
    meta: dict[str, Any] = {"simulated": not isinstance(data, KSpace), "mask": protocol.mask}
    if data.source is not None:
        known = {"spacing_known": data.source.spacing_known, "orientation_known": data.source.orientation_known}
        meta |= {name: value for name, value in known.items() if not value}
    if measurement.sigma is not None:
        meta["noise_std"] = measurement.sigma
    return KSpace(
        data=measurement.y,
        affine=case.grid.affine,
        mask=measurement.operator.mask,
        calibration=data.calibration if isinstance(data, KSpace) else None,
        image_shape=data.image_shape if isinstance(data, KSpace) else None,
        reference=None if case.truth is None else case.truth.data,
        meta=meta,
    )


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


def _mask_for(kspace: KSpace, request: MaskRequest, shape: tuple[int, int]) -> Mask:
    """The mask that was asked for, or the file's own; of partial Fourier data, what was acquired is their own."""
    whole = torch.ones(shape, dtype=torch.bool) if kspace.acquired is None else kspace.acquired
    own = kspace.mask if kspace.mask is not None or not kspace.partial_fourier else whole
    if own is None or (kspace.mask is None and not request.is_open):
        return _within(choose_mask(request, shape, volume_name(kspace)), whole, volume_name(kspace))
    if not request.is_open:
        raise InputError(
            f"{volume_name(kspace)}: the file is undersampled already and brings its mask; leave `mask`, `accel` and "
            "`calib` out"
        )
    return Mask(own, "file", int(whole.sum()) / int(own.sum()), calibration_width(own), None)


def _within(mask: Mask, acquired: Tensor, name: str) -> Mask:
    """A mask without the places that were never sampled."""
    array = mask.array & acquired
    if not array.any():
        raise InputError(f"{name}: the mask samples nothing that was acquired; choose another `mask`")
    return replace(mask, array=array)


def _coil_maps(kspace: KSpace, data: Tensor, mask: Mask, device: torch.device | str) -> Tensor | None:
    if data.shape[1] == 1:
        return None
    width, lines = calibration_width(mask.array), data
    if kspace.calibration is not None:
        apart = calibration_width((kspace.calibration != 0).any(dim=1).all(dim=0))
        width, lines = (apart, kspace.calibration) if apart > width else (width, lines)
    if kspace.mask is not None and width < LEAST_CALIBRATION:
        raise InputError(
            f"{volume_name(kspace)}: {data.shape[1]} coils undersampled without calibration lines: sensitivity maps "
            f"need a fully sampled centre of {LEAST_CALIBRATION} or more samples a side, and it has {width}"
        )
    with input_errors("`mask`"):
        return estimate_maps(lines, min(_MAP_CALIBRATION, width)).to(device)


def reference_image(kspace: KSpace) -> Tensor | None:
    """The file's own reference, or the root sum of squares of fully sampled data.

    Data with a missing side (partial Fourier) have no such image: their zero-filled one is blurred.
    """
    if kspace.reference is not None:
        return kspace.reference.float()
    if kspace.mask is not None or kspace.partial_fourier:
        return None
    image = _combined(kspace.data)
    return center_crop(image, kspace.image_shape) if kspace.image_shape else image


def _combined(data: Tensor) -> Tensor:
    return rss(ifft2c(data)).float()


def _stated_noise(kspace: KSpace) -> NoiseModel | None:
    """The noise that an undersampled file states, unknown where it states none; None for fully sampled data and for
    simulated ones without noise, to which none was added."""
    stated = kspace.meta.get("noise_std")
    full = kspace.mask is None and not kspace.partial_fourier
    if full or (stated is None and kspace.meta.get("simulated")):
        return None
    with input_errors("`kspace`"):
        return UnknownNoise() if stated is None else noise_from_dict({"sigma": stated})


def _protocol(
    mask: Mask,
    coils: int,
    noise: NoiseModel | None,
    notices: tuple[str, ...],
    origin: Origin = "simulated",
    places: int | None = None,
) -> Protocol:
    """The protocol in words and values; ``places``: positions of k-space without padding, None for all."""
    acceleration = (places or mask.array.numel()) / int(mask.array.sum())
    coil_words = "one coil" if coils == 1 else f"{coils} coils with ESPIRiT maps from the calibration region"
    source = "simulated from a magnitude volume" if origin == "simulated" else "read from a file"
    sampling = (
        f"Mask {mask.kind}: true acceleration {acceleration:.3f} "
        f"(nominal {mask.accel:g}), calibration region {mask.calib}, one mask for the whole volume."
    )
    return Protocol(
        sentences=(
            f"Cartesian 2D Fourier encoding, {coil_words}; k-space was {source}.",
            sampling,
            _of_noise(noise, origin),
        ),
        notices=notices,
        mask={"kind": mask.kind, "accel": mask.accel, "calib": mask.calib, "seed": mask.seed},
        true_acceleration=acceleration,
        noise=None if noise is None else noise.to_dict(),
    )


def _of_noise(noise: NoiseModel | None, origin: Origin) -> str:
    """The noise in a sentence; that of undersampled data was there before."""
    if noise is None:
        return "No noise was added."
    words = noise.describe()
    if origin == "undersampled":
        return f"Its noise was taken as {words}." if noise.known else "Nothing is known of its noise."
    return f"{words[0].upper()}{words[1:]} was added."
