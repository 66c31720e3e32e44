"""From measured k-space to a measurement: its mask, its noise, its coils, and the ground truth where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from physics.mr.cartesian import CartesianMR, ifft2c
from physics.mr.coil_compression import geometric
from physics.mr.coils import LEAST_CALIBRATION, compressed, estimate_maps, rss
from physics.mr.masks import Mask, calibration_width
from physics.noise import ComplexGaussianNoise
from recon.acquisition.mr import MaskRequest, center_crop, choose_mask, volume_name
from recon.acquisition.mr_protocol import FILE, FULL, mr_protocol
from recon.acquisition.noise_mr import TakenNoise, noise_of_scan, with_white_noise
from recon.errors import InputError, input_errors
from recon.scan.kspace import KSpace
from recon.scan.measurement import Measurement, Scan
from recon.scan.volume import Volume

MANY_COILS, COMPRESSED_COILS = 16, 12
"""Scans with more coils than the first number are compressed to the second where nobody says to how many."""

_MAP_CALIBRATION = 24

Compression = Literal["svd", "geometric"]
"""How coils are compressed to virtual ones."""


@dataclass(frozen=True)
class ScanRequest:
    """What the user says of a measured scan, besides its mask.

    Attributes:
        added: standard deviation of the noise that is added per complex sample, over the image's maximum.
        level: standard deviation per complex sample of the noise that the data have, over the image's maximum; None:
            from the file, or estimated.
        coils: number of virtual coils to compress to; None: all of them, or fewer of very many.
        compression: how coils are compressed: ``svd``, one combination for the whole scan; or ``geometric``, one for
            each place along the readout; None: ``svd``, if they are compressed at all.
        seed: seed of the noise that is added.
    """

    added: float = 0.0
    level: float | None = None
    coils: int | None = None
    seed: int = 0
    compression: Compression | None = None


def measured_mr(
    kspace: KSpace, request: MaskRequest, wanted: ScanRequest | None = None, device: torch.device | str = "cpu"
) -> Scan:
    """A measurement from k-space, undersampled here where a mask is asked for.

    Coil sensitivity maps come from the calibration region that the mask leaves, or from calibration lines that were
    measured apart (ESPIRiT); they never see other data. Padding, and what partial Fourier left out, are no samples of
    the mask. A complete scan that nobody undersamples is reconstructed as it is and has no ground truth but that of its
    file.

    Args:
        kspace: k-space as it was read.
        request: the mask that the user wants; nothing keeps what was sampled.
        wanted: what else the user says of the scan; None for nothing.
        device: device of the operator and the data.

    Raises:
        InputError: a mask or noise was asked for and the file is undersampled already; no calibration region for
            several coils; a mask that samples nothing but padding; more virtual coils than there are.
    """
    wanted = wanted or ScanRequest()
    _check(kspace, wanted)
    shape = (kspace.data.shape[-2], kspace.data.shape[-1])
    mask = _mask_for(kspace, request, shape)
    truth = _truth(kspace, mask)
    kspace, further = with_white_noise(kspace)
    added = None
    if wanted.added:
        added = ComplexGaussianNoise.of_maximum(wanted.added, float(_combined(kspace.data).max()))
        noisy = added.apply(kspace.data, torch.Generator().manual_seed(wanted.seed))[0]
        kspace = replace(kspace, data=noisy)
    kspace, words = _fewer_coils(kspace, mask, wanted)
    data = kspace.data * mask.array
    noise = noise_of_scan(kspace, data, mask.array, wanted.level, added)
    width, lines = _calibration(kspace, data, mask)
    operator = CartesianMR(mask.array.to(device), _coil_maps(kspace, lines, width, device), len(data))
    measurement = _measurement(kspace, data, operator, mask, noise, further + words, width, device)
    grid_shape = (len(data), *(kspace.image_shape or shape))
    grid = Volume(torch.zeros(grid_shape), kspace.affine, "MR", kspace.source, kspace.notices)
    return Scan(measurement, grid, None if truth is None else grid.like(truth))


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


def _check(kspace: KSpace, wanted: ScanRequest) -> None:
    if wanted.compression not in (None, *get_args(Compression)):
        raise InputError(f"`compression` {wanted.compression}: must be one of {', '.join(get_args(Compression))}")
    if kspace.mask is not None and wanted.added:
        raise InputError("`noise`: the file is undersampled already; noise is added to fully sampled data only")
    coils = kspace.data.shape[1]
    if wanted.coils is not None and not 1 <= wanted.coils <= coils:
        raise InputError(f"`coils_compressed` {wanted.coils}: must be 1 to {coils}, the number of coils of the file")


def _measurement(
    kspace: KSpace,
    data: Tensor,
    operator: CartesianMR,
    mask: Mask,
    noise: TakenNoise,
    further: tuple[str, ...],
    calibration: int,
    device: torch.device | str,
) -> Measurement:
    simulation = str(kspace.meta.get("simulation", "ideal")) if kspace.meta.get("simulated") else None
    protocol = mr_protocol(
        mask,
        data.shape[1],
        noise.model,
        noise.sentence,
        source="read from a file",
        simulation=simulation,
        acquired=kspace.acquired,
        further=further,
        calibration=calibration,
    )
    sigma = None if noise.model is None else noise.model.standard_deviation(data)
    spacing = Volume(torch.zeros(1, 1, 1), kspace.affine, "MR").spacing
    return Measurement(data.to(device), operator, sigma, spacing, protocol)


def _truth(kspace: KSpace, mask: Mask) -> Tensor | None:
    """The file's own reference; or, where a mask leaves a part of complete data, the image of all of them."""
    return None if mask.kind == FULL and kspace.reference is None else reference_image(kspace)


