"""``recon svct``: sparse-view CT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recon.cli.console import progress_bar, say
from recon.cli.options import (
    PATH,
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
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from physics.noise import TransmissionNoise
    from recon.acquisition.continuous import Scanner
    from recon.acquisition.model_error import ModelError
    from recon.io.intensity import NaNs
    from recon.io.sinogram import Sinogram
    from recon.run.measure import Simulation
    from recon.scan.units import CTUnit
    from recon.scan.volume import Volume

geometry_options = all_of(
    option(
        "--geometry",
        group="Geometry",
        default="paper40",
        metavar="NAME|FILE",
        help="Geometry of the scan: a preset (limited90, paper40, sparse20) or a YAML file, with distances in mm and "
        "angles in degrees. With --sinogram it replaces the file's own, whose angles stay where the YAML has none.",
    ),
    option(
        "--views",
        group="Geometry",
        type=int,
        default=None,
        help="Number of views.  [default: the geometry's own]",
    ),
    option(
        "--arc",
        group="Geometry",
        type=float,
        default=None,
        metavar="DEGREES",
        help="Arc over which the views are spread evenly.  [default: the geometry's own]",
    ),
    option("--start", group="Geometry", type=float, default=0.0, metavar="DEGREES", help="Angle of the first view."),
    option(
        "--order",
        group="Geometry",
        type=click.Choice(["uniform", "golden"]),
        default="uniform",
        help="Spread the views evenly (uniform), or by the golden angle over the full circle (golden).",
    ),
)

noise_options = all_of(
    option(
        "--photons",
        group="Noise",
        type=float,
        default=None,
        help="Number of photons that reach a detector cell in one view when nothing is in the beam. Without this "
        "option, simulated data are noise-free, and the noise of measured data (--sinogram) is what the file says, or "
        "is estimated from the data.",
    ),
    option(
        "--electronic-noise",
        group="Noise",
        type=float,
        default=None,
        metavar="PHOTONS",
        help="Standard deviation of the electronic noise, in photons; needs --photons.  [default: 0]",
    ),
)

simulate_option = option(
    "--simulate",
    group="Noise",
    type=click.Choice(["ideal", "continuous"]),
    default="continuous",
    help="continuous: the volume is a continuous object on a finer grid, and cells have a width. ideal: the operator "
    "that reconstructs the data also makes them, which is easier than a real scan (the inverse crime).",
)

scanner_options = all_of(
    option(
        "--focal-spot",
        group="Simulated scanner",
        type=float,
        default=None,
        metavar="MM",
        help="Width of the focal spot.  [default: a point]",
    ),
    option(
        "--scatter",
        group="Simulated scanner",
        type=float,
        default=None,
        metavar="SHARE",
        help="Scattered intensity, spread smoothly, over the mean intensity of a view.  [default: 0]",
    ),
    option(
        "--gain-error",
        group="Simulated scanner",
        type=float,
        default=None,
        metavar="SHARE",
        help="Standard deviation of the gains of the detector cells, which makes rings.  [default: 0]",
    ),
    option(
        "--dead-cells",
        group="Simulated scanner",
        type=float,
        default=None,
        metavar="SHARE",
        help="Share of the detector cells that read nothing.  [default: 0]",
    ),
    option(
        "--grid",
        group="Simulated scanner",
        default=None,
        metavar="ROWS,COLUMNS",
        help="Pixels of the reconstruction, at most those of the volume, over its area.  [default: the volume's]",
    ),
)

volume_options = all_of(
    click.argument("path", type=PATH, required=False),
    option(
        "-i",
        "--input",
        "source",
        group="Input",
        type=PATH,
        default=None,
        metavar="PATH",
        help="CT volume in HU: a NIfTI file or a DICOM folder. It can also be given as an argument. Without an input, "
        "the sample that comes with the suite is used.",
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
    option(
        "--intensity",
        group="Input",
        type=click.Choice(["auto", "hu", "unit", "byte"]),
        default="auto",
        help="Scale of the values in the file: HU, unit for [0, 1], or byte for [0, 255]; the last two are taken as "
        "-1000 to 1000 HU. auto takes the values as HU and warns where they hardly are.",
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
    help="Reconstruct this measured sinogram (HDF5) instead of simulating one from a volume.",
)
@option(
    "--unit",
    group="Input",
    type=click.Choice(["HU", "1/cm", "none"], case_sensitive=False),
    default="HU",
    help="Unit of a volume that is reconstructed from --sinogram: Hounsfield units, attenuation in 1/cm, or none for "
    "attenuation times the width of a voxel, where the lengths are not to be trusted.",
)
@geometry_options
@option(
    "--centre",
    group="Geometry",
    default=None,
    metavar="auto|MM",
    help="Place where the axis of rotation falls on the detector, in mm from its middle towards the last cell; auto "
    "finds it from the data; needs --sinogram.  [default: what the geometry's offset says]",
)
@all_of(noise_options, simulate_option, scanner_options)
@option(
    "--model-error",
    group="Noise",
    type=click.Choice(["auto", "correct", "leave"]),
    default="auto",
    help="What becomes of the part of the data that no image of these pixels explains: correct estimates it on a finer "
    "grid and takes it off; auto does so for all scans but those of --simulate ideal, which have no such part.",
)
@method_options("CT")
@output_options("Folder for the results.  [default: recon-CASE-svct-GEOMETRY-VIEWS-METHOD]")
@option("--dicom", group="Output", is_flag=True, help="Also write a DICOM series; the input must be a DICOM series.")
@figure_options
def svct(
    path: Path | None,
    source: Path | None,
    nan: NaNs,
    resample: bool,
    series: str | None,
    intensity: str,
    sinogram: Path | None,
    unit: CTUnit,
    geometry: str,
    views: int | None,
    arc: float | None,
    start: float,
    order: str,
    centre: str | None,
    photons: float | None,
    electronic_noise: float | None,
    simulate: Simulation,
    focal_spot: float | None,
    scatter: float | None,
    gain_error: float | None,
    dead_cells: float | None,
    grid: str | None,
    model_error: ModelError,
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
    """Reconstruct CT from few views.

    From a CT volume, the command simulates a scan of few views (40 by default), reconstructs it, and compares the
    result with the volume. From a measured sinogram, it reconstructs the volume and reports how well it explains the
    data.

    \b
    recon svct case.nii.gz --views 40
    recon svct dicom_folder --geometry limited90 --photons 1e5 --dicom
    recon svct --sinogram scan.h5 --method sirt --set iterations=300
    """
    source = one_input(path, source)
    if sinogram:
        _check_alone("sinogram", _OF_VOLUMES)
    elif centre is not None:
        raise click.UsageError("--centre is for measured data; it needs --sinogram")
    elif unit != "HU":
        raise click.UsageError("--unit is for measured data; it needs --sinogram")
    noise = parse_noise(photons, electronic_noise)
    scanner = parse_scanner(focal_spot, scatter, gain_error, dead_cells)
    from datasets import sample
    from recon.run.devices import select_device
    from recon.run.measure import measure_ct

    place = select_device(device)
    chosen = None
    if not sinogram:
        from recon.acquisition.ct import choose_geometry

        chosen = choose_geometry(geometry, views, arc, start, order)
    wanted = Order(
        modality="CT",
        source=sinogram or source or sample.path("ct"),
        scan=f"{Path(geometry).stem}-{chosen.views}views" if chosen else "",
        methods=parse_methods(method),
        settings=parse_settings(settings, weights, prior),
        seed=seed,
        output=output,
        overwrite=overwrite,
        dicom=dicom,
        figures=parse_figures(png, window, slices),
        as_json=as_json,
        quiet=quiet,
        unit=unit,
    )
    wanted.check()
    data: Volume | Sinogram
    if sinogram:
        data = read_sinogram(sinogram)
    else:
        data = read_ct(source, series, intensity, nan, quiet, resample)
        if dicom:
            from recon.run.save import check_dicom

            check_dicom(data)
    with progress_bar(quiet) as progress:
        simulation = None if sinogram else simulate
        scan = measure_ct(
            data, chosen, noise, seed, place, simulation, model_error, progress, scanner, parse_pair("grid", grid, ",")
        )
    wanted.fulfil(scan)


_OF_VOLUMES = (
    "path",
    "source",
    "nan",
    "resample",
    "simulate",
    "focal_spot",
    "scatter",
    "gain_error",
    "dead_cells",
    "grid",
    "series",
    "intensity",
    "views",
    "arc",
    "start",
    "order",
    "dicom",
)
"""Arguments that a measured sinogram leaves no meaning to."""


def _check_alone(name: str, others: tuple[str, ...]) -> None:
    """Refuse an option that stands beside another one which leaves it no meaning."""
    context = click.get_current_context()
    for other in others:
        if context.get_parameter_source(other) is ParameterSource.COMMANDLINE:
            flag = "input" if other in ("path", "source") else other.replace("_", "-")
            raise click.UsageError(f"--{name} and --{flag} exclude each other: leave one of them out")


def parse_scanner(
    focal_spot: float | None, scatter: float | None, gain_error: float | None, dead_cells: float | None
) -> Scanner | None:
    """The simulated scanner of the options; None where none is given."""
    if focal_spot is scatter is gain_error is dead_cells is None:
        return None
    from physics.ct.finite_cells import Aperture
    from recon.acquisition.continuous import Scanner

    with input_errors():
        return Scanner(Aperture(focal_spot=focal_spot or 0.0), scatter or 0.0, gain_error or 0.0, dead_cells or 0.0)


def parse_noise(photons: float | None, electronic: float | None) -> TransmissionNoise | None:
    """The noise of ``--photons`` and ``--electronic-noise``; None for noise-free data."""
    if photons is None:
        if electronic is not None:
            raise click.UsageError("--electronic-noise needs --photons")
        return None
    from physics.noise import TransmissionNoise

    with input_errors("--photons, --electronic-noise"):
        return TransmissionNoise(photons, electronic or 0.0)


def read_ct(
    source: Path | None, series: str | None, intensity: Any, nan: NaNs, quiet: bool, resample: bool = False
) -> Volume:
    """The input volume in HU, or the sample; what is doubtful about it is printed."""
    from recon.run.load import load
    from recon.scan.volume import Volume

    volume = load(source, "CT", series=series, intensity=intensity, nan=nan, resample=resample)
    if not isinstance(volume, Volume):
        raise InputError(f"{source}: a sinogram; give it as --sinogram")
    for notice in volume.notices:
        say(f"note: {notice}", quiet)
    return volume


def read_sinogram(path: Path) -> Sinogram:
    """The sinogram in a file, with the geometry and the centre of rotation that the command line states instead.

    Raises:
        InputError: the file holds something else, or what is stated does not fit it.
    """
    from recon.io.sinogram import Sinogram
    from recon.run.load import load

    sinogram = load(path, "CT")
    if not isinstance(sinogram, Sinogram):
        raise InputError(f"{path}: a volume; give it as --input")
    context = click.get_current_context()
    stated, centre, quiet = (context.params[name] for name in ("geometry", "centre", "quiet"))
    if context.get_parameter_source("geometry") is ParameterSource.COMMANDLINE:
        from recon.acquisition.ct import with_geometry

        sinogram = with_geometry(sinogram, stated)
    if centre is not None:
        from recon.acquisition.rotation_centre import parse_centre, with_centre

        with progress_bar(quiet) as progress:
            sinogram = with_centre(sinogram, parse_centre(centre), progress)
    for notice in sinogram.notices:
        say(f"note: {notice}", quiet)
    return sinogram
