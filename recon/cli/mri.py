"""``recon mri``: accelerated MR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import default_folder, memory_errors, progress_bar, say, show_result
from recon.cli.options import (
    AUTO,
    PATH,
    SEED,
    GroupedCommand,
    all_of,
    method_options,
    option,
    output_options,
    parse_settings,
    settled,
    with_weights,
)
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.scan.kspace import KSpace
    from recon.scan.volume import Volume

_UNDERSHOOT = 0.1  # of the maximum: what resampling by splines leaves below 0

mask_options = all_of(
    option(
        "--mask",
        group="Sampling",
        default=None,
        metavar="KIND|FILE",
        help="poisson, gauss1d, gauss1d-legacy, random, equispaced, or a file of zeros and ones (.npy, .npz, .h5).  "
        "[default: the file's own, else poisson]",
    ),
    option(
        "--accel",
        group="Sampling",
        type=float,
        default=None,
        help="Nominal acceleration, at least 1; the true one is printed.  [default: 8]",
    ),
    option(
        "--calib",
        group="Sampling",
        type=int,
        default=None,
        metavar="SAMPLES",
        help="Fully sampled centre: columns, or for poisson samples a side.  [default: the mask's own, poisson 24]",
    ),
    option(
        "--mask-seed",
        group="Sampling",
        type=SEED,
        default=None,
        help="Seed of the mask.  [default: follows from the file's name]",
    ),
    option(
        "--noise",
        group="Sampling",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="Standard deviation of complex noise per sample, as a fraction of the image's maximum.",
    ),
)

input_options = all_of(
    option(
        "-i",
        "--input",
        "source",
        group="Input",
        type=PATH,
        default=None,
        metavar="PATH",
        help="Magnitude volume (NIfTI, DICOM folder) or k-space (fastMRI .h5, ISMRMRD, .npy, .npz). Without one, the "
        "shipped sample is used.",
    ),
    option("--axes", group="Input", default=None, help="Axis order of an .npy or .npz array, such as zcyx or cyx."),
    option("--series", group="Input", default=None, metavar="UID", help="End of the UID of the DICOM series to take."),
)


@click.command(cls=GroupedCommand)
@input_options
@mask_options
@method_options("MR")
@output_options("Folder to write.  [default: recon-CASE-mri-METHOD]")
@option("--dicom", group="Output", is_flag=True, help="Also write a DICOM series; the input must be one.")
def mri(
    source: Path | None,
    axes: str | None,
    series: str | None,
    mask: str | None,
    accel: float | None,
    calib: int | None,
    mask_seed: int | None,
    noise: float,
    method: str,
    settings: tuple[str, ...],
    weights: Path | None,
    prior: str | None,
    seed: int,
    device: str,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    dicom: bool,
) -> None:
    """Reconstruct MR from few samples of k-space.

    Fully sampled k-space, or k-space computed from a magnitude volume, is undersampled with one mask for the
    whole volume, reconstructed, and compared. k-space that is undersampled already is reconstructed as it is.

    \b
    recon mri --mask poisson --accel 8
    recon mri --mask gauss1d --accel 4 --input file1000001.h5 --method tv
    recon mri --input kspace.npy --axes cyx --method cg-sense
    """
    from datasets import sample
    from recon.io.atomic import check_output
    from recon.methods import get_method, parse_options
    from recon.run.devices import select_device

    method, parsed = with_weights(method, parse_settings(settings), weights, prior)

    def folder_of(chosen: str) -> Path:
        """The folder for a method, checked before anything takes long."""
        parse_options(get_method("MR", chosen), parsed)
        folder = output or default_folder(source or sample.path("mr"), "mri", chosen)
        check_output(folder, overwrite)
        return folder

    if method != AUTO:
        folder_of(method)
    check_noise(noise)
    place = select_device(device)
    from recon.acquisition.mr import MaskRequest, mr_case

    request = MaskRequest(mask, accel, calib, mask_seed)
    data, notices = load_mr(source, axes, series, quiet)
    if dicom:
        _check_dicom(data)
    from recon.run.memory import mr_bytes
    from recon.run.outcome import reconstruct
    from recon.run.save import save

    with memory_errors(mr_bytes(data.data.numel())):
        case = mr_case(data, request, noise, seed, place)
        method, why = settled(method, "MR", case.measurement.protocol)
        folder = folder_of(method)
        for notice in (*case.measurement.protocol.notices, *why):
            say(f"note: {notice}", quiet)
        with progress_bar(quiet) as progress:
            outcome = reconstruct(
                case.measurement,
                case.grid,
                method,
                truth=case.truth,
                settings=parsed,
                seed=seed,
                progress=progress,
                notices=notices + why,
            )
        result = save(folder, outcome, overwrite=overwrite, dicom=dicom)
    show_result(result, folder, as_json, quiet)


def check_noise(noise: float) -> None:
    """:class:`InputError` for a noise level that cannot be."""
    if not 0 <= noise < 1:
        raise InputError(f"--noise {noise:g}: must be a fraction of the image's maximum, from 0 to below 1")


def load_mr(
    source: Path | None, axes: str | None, series: str | None, quiet: bool
) -> tuple[Volume | KSpace, tuple[str, ...]]:
    """The input, or the sample; and what the reader must know about it, which is also printed."""
    from datasets import sample
    from recon.io.detect import read_any
    from recon.io.sinogram import Sinogram

    data = read_any(source or sample.path("mr"), "MR", axes=axes, series=series)
    assert not isinstance(data, Sinogram)  # read_any refuses one for MR
    notices = (f"sample data: {sample.DESCRIPTION['mr']}",) if source is None else _doubts(source, data)
    for notice in notices:
        say(f"note: {notice}", quiet)
    return data, notices


def _doubts(source: Path, data: Volume | KSpace) -> tuple[str, ...]:
    """A warning if a magnitude has values a little below 0; :class:`InputError` if it cannot be one."""
    from recon.scan.volume import Volume

    if not isinstance(data, Volume):
        return ()
    low, high = (float(value) for value in data.data.aminmax())
    if low < -_UNDERSHOOT * high:
        raise InputError(f"{source}: values {low:g} to {high:g} are no MR magnitude; a CT volume is for recon svct")
    return (f"{source}: values down to {low:g}; a magnitude has none below 0",) if low < 0 else ()


def _check_dicom(data: Volume | KSpace) -> None:
    from recon.run.save import check_dicom
    from recon.scan.volume import Volume

    if not isinstance(data, Volume):
        raise InputError("--dicom: k-space has no DICOM headers; leave it out")
    check_dicom(data)
