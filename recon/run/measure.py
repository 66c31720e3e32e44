"""From a loaded file to a measurement and its ground truth, if there is one; refused where memory does not suffice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from physics.ct.cone import VolumeGrid
from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeViews
from physics.ct.geometry import ImageGrid
from physics.ct.scan_geometry import ScanGeometry, scan_geometry_from_dict
from physics.mr.masks import MASK_KINDS, Mask
from physics.noise import NoiseModel
from recon.acquisition import ct, mr
from recon.acquisition.continuous_mr import DEFAULT_NOISE, Receiver, scan_continuous_mr
from recon.acquisition.model_error import ModelError, without_model_error
from recon.acquisition.mr_measured import Compression, ScanRequest, measured_mr
from recon.errors import InputError, input_errors
from recon.io.orientation import spacing_of
from recon.io.sinogram import Sinogram
from recon.run.memory import cone_bytes, ct_bytes, memory_errors, mr_bytes
from recon.scan.kspace import KSpace
from recon.scan.measurement import Measurement, Progress, Scan, no_progress
from recon.scan.non_cartesian_kspace import NonCartesianKSpace
from recon.scan.volume import Modality, Volume

if TYPE_CHECKING:
    from recon.acquisition.continuous import Scanner

Device = torch.device | str

Simulation = Literal["ideal", "continuous"]
"""How a scan is simulated: by the operator that reconstructs it (the inverse crime), or of a continuous object."""


def simulate_ct(
    volume: Volume,
    geometry: ScanGeometry | str = ct.DEFAULT_GEOMETRY,
    views: int | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
    device: Device = "cpu",
) -> Measurement:
    """Project a CT volume.

    Args:
        volume: CT in HU.
        geometry: geometry of the scan, name of a preset, or path of a geometry file.
        views: number of views over the geometry's arc; None keeps the geometry's own views.
        noise: noise of the data; None for noise-free data.
        seed: seed of the noise.
        device: device on which the operator and the data are.

    Raises:
        InputError: no CT volume, a geometry that does not fit it, or one that needs more memory than is free.
    """
    _check_volume(volume, "CT")
    chosen = ct.choose_scan_geometry(geometry, views) if isinstance(geometry, str) else geometry
    with memory_errors(_ct_bytes(volume.data.shape, volume.spacing, chosen)):
        return ct.simulate_ct(volume, chosen, None if isinstance(geometry, str) else views, noise, seed, device)


def simulate_mr(
    volume: Volume,
    mask: Mask | str = mr.DEFAULT_MASK,
    accel: float = mr.DEFAULT_ACCELERATION,
    noise: float | None = None,
    seed: int = 0,
    device: Device = "cpu",
    simulate: Simulation = "continuous",
    coils: int = 1,
) -> Measurement:
    """Undersampled k-space of an MR magnitude volume, slice by slice.

    Args:
        volume: MR magnitude.
        mask: a mask, a kind of mask, or path of a mask file; the seed of a kind follows from the volume's name.
        accel: nominal acceleration, where ``mask`` is a kind.
        noise: standard deviation per complex sample over the volume's maximum; None: 0.01 of a continuous object, which
            measured scans have, and no noise with ``ideal``.
        seed: seed of the noise and of the drawn phase.
        device: device on which the operator and the data are.
        simulate: ``continuous`` scans the volume as a continuous object with a phase, finer than the grid; ``ideal``
            transforms it by the operator that reconstructs it, the inverse crime.
        coils: number of receive coils of a continuous scan.

    Raises:
        InputError: no MR volume, a mask or noise that cannot be, or a volume that needs more memory than is free.
    """
    _check_volume(volume, "MR")
    check_noise(noise or 0.0)
    if isinstance(mask, str):
        request = mr.MaskRequest(mask, accel if mask in MASK_KINDS else None)
        mask = mr.choose_mask(request, (volume.data.shape[1], volume.data.shape[2]), mr.volume_name(volume))
    return _simulated_mr(volume, mask, noise, seed, device, simulate, coils).measurement


def measure_ct(
    data: Volume | Sinogram,
    geometry: ScanGeometry | str | None = None,
    noise: NoiseModel | None = None,
    seed: int = 0,
    device: Device = "cpu",
    simulate: Simulation | None = None,
    model_error: ModelError = "auto",
    progress: Progress = no_progress,
    scanner: Scanner | None = None,
    grid: tuple[int, int] | None = None,
) -> Scan:
    """A CT scan: simulated from a volume, which is then its ground truth, or made of a measured sinogram.

    Args:
        data: CT volume in HU, or sinogram.
        geometry: the geometry of a simulated scan, as for :func:`simulate_ct`; a sinogram brings its own.
        noise: noise of the data; None: none is simulated, or what the sinogram's file says.
        seed: seed of the simulated noise.
        device: device on which the operator and the data are.
        simulate: ``continuous``, the usual way, projects the volume as a continuous object, whose data the operator
            explains up to the model error of its pixels; ``ideal`` projects it by the operator that reconstructs it,
            the inverse crime. None is ``continuous`` for a volume; a sinogram is measured already.
        model_error: what becomes of that error, see :data:`recon.acquisition.model_error.ModelError`.
        progress: the callback that is told how far the estimate of the model error is.
        scanner: what the scanner of a continuous scan does besides line integrals; None takes its defaults.
        grid: (y, x) pixels of the result of a continuous scan, over the volume's area; None takes the volume's own.

    Raises:
        InputError: as :func:`simulate_ct`; a geometry or a simulation given beside a sinogram; a grid finer than the
            volume's, or a scanner or grid of a scan that is not simulated of a continuous object.
    """
    if (scanner or grid) and (isinstance(data, Sinogram) or simulate == "ideal"):
        raise InputError(
            f"`{'scanner' if scanner else 'grid'}`: is for simulations of a continuous object; leave it out"
        )
    if model_error not in get_args(ModelError):
        raise InputError(f"`model_error` {model_error}: must be one of {', '.join(get_args(ModelError))}")
    if isinstance(data, Sinogram) or simulate == "ideal":
        scan, ideal = _scan_of(data, geometry, noise, seed, device, simulate)
    else:
        scan, ideal = _continuous(data, geometry or ct.DEFAULT_GEOMETRY, noise, seed, device, scanner, grid), False
    if model_error == "correct" or (model_error == "auto" and not ideal):
        return _counted(scan, model_error, progress)
    return scan


def _counted(scan: Scan, model_error: ModelError, progress: Progress) -> Scan:
    """A scan whose model error was taken off, or of a cone beam counted in its deviation."""
    if scan.measurement.operator.separable:
        return without_model_error(scan, progress)
    if model_error == "correct":
        raise InputError("`model_error` correct: is for scans of single slices, not for a cone beam; use auto or leave")
    from recon.acquisition.cone_model_error import with_cone_model_error

    return with_cone_model_error(scan, progress)


def _scan_of(
    data: Volume | Sinogram,
    geometry: ScanGeometry | str | None,
    noise: NoiseModel | None,
    seed: int,
    device: Device,
    simulate: Simulation | None,
) -> tuple[Scan, bool]:
    """A scan that is measured or ideal, with its data as they are, and whether the operator itself simulated them."""
    if not isinstance(data, Sinogram):
        return Scan(simulate_ct(data, geometry or ct.DEFAULT_GEOMETRY, None, noise, seed, device), data, data), True
    if geometry is not None:
        raise InputError("`geometry`: a sinogram brings its own; leave it out")
    if simulate is not None:
        raise InputError("`simulate`: a sinogram is measured already; leave it out")
    x, y, z = spacing_of(data.affine)
    with input_errors("`sinogram`"):
        needed = _ct_bytes(data.shape, (z, y, x), scan_geometry_from_dict(data.geometry))
    with memory_errors(needed):
        measurement, grid = ct.measured_ct(data, noise, device)
    return Scan(measurement, grid, None), data.is_ideal


def _continuous(
    volume: Volume,
    geometry: ScanGeometry | str,
    noise: NoiseModel | None,
    seed: int,
    device: Device,
    scanner: Scanner | None,
    grid: tuple[int, int] | None,
) -> Scan:
    from recon.acquisition.continuous import fine_shape, scan_continuous

    _check_volume(volume, "CT")
    chosen = ct.choose_scan_geometry(geometry) if isinstance(geometry, str) else geometry
    z, y, x = volume.data.shape
    fine = fine_shape(volume, grid or (y, x))
    spacing = (volume.spacing[0], volume.spacing[1] * y / fine[0], volume.spacing[2] * x / fine[1])
    if isinstance(chosen, ConeBeam | ConeViews):
        from recon.acquisition.cone import scan_cone

        with memory_errors(_ct_bytes((2 * z, *fine), (spacing[0] / 2, *spacing[1:]), chosen)):
            return scan_cone(volume, chosen, grid, scanner, noise, seed, device)
    with memory_errors(_ct_bytes((z, *fine), spacing, chosen)):
        scan = scan_continuous(volume, chosen, grid, scanner, noise, seed, device)
    return Scan(scan.measurement, scan.truth, scan.truth)


def measure_mr(
    data: Volume | KSpace | NonCartesianKSpace,
    mask: str | Path | None = None,
    accel: float | None = None,
    calib: int | None = None,
    mask_seed: int | None = None,
    noise: float | None = None,
    seed: int = 0,
    device: Device = "cpu",
    simulate: Simulation | None = None,
    coils: int | None = None,
    noise_level: float | None = None,
    coils_compressed: int | None = None,
    trajectory: str | Path | None = None,
    spokes: int | None = None,
    compression: Compression | None = None,
) -> Scan:
    """An MR scan: simulated from a magnitude volume, or made of k-space, which is undersampled where that is asked for.

    Args:
        data: MR magnitude volume, or k-space on a grid or along a trajectory.
        mask: kind of mask, or path of a mask file; None: where ``accel`` or ``calib`` is given, and of a volume, a
            Poisson-disc mask; else k-space keeps all of its samples.
        accel: nominal acceleration; None takes 8 where there is a mask to draw.
        calib: fully sampled centre, in samples; None takes the usual one of the kind.
        mask_seed: seed of the mask; None lets it follow from the file's name.
        noise: standard deviation per complex sample over the image's maximum, added to the data; None: 0.01 of a
            continuous object, else none.
        seed: seed of the noise and of the phase that is drawn.
        device: device on which the operator and the data are.
        simulate: how a volume is scanned, see :func:`simulate_mr`; None: as a continuous object.
        coils: number of receive coils of a simulated continuous scan; None: 1.
        noise_level: measured data: standard deviation of their noise per complex sample over the image's maximum; None:
            as the file states, or as noise readouts or outer k-space tell.
        coils_compressed: measured data: number of virtual coils to compress to; None: all of them, or 12 of more than
            16.
        trajectory: trajectory of a simulated scan in place of a mask: ``radial`` or ``spiral``, or path of a file with
            its coordinates; None: samples on the grid that a mask chooses.
        spokes: number of spokes, or of spiral arms, of a trajectory by name; None: 64, or 16.
        compression: measured data: how coils are compressed, see :class:`recon.acquisition.mr_measured.ScanRequest`;
            None: by a singular value decomposition.

    Raises:
        InputError: as :func:`simulate_mr`; undersampled k-space that was to be sampled again; an option of simulated
            scans given for measured ones, or the reverse.
    """
    request = mr.MaskRequest(None if mask is None else str(mask), accel, calib, mask_seed)
    wanted = ScanRequest(noise or 0.0, noise_level, coils_compressed, seed, compression)
    if isinstance(data, KSpace):
        _leave_out("measured already", simulate=simulate, coils=coils, trajectory=trajectory, spokes=spokes)
        check_noise(noise or 0.0)
        check_noise(noise_level or 0.0, "noise_level")
        with memory_errors(mr_bytes(data.data.numel())):
            return measured_mr(data, request, wanted, device)
    if isinstance(data, NonCartesianKSpace):
        _leave_out("measured already", simulate=simulate, coils=coils, trajectory=trajectory, spokes=spokes)
        _leave_out("sampled along a trajectory", mask=mask, accel=accel, calib=calib, mask_seed=mask_seed)
        check_noise(noise_level or 0.0, "noise_level")
        return _measured_off_grid(data, wanted, device)
    _check_volume(data, "MR")
    _leave_out("simulated from a volume", noise_level=noise_level, coils_compressed=coils_compressed)
    _leave_out("simulated from a volume", compression=compression)
    if trajectory is not None:
        _leave_out("sampled along a trajectory", mask=mask, accel=accel, calib=calib, mask_seed=mask_seed)
        if simulate == "ideal":
            raise InputError("`simulate` ideal: trajectories are simulated of a continuous object; leave it out")
        return _along_trajectory(data, trajectory, spokes, noise, seed, device, coils or 1)
    _leave_out("sampled on a grid", spokes=spokes)
    chosen = mr.choose_mask(request, (data.data.shape[1], data.data.shape[2]), mr.volume_name(data))
    return _simulated_mr(data, chosen, noise, seed, device, simulate or "continuous", coils or 1)


def _measured_off_grid(data: NonCartesianKSpace, wanted: ScanRequest, device: Device) -> Scan:
    from recon.acquisition.measured_off_grid import measured_off_grid

    voxels = data.data.shape[0] * data.data.shape[1] * data.image_shape[0] * data.image_shape[1]
    with memory_errors(mr_bytes(max(data.data.numel(), voxels))):
        return measured_off_grid(data, wanted, device)


def _along_trajectory(
    volume: Volume,
    trajectory: str | Path,
    spokes: int | None,
    noise: float | None,
    seed: int,
    device: Device,
    coils: int,
) -> Scan:
    from recon.acquisition.non_cartesian_mr import choose_trajectory, scan_along

    check_noise(noise or 0.0)
    name, coordinates = choose_trajectory(trajectory, spokes, (volume.data.shape[1], volume.data.shape[2]))
    with input_errors():
        receiver = Receiver(DEFAULT_NOISE if noise is None else noise, coils)
    places = max(volume.data[0].numel(), coordinates.shape[0] * coordinates.shape[1])
    with memory_errors(mr_bytes(len(volume.data) * places * coils)):
        return scan_along(volume, coordinates, name, receiver, seed, device)


def _simulated_mr(
    volume: Volume, mask: Mask, noise: float | None, seed: int, device: Device, simulate: Simulation, coils: int
) -> Scan:
    check_noise(noise or 0.0)
    if simulate == "ideal":
        if coils != 1:
            raise InputError("`coils`: several coils are simulated of a continuous object only; leave `simulate` out")
        with memory_errors(mr_bytes(volume.data.numel())):
            return Scan(mr.simulate_mr(volume, mask, noise=noise or 0.0, seed=seed, device=device), volume, volume)
    with input_errors("continuous"):
        receiver = Receiver(DEFAULT_NOISE if noise is None else noise, coils)
    with memory_errors(mr_bytes(volume.data.numel() * coils)):
        return scan_continuous_mr(volume, mask, receiver, seed, device)


def _leave_out(what: str, **given: object) -> None:
    """Refuse arguments that have no effect on such data."""
    for name, value in given.items():
        if value is not None:
            raise InputError(f"`{name}`: the data are {what}, which it has no effect on; leave it out")


def check_noise(noise: float, name: str = "noise") -> None:
    """Refuse a level of MR noise that cannot be."""
    if not 0 <= noise < 1:
        raise InputError(f"`{name}` {noise:g}: must be a fraction of the image's maximum, from 0 to below 1")


def _check_volume(volume: object, modality: Modality) -> None:
    other = {"CT": "measure_ct", "MR": "measure_mr"}[modality]
    if not isinstance(volume, Volume):
        raise InputError(f"`volume`: must be a Volume; {other} takes measured data (this is a {type(volume).__name__})")
    if volume.modality != modality:
        raise InputError(
            f"`volume`: a volume of {volume.modality}; this simulates {modality} scans, of {modality} volumes"
        )


def _ct_bytes(shape: tuple[int, ...], spacing: tuple[float, float, float], geometry: ScanGeometry) -> int:
    z, y, x = shape
    with input_errors("the geometry does not fit the volume"):
        if isinstance(geometry, ConeBeam | ConeViews):
            return cone_bytes((z, y, x), geometry.covering(VolumeGrid((z, y, x), spacing)).scan_shape)
        grid = ImageGrid((y, x), spacing[1:])
        return ct_bytes((z, y, x), geometry.covering(grid), grid)
