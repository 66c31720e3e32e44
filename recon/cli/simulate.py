"""``recon simulate``: measurements from volumes, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recon.cli.console import say
from recon.cli.mri import input_options, mask_options, read_mr, say_notices, trajectory_options
from recon.cli.options import SEED, GroupedCommand, all_of, help_alone, one_input, option, output_options, parse_pair
from recon.cli.svct_inputs import parse_noise, parse_scanner, read_ct
from recon.cli.svct_options import geometry_options, noise_options, scanner_options, simulate_option, volume_options
from recon.errors import InputError

if TYPE_CHECKING:
    from recon.io.intensity import NaNs
    from recon.run.measure import Simulation
    from recon.scan.kspace import KSpace
    from recon.scan.measurement import Scan
    from recon.scan.volume import Volume

_seed = option("--seed", group="Noise", type=SEED, default=0, help="Seed of the noise (a whole number).")


@click.group(invoke_without_command=True)
@click.pass_context
def simulate(ctx: click.Context) -> None:
    """Simulate a measurement and write it to a file: a sinogram, or undersampled k-space."""
    help_alone(ctx)


@simulate.command("svct", cls=GroupedCommand)
@volume_options
@geometry_options
@all_of(noise_options, simulate_option, scanner_options, _seed)
@output_options("HDF5 file to write.  [default: sinogram.h5]")
def simulate_sinogram(
    path: Path | None,
    source: Path | None,
    nan: NaNs,
    resample: bool,
    series: str | None,
    intensity: str,
    geometry: str,
    views: int | None,
    arc: float | None,
    start: float | None,
    order: str | None,
    photons: float | None,
    electronic_noise: float | None,
    simulate: Simulation,
    focal_spot: float | None,
    scatter: float | None,
    gain_error: float | None,
    dead_cells: float | None,
    spectrum: float | None,
    grid: str | None,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Simulate a CT scan and write its sinogram (HDF5), which 'recon svct --sinogram' reconstructs."""
    from recon.io.atomic import check_output, output_file

    source, target = one_input(path, source), output or Path("sinogram.h5")
    check_output(target, overwrite, folder=False, inputs=[source] if source else [])
    noise = parse_noise(photons, electronic_noise)
    from recon.acquisition.ct import choose_scan_geometry, sinogram_of
    from recon.io.sinogram import write_sinogram
    from recon.run.measure import measure_ct

    chosen = choose_scan_geometry(geometry, views, arc, start, order)
    volume = read_ct(source, series, intensity, nan, quiet, resample)
    scanner, pixels = (
        parse_scanner(focal_spot, scatter, gain_error, dead_cells, spectrum, simulate),
        parse_pair("grid", grid, ","),
    )
    scan = measure_ct(volume, chosen, noise, seed, simulate=simulate, model_error="leave", scanner=scanner, grid=pixels)
    measurement = scan.measurement
    with output_file(target, overwrite) as temporary:
        write_sinogram(temporary, sinogram_of(measurement, scan.grid, seed, simulate))
    _done(target, measurement.protocol.sentences, {"geometry": measurement.protocol.geometry}, as_json, quiet)


@simulate.command("mri", cls=GroupedCommand)
@input_options
@mask_options
@trajectory_options
@_seed
@output_options("HDF5 file to write.  [default: kspace.h5]")
def simulate_kspace_file(
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
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Undersample k-space and write it (HDF5, fastMRI's layout) with its mask and ground truth, for 'recon mri'.

    With --trajectory, the samples lie along it, and the file holds its coordinates.
    """
    from recon.io.atomic import check_output, output_file

    source, target = one_input(path, source), output or Path("kspace.h5")
    check_output(target, overwrite, folder=False, inputs=[source] if source else [])
    from recon.acquisition.mr import DEFAULT_MASK
    from recon.run.measure import check_noise, measure_mr
    from recon.scan.non_cartesian_kspace import NonCartesianKSpace
    from recon.scan.volume import Volume

    check_noise(noise or 0.0)
    data = read_mr(source, axes, series, nan, resample)
    if getattr(data, "mask", None) is not None or isinstance(data, NonCartesianKSpace):
        raise InputError(f"{source}: undersampled already; give fully sampled k-space or a volume")
    if trajectory is not None and not isinstance(data, Volume):
        raise InputError(f"--trajectory: {source} is k-space on a grid; only scans of volumes are simulated along one")
    # Complete k-space is undersampled here, or there is nothing to do.
    chosen = DEFAULT_MASK if mask is None and trajectory is None else mask
    scan = measure_mr(
        *(data, chosen, accel, calib, mask_seed, noise, seed),
        simulate=simulate,
        coils=coils,
        trajectory=trajectory,
        spokes=spokes,
    )
    say_notices(data, quiet)
    with output_file(target, overwrite) as temporary:
        _write(temporary, scan, data, trajectory, spokes)
    protocol = scan.measurement.protocol
    facts = {"mask": protocol.mask, "true_acceleration": protocol.true_acceleration}
    _done(target, protocol.sentences, facts, as_json, quiet)


def _write(path: Path, scan: Scan, data: Volume | KSpace, trajectory: str | None, spokes: int | None) -> None:
    """k-space on its grid, or along the trajectory that the scan was simulated along."""
    if trajectory is None:
        from recon.acquisition.mr import kspace_of
        from recon.io.kspace.file import write_kspace

        write_kspace(path, kspace_of(scan, data))
        return
    from recon.acquisition.measured_off_grid import off_grid_of
    from recon.acquisition.non_cartesian_mr import choose_trajectory
    from recon.io.kspace.off_grid_files import write_off_grid

    _, y, x = scan.grid.data.shape
    kind, coordinates = choose_trajectory(trajectory, spokes, (y, x))
    write_off_grid(path, off_grid_of(scan, kind, coordinates))


def _done(path: Path, sentences: tuple[str, ...], facts: Mapping[str, object], as_json: bool, quiet: bool) -> None:
    if as_json:
        import json

        click.echo(json.dumps({"output": str(path), **facts}, indent=2))
        return
    for sentence in sentences:
        say(sentence, quiet)
    click.echo(click.format_filename(path))
