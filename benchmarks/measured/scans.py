"""From the rows of a table of real scans to measurements and their scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.measured.scores import Score, against_image, against_samples, against_segmentation, against_truth
from benchmarks.measured.spec import HERE, NativeVolume, Projections, RowSpec
from physics.ct.geometry import geometry_from_dict
from physics.mr.cartesian import CartesianMR
from physics.mr.coils import estimate_maps
from physics.mr.masks import calibration_width, seed_of
from physics.noise import TransmissionNoise
from recon.acquisition.continuous import averaged, scan_continuous
from recon.acquisition.ct import choose_geometry, measured_ct
from recon.acquisition.import_projections import import_projections
from recon.acquisition.import_request import ImportRequest
from recon.acquisition.model_error import without_model_error
from recon.errors import InputError
from recon.io.sinogram import Sinogram
from recon.methods import get_method
from recon.run.load import load
from recon.run.measure import measure_ct, measure_mr
from recon.scan.kspace import KSpace
from recon.scan.measurement import RunContext, Scan
from recon.scan.units import attenuation_to_hu
from recon.scan.volume import Volume

_HELD_OUT = 0.1
"""Share of the samples outside the calibration region that is held out."""

_LEAST_HELD_OUT = 10
_MAP_CALIBRATION = 24


@dataclass(frozen=True)
class Prepared:
    """A scan that methods can reconstruct.

    Attributes:
        scan: the measurement with the grid of the result.
        score: scores a result.
        reference: (y, x) middle slice of what results are compared with, in the unit of the results; None for none.
        sides_known: whether it is known where the patient's sides are.
        pixel: width of a pixel in mm; None where it is not known.
    """

    scan: Scan
    score: Score
    reference: np.ndarray | None
    sides_known: bool
    pixel: float | None


def prepare(row: RowSpec, files: tuple[Path, ...]) -> Prepared:
    """The measurement of a row and its score.

    Args:
        row: the row.
        files: the places of its files, in the order of :attr:`RowSpec.files`.

    Raises:
        InputError: a file that cannot be read or measured, or whose package is not installed.
    """
    if row.projections is not None:
        return _projections(row, row.projections, files)
    if row.volume is not None:
        return _volume(row.volume, files[0])
    return _held_out(row, files[0]) if row.score == "held-out" else _kspace(row, files[0])


def _projections(row: RowSpec, how: Projections, files: tuple[Path, ...]) -> Prepared:
    whole = import_projections(
        ImportRequest(
            (files[0],),
            geometry=None if how.geometry is None else str(HERE / how.geometry),
            rows=None if how.detector_row is None else (how.detector_row, how.detector_row + 1),
            centre=how.centre,
            grid=how.grid,
            pixel=how.pixel_mm,
        )
    )
    scan = measure_ct(every_nth_view(whole, how.every))
    pixel = scan.grid.spacing[2] if how.lengths_known else None
    if row.score == "segmentation":
        truth = read_segmentation(files[1])
        _check_divides(truth.shape, scan.grid, files[1])
        return Prepared(scan, against_segmentation(truth), truth[::-1].astype(np.float32), False, pixel)
    measurement, grid = measured_ct(whole)
    direct = get_method("CT", "fbp")
    image = direct.run(measurement, direct.options(), RunContext()).mean.cpu()
    return Prepared(scan, against_image(image), in_units(grid, image)[len(image) // 2].numpy(), False, pixel)


def in_units(grid: Volume, image: torch.Tensor) -> torch.Tensor:
    """A CT image in 1/mm as the results show it, in HU."""
    return grid.like(attenuation_to_hu(image)).data


def every_nth_view(sinogram: Sinogram, step: int) -> Sinogram:
    """A sinogram of every ``step``-th view."""
    if step == 1:
        return sinogram
    geometry = geometry_from_dict(sinogram.geometry)
    geometry = replace(geometry, angles=geometry.angles[::step])
    valid = None if sinogram.valid is None else sinogram.valid[:, ::step]
    return replace(sinogram, data=sinogram.data[:, ::step].contiguous(), geometry=geometry.to_dict(), valid=valid)


def read_segmentation(path: Path) -> np.ndarray:
    """(rows, columns) bool of a picture that is black and white.

    Raises:
        InputError: no such picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            values = np.asarray(picture.convert("L"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: no picture of a segmentation ({error})") from error
    truth: np.ndarray = values > int(values.max()) // 2
    if truth.all() or not truth.any():
        raise InputError(f"{path}: a picture of one value; a segmentation has two")
    return truth


def _check_divides(shape: tuple[int, ...], grid: Volume, path: Path) -> None:
    pixels = grid.data.shape[1:]
    if any(whole % part for whole, part in zip(shape, pixels, strict=True)):
        raise InputError(f"{path}: {shape} pixels, which are no multiple of the {tuple(pixels)} of the result")


def _volume(how: NativeVolume, path: Path) -> Prepared:
    volume = load(path, "CT")
    if not isinstance(volume, Volume):
        raise InputError(f"{path}: no CT volume")
    noise = TransmissionNoise(how.photons) if how.photons else None
    seed = seed_of(path.name)
    if how.simulate == "ideal":
        scan = measure_ct(averaged(volume, how.grid) if how.grid else volume, how.geometry, noise, seed, "cpu", "ideal")
    else:
        made = scan_continuous(volume, choose_geometry(how.geometry), how.grid, noise=noise, seed=seed)
        scan = without_model_error(Scan(made.measurement, made.truth, made.truth))
    return _with_truth(scan, volume.source is not None and volume.source.orientation_known)


def _with_truth(scan: Scan, sides_known: bool) -> Prepared:
    assert scan.truth is not None
    source, truth = scan.grid.source, scan.truth
    pixel = scan.grid.spacing[2] if source is None or source.spacing_known else None
    return Prepared(scan, against_truth(truth), truth.data[len(truth.data) // 2].numpy(), sides_known, pixel)


def _kspace(row: RowSpec, path: Path) -> Prepared:
    assert row.kspace is not None
    kspace = read_kspace(path, row.kspace.axes)
    scan = measure_mr(kspace, row.kspace.mask, row.kspace.accel)
    if scan.truth is None:
        raise InputError(f"{path}: has no complete image to compare with; score it by held-out samples")
    return _with_truth(scan, kspace.source is not None and kspace.source.orientation_known)


def read_kspace(path: Path, axes: str | None) -> KSpace:
    """k-space of a file.

    Raises:
        InputError: it holds something else, or its reader is not installed.
    """
    found = load(path, "MR", axes=axes)
    if not isinstance(found, KSpace):
        raise InputError(f"{path}: holds no k-space")
    return found


def _held_out(row: RowSpec, path: Path) -> Prepared:
    """The scan of nine tenths of the samples, and the error of the others."""
    assert row.kspace is not None
    kspace = read_kspace(path, row.kspace.axes)
    if kspace.mask is None:
        raise InputError(f"{path}: is complete; undersample it by a mask, and score it by its own image")
    held = held_out_places(kspace.mask, seed_of(path.name))
    kept = kspace.mask & ~held
    scan = measure_mr(replace(kspace, mask=kept, data=kspace.data * kept))
    if scan.measurement.y.shape != kspace.data.shape:
        raise InputError(f"{path}: its coils were combined anew, so that no sample can be held out")
    predict = CartesianMR(held, _maps(kspace, kept), len(kspace.data))
    samples = (kspace.data * held).to(scan.measurement.y.dtype)
    return Prepared(scan, against_samples(predict, samples), None, False, None)


def _maps(kspace: KSpace, kept: torch.Tensor) -> torch.Tensor | None:
    """The coil sensitivities that the measurement of the kept samples has: estimated from these alone."""
    if kspace.data.shape[1] == 1:
        return None
    if kspace.calibration is not None:
        width = calibration_width((kspace.calibration != 0).any(dim=1).all(dim=0))
        return estimate_maps(kspace.calibration, min(_MAP_CALIBRATION, width))
    return estimate_maps(kspace.data * kept, min(_MAP_CALIBRATION, calibration_width(kept)))


def held_out_places(mask: torch.Tensor, seed: int) -> torch.Tensor:
    """(y, x) bool: a tenth of the samples outside the fully sampled centre, which coil sensitivity maps need.

    Raises:
        InputError: too few samples.
    """
    half = (calibration_width(mask) + 1) // 2
    free = mask.clone()
    rows, columns = (n // 2 for n in mask.shape)
    free[max(0, rows - half) : rows + half, max(0, columns - half) : columns + half] = False
    places = free.nonzero()
    count = int(_HELD_OUT * len(places))
    if count < _LEAST_HELD_OUT:
        raise InputError(f"{len(places)} samples outside the centre of k-space; too few to hold some out")
    chosen = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:count]]
    held = torch.zeros_like(mask)
    held[chosen[:, 0], chosen[:, 1]] = True
    return held
