"""``recon svct``: sparse-view CT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.console import default_folder, memory_errors, progress_bar, say, show_result
from recon.cli.options import (
    PATH,
    GroupedCommand,
    all_of,
    method_options,
    option,
    output_options,
    parse_settings,
    settled,
    with_weights,
)
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    import torch

    from physics.ct.geometry import Geometry
    from physics.noise import TransmissionNoise
    from recon.io.sinogram import Sinogram
    from recon.scan.measurement import Measurement
    from recon.scan.volume import Volume

geometry_options = all_of(
    option(
        "--geometry",
        group="Geometry",
        default="paper40",
        metavar="NAME|FILE",
        help="Preset (limited90, paper40, sparse20) or a YAML file; distances in mm, angles in degrees.",
    ),
    option("--views", group="Geometry", type=int, default=None, help="Number of views instead of the geometry's own."),
    option(
        "--arc",
        group="Geometry",
        type=float,
        default=None,
        metavar="DEGREES",
        help="Arc over which the views are spread, instead of the geometry's own.",
    ),
    option("--start", group="Geometry", type=float, default=0.0, metavar="DEGREES", help="Angle of the first view."),
    option(
        "--order",
        group="Geometry",
        type=click.Choice(["uniform", "golden"]),
        default="uniform",
        help="Views evenly spread, or in golden-angle order over the full circle.",
    ),
)

noise_options = all_of(
    option(
        "--photons",
        group="Noise",
        type=float,
        default=None,
        help="Photons per detector cell and view without object; without it, data are noise-free. With --sinogram: "
        "what is known of the scan.",
    ),
    option(
        "--electronic-noise",
        group="Noise",
        type=float,
        default=None,
        metavar="PHOTONS",
        help="Standard deviation of the electronic noise in photons; needs --photons.  [default: 0]",
    ),
)

volume_options = all_of(
    option(
        "-i",
        "--input",
        "source",
        group="Input",
        type=PATH,
        default=None,
        metavar="PATH",
        help="CT volume in HU: NIfTI file or DICOM folder. Without one, the shipped sample is used.",
    ),
    option("--series", group="Input", default=None, metavar="UID", help="End of the UID of the DICOM series to take."),
    option(
        "--intensity",
        group="Input",
        type=click.Choice(["auto", "hu", "unit", "byte"]),
        default="auto",
        help="Scale of the values: HU, [0, 1] or [0, 255] (both taken as -1000 to 1000 HU).",
    ),
)


@click.command(cls=GroupedCommand)
@volume_options
@option(
    "--sinogram",
    group="Input",
    type=PATH,
    default=None,
    metavar="FILE",
    help="Measured sinogram (HDF5) to reconstruct instead of simulating one from a volume.",
)
@geometry_options
@noise_options
@method_options("CT")
@output_options("Folder to write.  [default: recon-CASE-svct-METHOD]")
@option("--dicom", group="Output", is_flag=True, help="Also write a DICOM series; the input must be one.")
def svct(
    source: Path | None,
    series: str | None,
    intensity: str,
    sinogram: Path | None,
    geometry: str,
    views: int | None,
    arc: float | None,
    start: float,
    order: str,
    photons: float | None,
    electronic_noise: float | None,
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
    """Reconstruct CT from few views.

    From a volume: projects it (40 views by default), reconstructs, and compares with the volume. From a
    measured sinogram: reconstructs it, and reports how well the result explains the data.

    \b
    recon svct --views 40 --input case.nii.gz
    recon svct --geometry limited90 --photons 1e5 --input dicom_folder --dicom
    recon svct --sinogram scan.h5 --method sirt --set iterations=300
    """
    if sinogram and (source or series):
        raise click.UsageError("--sinogram and --input exclude each other: give one of them")
    from datasets import sample
    from physics.ct.geometry import geometry_from_dict
    from recon.acquisition.ct import ct_protocol
    from recon.io.atomic import check_output
    from recon.methods import get_method, parse_options
    from recon.run.devices import select_device

    method, parsed = with_weights(method, parse_settings(settings), weights, prior)
    noise, place = parse_noise(photons, electronic_noise), select_device(device)

    def settle(scan: Geometry) -> tuple[str, tuple[str, ...], Path]:
        """The method, why it, and the folder for a scan, checked before anything takes long."""
        chosen, why = settled(method, "CT", ct_protocol(scan, noise, simulated=sinogram is None))
        parse_options(get_method("CT", chosen), parsed)
        folder = output or default_folder(sinogram or source or sample.path("ct"), "svct", chosen)
        check_output(folder, overwrite)
        return chosen, why, folder

    truth: Volume | None
    notices: tuple[str, ...]
    if sinogram:
        if (views, arc, start, order, geometry) != (None, None, 0.0, "uniform", "paper40"):
            raise click.UsageError("--sinogram brings its own geometry: leave --geometry, --views, --arc, --start out")
        if intensity != "auto" or dicom:
            option = "--dicom" if dicom else "--intensity"
            raise click.UsageError(f"{option} is for volumes: leave it out with --sinogram")
        scan = _read_sinogram(sinogram)
        method, why, folder = settle(geometry_from_dict(scan.geometry))
        measurement, grid = _from_sinogram(scan, sinogram, noise, place, method)
        truth, notices = None, ()
    else:
        from recon.acquisition.ct import choose_geometry

        chosen = choose_geometry(geometry, views, arc, start, order)
        method, why, folder = settle(chosen)
        grid, notices = load_ct(source, series, intensity, quiet)
        if dicom:
            from recon.run.save import check_dicom

            check_dicom(grid)
        measurement, truth = project(grid, chosen, noise, seed, place, method), grid
    for notice in why:
        say(f"note: {notice}", quiet)
    from recon.run.outcome import reconstruct
    from recon.run.save import save

    with memory_errors(), progress_bar(quiet) as progress:
        outcome = reconstruct(
            measurement,
            grid,
            method,
            truth=truth,
            settings=parsed,
            seed=seed,
            progress=progress,
            notices=notices + why,
        )
        result = save(folder, outcome, overwrite=overwrite, dicom=dicom)
    show_result(result, folder, as_json, quiet)


def parse_noise(photons: float | None, electronic: float | None) -> TransmissionNoise | None:
    """The noise of ``--photons`` and ``--electronic-noise``; None for noise-free data."""
    if photons is None:
        if electronic is not None:
            raise click.UsageError("--electronic-noise needs --photons")
        return None
    from physics.noise import TransmissionNoise

    with input_errors("--photons, --electronic-noise"):
        return TransmissionNoise(photons, electronic or 0.0)


def load_ct(source: Path | None, series: str | None, intensity: Any, quiet: bool) -> tuple[Volume, tuple[str, ...]]:
    """The input volume in HU, or the sample; and what the reader must know about it, which is also printed."""
    from datasets import sample
    from recon.io.detect import read_any
    from recon.io.intensity import check_hu
    from recon.scan.volume import Volume

    notices: list[str] = []
    if source is None:
        notices.append(f"sample data: {sample.DESCRIPTION['ct']}")
    volume = read_any(source or sample.path("ct"), "CT", series=series)
    if not isinstance(volume, Volume):
        raise InputError(f"{source}: a sinogram; give it as --sinogram")
    volume, notes = check_hu(volume, intensity)
    notices += notes
    for notice in notices:
        say(f"note: {notice}", quiet)
    return volume, tuple(notices)


def project(
    volume: Volume, geometry: Any, noise: TransmissionNoise | None, seed: int, device: torch.device | str, method: str
) -> Measurement:
    """The simulated measurement of a volume; :class:`InputError` if it or ``method`` would not fit in memory."""
    from physics.ct.geometry import ImageGrid
    from recon.acquisition.ct import simulate_ct
    from recon.run.memory import ct_bytes

    z, y, x = volume.data.shape
    with input_errors("the geometry does not fit the volume"):
        grid = ImageGrid((y, x), volume.spacing[1:])
        needed = ct_bytes((z, y, x), geometry.covering(grid), grid, method)
    with memory_errors(needed):
        return simulate_ct(volume, geometry, None, noise, seed, device)


def _read_sinogram(path: Path) -> Sinogram:
    from recon.io.detect import read_any
    from recon.io.sinogram import Sinogram

    sinogram = read_any(path, "CT")
    if not isinstance(sinogram, Sinogram):
        raise InputError(f"{path}: a volume; give it as --input")
    return sinogram


def _from_sinogram(
    sinogram: Sinogram, path: Path, noise: TransmissionNoise | None, device: torch.device, method: str
) -> tuple[Measurement, Volume]:
    from physics.ct.geometry import ImageGrid, geometry_from_dict
    from recon.acquisition.ct import measured_ct
    from recon.io.orientation import spacing_of
    from recon.run.memory import ct_bytes

    x, y, _ = spacing_of(sinogram.affine)
    with input_errors(f"--sinogram {path}"):
        grid = ImageGrid(sinogram.shape[1:], (y, x))
        needed = ct_bytes(sinogram.shape, geometry_from_dict(sinogram.geometry), grid, method)
    with memory_errors(needed):
        return measured_ct(sinogram, noise, device)
