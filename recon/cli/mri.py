"""``recon mri``: accelerated MR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from recon.cli.console import say
from recon.cli.options import (
    PATH,
    SEED,
    GroupedCommand,
    all_of,
    figure_options,
    method_options,
    nan_option,
    one_input,
    option,
    output_options,
    parse_figures,
    parse_pair,
    parse_settings,
    resample_option,
)
from recon.cli.reconstruct import Order
from recon.cli.settings import parse_methods
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.acquisition.mr_measured import Compression
    from recon.io.intensity import NaNs
    from recon.run.measure import Simulation
    from recon.scan.kspace import KSpace
    from recon.scan.non_cartesian_kspace import NonCartesianKSpace
    from recon.scan.volume import Volume

mask_options = all_of(
    option(
        "--mask",
        group="Sampling",
        default=None,
        metavar="KIND|FILE",
        help="Sampling mask: poisson or caipi, which undersample both axes of a slice, as in 3D scans with the readout "
        "across the slices; gauss1d, gauss1d-legacy, random, equispaced or equispaced-legacy, which choose columns; or "
        "a file of zeros and ones (.npy, .npz, .h5).  [default: poisson for a volume, or with --accel or --calib; "
        "k-space keeps all of its samples]",
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
        help="Width of the fully sampled centre: columns, or samples on each side for poisson and caipi.  [default: "
        "the usual width of the mask, 24 for these two]",
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
        default=None,
        metavar="FRACTION",
        help="Standard deviation of the complex noise that is added to each sample, as a fraction of the image's "
        "maximum.  [default: 0.01 for a continuous object, as measured scans have; else 0]",
    ),
    option(
        "--simulate",
        group="Sampling",
        type=click.Choice(["continuous", "ideal"]),
        default=None,
        help="How a volume is scanned: as a continuous object, finer than the grid and with a phase (continuous); or "
        "with the operator that reconstructs it (ideal), which is an inverse crime.  [default: continuous]",
    ),
    option(
        "--coils",
        group="Sampling",
        type=int,
        default=None,
        metavar="N",
        help="Number of receive coils of a simulated scan.  [default: 1]",
    ),
)

trajectory_options = all_of(
    option(
        "--trajectory",
        group="Sampling",
        default=None,
        metavar="KIND|FILE",
        help="Trajectory of a simulated scan, in place of a mask: radial (golden angle), spiral, or a file of "
        "coordinates: (readouts, samples, 2), ky and kx in cycles per voxel (.npy, .npz, .h5), or a BART trajectory "
        "(.cfl). For measured k-space whose file holds no coordinates, the file of these.",
    ),
    option(
        "--spokes",
        group="Sampling",
        type=int,
        default=None,
        metavar="N",
        help="Number of spokes of a radial trajectory, or of spiral arms.  [default: 64 spokes, 16 arms]",
    ),
)

measured_options = all_of(
    option(
        "--matrix",
        group="Input",
        default=None,
        metavar="Y,X",
        help="Voxels of the image of k-space along a trajectory.  [default: as the file states, or as far as "
        "coordinates in cycles per field of view reach]",
    ),
    option(
        "--contrast",
        group="Input",
        type=click.IntRange(0),
        default=None,
        metavar="N",
        help="Number of the contrast (echo) to take from raw data that hold several, from 0.",
    ),
    option(
        "--repetition",
        group="Input",
        default=None,
        metavar="N|average",
        help="Number of the repetition to take from raw data that hold several, from 0; or average, which takes the "
        "average of all and suits still objects.",
    ),
    option(
        "--noise-level",
        group="Input",
        type=float,
        default=None,
        metavar="FRACTION",
        help="Standard deviation of the noise that measured k-space has in each sample, as a fraction of the image's "
        "maximum.  [default: as the file states, or as its noise readouts or outer k-space tell]",
    ),
    option(
        "--coils-compressed",
        group="Input",
        type=int,
        default=None,
        metavar="N",
        help="Number of virtual coils that those of measured k-space are compressed to.  [default: 12 of more than "
        "16, else all]",
    ),
    option(
        "--compression",
        group="Input",
        type=click.Choice(["svd", "geometric"]),
        default=None,
        help="How coils are compressed: with one combination for the whole scan (svd), or with one for each place "
        "along the readout (geometric), which keeps more of 3D scans in fewer coils.  [default: svd]",
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
        help="Magnitude volume (NIfTI file, DICOM folder) or k-space (fastMRI .h5, ISMRMRD, BART .cfl, "
        "Siemens .dat, .npy, .npz, .mat), on a grid or along a trajectory. It can also be given as an argument. "
        "Without an input, the sample that comes with the suite is used.",
    ),
    option(
        "--axes",
        group="Input",
        default=None,
        help="Order of the axes of an .npy or .npz array, such as zcyx (slices, coils, rows, columns) or cyx; zcrs or "
        "crs (readouts, samples) along a trajectory.",
    ),
    nan_option,
    resample_option,
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
@trajectory_options
@measured_options
@method_options("MR")
@output_options("Folder for the results.  [default: recon-CASE-mri-MASK-ACCEL-METHOD]")
@option("--dicom", group="Output", is_flag=True, help="Also write a DICOM series; the input must be a DICOM series.")
@figure_options
def mri(
    path: Path | None,
    source: Path | None,
    axes: str | None,
    nan: NaNs,
    resample: bool,
    series: str | None,
    mask: str | None,
    accel: float | None,
    calib: int | None,
    mask_seed: int | None,
    noise: float | None,
    simulate: Simulation | None,
    coils: int | None,
    trajectory: str | None,
    spokes: int | None,
    matrix: str | None,
    contrast: int | None,
    repetition: str | None,
    noise_level: float | None,
    coils_compressed: int | None,
    compression: Compression | None,
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
    png: bool,
    window: str | None,
    slices: str | None,
) -> None:
    """Reconstruct MR from few samples of k-space.

    A magnitude volume is scanned as a continuous object with one mask for the whole volume, reconstructed, and compared
    with the volume. Measured k-space is reconstructed as it is; where it is complete, --mask or --accel undersamples
    it, and the result is compared with the image of all samples.

    \b
    recon mri --mask poisson --accel 8
    recon mri file1000001.h5 --mask gauss1d --accel 4 --method tv
    recon mri kspace.npy --axes cyx --method cg-sense
    recon mri head.nii.gz --simulate continuous --coils 8 --accel 4
    recon mri head.nii.gz --trajectory radial --spokes 48 --method gridding,cg-sense,tv
    recon mri radial.h5 --method gridding,cg-sense
    recon mri kspace.cfl --trajectory traj.cfl --method tv
    """
    source = one_input(path, source)
    from datasets import sample
    from recon.run.devices import select_device
    from recon.run.measure import check_noise, measure_mr
    from recon.scan.volume import Volume

    wanted = Order(
        modality="MR",
        source=source or sample.path("mr"),
        scan=_scan_name(mask, accel, calib, trajectory, drawn=False),
        methods=parse_methods(method),
        settings=parse_settings(settings, weights, prior),
        seed=seed,
        output=output,
        overwrite=overwrite,
        dicom=dicom,
        figures=parse_figures(png, window, slices),
        as_json=as_json,
        quiet=quiet,
    )
    wanted.check()
    check_noise(noise or 0.0)
    place = select_device(device)
    data = read_mr(source, axes, series, nan, resample, trajectory, matrix, contrast, repetition)
    along, trajectory = trajectory, trajectory if isinstance(data, Volume) else None
    wanted = replace(wanted, scan=_scan_name(mask, accel, calib, along, drawn=isinstance(data, Volume)))
    if dicom:
        _check_dicom(data)
    sampling = (mask, accel, calib, mask_seed)
    scan = measure_mr(
        data,
        *sampling,
        noise,
        seed,
        place,
        simulate,
        coils,
        noise_level,
        coils_compressed,
        trajectory,
        spokes,
        compression,
    )
    say_notices(data, quiet)
    wanted.fulfil(scan)


def _scan_name(mask: str | None, accel: float | None, calib: int | None, trajectory: str | None, drawn: bool) -> str:
    """The trajectory, or the mask and its nominal acceleration, such as ``poisson-8x``; empty where k-space keeps all
    of its samples.

    Args:
        mask, accel, calib, trajectory: what the options say.
        drawn: whether a mask is drawn whatever they say, as for a volume.
    """
    from physics.mr.masks import MASK_KINDS
    from recon.acquisition.mr import DEFAULT_ACCELERATION, DEFAULT_MASK

    if trajectory is not None:
        return Path(trajectory).stem
    if mask is None and accel is None and calib is None and not drawn:
        return ""
    kind = mask or DEFAULT_MASK
    return f"{kind}-{accel or DEFAULT_ACCELERATION:g}x" if kind in MASK_KINDS else Path(kind).stem


def read_mr(
    source: Path | None,
    axes: str | None,
    series: str | None,
    nan: NaNs,
    resample: bool,
    trajectory: str | None = None,
    matrix: str | None = None,
    contrast: int | None = None,
    repetition: str | None = None,
) -> Volume | KSpace | NonCartesianKSpace:
    """The input, or the sample; a trajectory belongs to the input where that is k-space."""
    from recon.io.detect import detect
    from recon.io.sinogram import Sinogram
    from recon.run.load import load

    measured = source is not None and trajectory is not None and detect(source) in ("kspace", "numpy")
    data = load(
        source,
        "MR",
        axes=axes,
        series=series,
        nan=nan,
        resample=resample,
        trajectory=Path(trajectory) if measured and trajectory is not None else None,
        matrix=parse_pair("matrix", matrix, ","),
        contrast=contrast,
        repetition=_parse_repetition(repetition),
    )
    assert not isinstance(data, Sinogram)  # load refuses one for MR
    return data


def _parse_repetition(text: str | None) -> int | Literal["average"] | None:
    if text is None or text == "average":
        return "average" if text else None
    if not text.isdecimal():
        raise InputError(f"--repetition {text}: must be a whole number from 0, or average")
    return int(text)


def say_notices(data: Volume | KSpace | NonCartesianKSpace, quiet: bool) -> None:
    """Print what the reader of a result must know about the input, once it is known that there will be a result."""
    for notice in data.notices:
        say(f"note: {notice}", quiet)


def _check_dicom(data: Volume | KSpace | NonCartesianKSpace) -> None:
    from recon.run.save import check_dicom
    from recon.scan.volume import Volume

    if not isinstance(data, Volume):
        raise InputError("--dicom: k-space has no DICOM headers; leave it out")
    check_dicom(data)