def _mask_for(kspace: KSpace, request: MaskRequest, shape: tuple[int, int]) -> Mask:
    """The mask that was asked for, or what was sampled: the file's mask, or all that the scanner acquired."""
    whole = torch.ones(shape, dtype=torch.bool) if kspace.acquired is None else kspace.acquired
    if not request.is_open:
        if kspace.mask is not None:
            raise InputError(
                f"{volume_name(kspace)}: the file is undersampled already and brings its mask; leave `mask`, `accel` "
                "and `calib` out"
            )
        return _within(choose_mask(request, shape, volume_name(kspace)), whole, volume_name(kspace))
    if request.seed is not None:
        raise InputError("`mask_seed`: has an effect only where a mask is drawn; give `mask` too, or leave it out")
    if kspace.mask is None and not kspace.partial_fourier:
        return Mask(whole, FULL, 1.0, calibration_width(whole), None)
    own = whole if kspace.mask is None else kspace.mask
    return Mask(own, FILE, int(whole.sum()) / int(own.sum()), calibration_width(own), None)


def _within(mask: Mask, acquired: Tensor, name: str) -> Mask:
    """A mask without the places that were never sampled."""
    array = mask.array & acquired
    if not array.any():
        raise InputError(f"{name}: the mask samples nothing that was acquired; choose another `mask`")
    return replace(mask, array=array)


def check_compressed(compression: Compression | None, coils: int) -> None:
    """Refuse a way of compression where all coils are kept.

    Args:
        compression: what the user asked for; None for nothing.
        coils: the number of coils of the file.

    Raises:
        InputError: a way was asked for.
    """
    if compression is not None:
        way_out = f"give `coils_compressed` 1 to {coils - 1} too, or leave it out" if coils > 1 else "leave it out"
        raise InputError(f"`compression` {compression}: has no effect where all coils are kept ({coils}); {way_out}")


def _fewer_coils(kspace: KSpace, mask: Mask, wanted: ScanRequest) -> tuple[KSpace, tuple[str, ...]]:
    """k-space in as many virtual coils as are wanted, and what was done in words."""
    coils = kspace.data.shape[1]
    count = wanted.coils or (COMPRESSED_COILS if coils > MANY_COILS else coils)
    if count == coils:
        check_compressed(wanted.compression, coils)
        return kspace, ()
    data = kspace.data * mask.array
    if wanted.compression != "geometric":
        data, calibration = compressed(data, count, kspace.calibration)
        words = "by a singular value decomposition"
    else:
        whole_columns = bool((mask.array == mask.array[:1]).all())
        data, calibration = geometric(data, count, not whole_columns, kspace.calibration)
        words = f"geometrically, along the {'rows' if whole_columns else 'slices'}"
    return (
        replace(kspace, data=data, calibration=calibration),
        (f"The {coils} coils were compressed to {count} virtual ones {words}.",),
    )


def _calibration(kspace: KSpace, data: Tensor, mask: Mask) -> tuple[int, Tensor]:
    """Side of the largest fully sampled centre, and the k-space that has it: the data, or lines measured apart."""
    width = calibration_width(mask.array)
    if kspace.calibration is not None:
        apart = calibration_width((kspace.calibration != 0).any(dim=1).all(dim=0))
        if apart > width:
            return apart, kspace.calibration
    return width, data


def _coil_maps(kspace: KSpace, lines: Tensor, width: int, device: torch.device | str) -> Tensor | None:
    coils = lines.shape[1]
    if coils == 1:
        return None
    if kspace.mask is not None and width < LEAST_CALIBRATION:
        raise InputError(
            f"{volume_name(kspace)}: {coils} coils undersampled without calibration lines: sensitivity maps "
            f"need a fully sampled centre of {LEAST_CALIBRATION} or more samples a side, and it has {width}"
        )
    with input_errors("`mask`"):
        return estimate_maps(lines, min(_MAP_CALIBRATION, width)).to(device)


def _combined(data: Tensor) -> Tensor:
    return rss(ifft2c(data)).float()
