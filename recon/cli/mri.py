"""``recon mri``: accelerated MR."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import say
from recon.cli.options import (
    PATH,
    SEED,
    GroupedCommand,
    all_of,
    method_options,
    nan_option,
    one_input,
    option,
    output_options,
    parse_settings,
)
from recon.cli.reconstruct import Order
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.io.intensity import NaNs
    from recon.scan.kspace import KSpace
    from recon.scan.volume import Volume

mask_options = all_of(
    option(
        "--mask",
        group="Sampling",
        default=None,
        metavar="KIND|FILE",
        help="Sampling mask: poisson, gauss1d, gauss1d-legacy, random, equispaced, or a file of zeros and ones (.npy, "
        ".npz, .h5).  [default: the file's own mask, else poisson]",
    ),
    option(
        "--accel",
        group="Sampling",
        type=float,
        default=None,
        help="Nominal acceleration of the mask, 1 or more; the true acceleration is printed.  [default: 8]",
    ),
    option(
        "--calib",
        group="Sampling",
        type=int,
        default=None,
        metavar="SAMPLES",
        help="Width of the fully sampled centre: columns, or samples on each side for poisson.  [default: the usual "
        "width of the mask, 24 for poisson]",
    ),
    option(
        "--mask-seed",
        group="Sampling",
        type=SEED,
        default=None,
        help="Seed of the mask (a whole number).  [default: follows from the file's name]",
    ),
    option(
        "--noise",
        group="Sampling",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="Standard deviation of the complex noise that is added to each sample, as a fraction of the image's "
        "maximum.",
    ),
)

input_options = all_of(
    click.argument("path", type=PATH, required=False),
    option(
        "-i",
        "--input",
        "source",
        group="Input",
        type=PATH,
        default=None,
        metavar="PATH",
        help="Magnitude volume (NIfTI file, DICOM folder) or k-space (fastMRI .h5, ISMRMRD, .npy, .npz). It can also "
        "be given as an argument. Without an input, the sample that comes with the suite is used.",
    ),
    option(
        "--axes",
        group="Input",
        default=None,
        help="Order of the axes of an .npy or .npz array, such as zcyx (slices, coils, rows, columns) or cyx.",
    ),
    nan_option,
    option(
        "--series",
        group="Input",
        default=None,
        metavar="UID",
        help="DICOM series to take from a folder that holds several; the end of its UID is enough.",
    ),
)


@click.command(cls=GroupedCommand)
@input_options
@mask_options
@method_options("MR")
@output_options("Folder for the results.  [default: recon-CASE-mri-METHOD]")
@option("--dicom", group="Output", is_flag=True, help="Also write a DICOM series; the input must be a DICOM series.")
def mri(
    path: Path | None,
    source: Path | None,
    axes: str | None,
    nan: NaNs,
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

    Fully sampled k-space, or k-space computed from a magnitude volume, is undersampled with one mask for the whole
    volume, reconstructed, and compared with the fully sampled image. k-space that is undersampled already is
    reconstructed as it is.

    \b
    recon mri --mask poisson --accel 8
    recon mri file1000001.h5 --mask gauss1d --accel 4 --method tv
    recon mri kspace.npy --axes cyx --method cg-sense
    """
    source = one_input(path, source)
    from datasets import sample
    from recon.run.devices import select_device
    from recon.run.measure import check_noise, measure_mr

    wanted = Order(
        modality="MR",
        source=source or sample.path("mr"),
        method=method,
        settings=parse_settings(settings, weights, prior),
        seed=seed,
        output=output,
        overwrite=overwrite,
        dicom=dicom,
        as_json=as_json,
        quiet=quiet,
    )
    wanted.check()
    check_noise(noise)
    place = select_device(device)
    data = read_mr(source, axes, series, nan)
    if dicom:
        _check_dicom(data)
    scan = measure_mr(data, mask, accel, calib, mask_seed, noise, seed, place)
    say_notices(data, quiet)
    wanted.fulfil(scan)


def read_mr(source: Path | None, axes: str | None, series: str | None, nan: NaNs) -> Volume | KSpace:
    """The input, or the sample."""
    from recon.io.sinogram import Sinogram
    from recon.run.load import load

    data = load(source, "MR", axes=axes, series=series, nan=nan)
    assert not isinstance(data, Sinogram)  # load refuses one for MR
    return data


def say_notices(data: Volume | KSpace, quiet: bool) -> None:
    """Print what the reader of a result must know about the input, once it is known that there will be a result."""
    for notice in data.notices:
        say(f"note: {notice}", quiet)


def _check_dicom(data: Volume | KSpace) -> None:
    from recon.run.save import check_dicom
    from recon.scan.volume import Volume

    if not isinstance(data, Volume):
        raise InputError("--dicom: k-space has no DICOM headers; leave it out")
    check_dicom(data)
