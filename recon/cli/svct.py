"""``recon svct``: sparse-view CT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from recon.cli.console import progress_bar
from recon.cli.options import (
    PATH,
    GroupedCommand,
    all_of,
    figure_options,
    method_options,
    one_input,
    option,
    output_options,
    parse_figures,
    parse_pair,
    parse_settings,
)
from recon.cli.reconstruct import Order
from recon.cli.settings import parse_methods
from recon.cli.svct_inputs import parse_noise, parse_scanner, read_ct, read_sinogram
from recon.cli.svct_options import geometry_options, noise_options, scanner_options, simulate_option, volume_options

if TYPE_CHECKING:
    from recon.acquisition.model_error import ModelError
    from recon.io.intensity import NaNs
    from recon.io.sinogram import Sinogram
    from recon.run.measure import Simulation
    from recon.scan.units import CTUnit
    from recon.scan.volume import Volume


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
    start: float | None,
    order: str | None,
    centre: str | None,
    photons: float | None,
    electronic_noise: float | None,
    simulate: Simulation,
    focal_spot: float | None,
    scatter: float | None,
    gain_error: float | None,
    dead_cells: float | None,
    spectrum: float | None,
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
    scanner = parse_scanner(focal_spot, scatter, gain_error, dead_cells, spectrum, simulate)
    from datasets import sample
    from recon.run.devices import select_device
    from recon.run.measure import measure_ct

    place = select_device(device)
    chosen = None
    if not sinogram:
        from recon.acquisition.ct import choose_scan_geometry

        chosen = choose_scan_geometry(geometry, views, arc, start, order)
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
    "spectrum",
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
