"""``recon simulate``: measurements from volumes, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from recon.cli.console import memory_errors, say
from recon.cli.mri import check_noise, input_options, load_mr, mask_options
from recon.cli.options import SEED, GroupedCommand, all_of, help_alone, option, output_options
from recon.cli.svct import geometry_options, load_ct, noise_options, parse_noise, project, volume_options
from recon.errors import InputError

_seed = option("--seed", group="Noise", type=SEED, default=0, help="Seed of the noise (a whole number).")


@click.group(invoke_without_command=True)
@click.pass_context
def simulate(ctx: click.Context) -> None:
    """Write a simulated measurement: a sinogram, or undersampled k-space."""
    help_alone(ctx)


@simulate.command("svct", cls=GroupedCommand)
@volume_options
@geometry_options
@all_of(noise_options, _seed)
@output_options("File to write.  [default: sinogram.h5]")
def simulate_sinogram(
    source: Path | None,
    series: str | None,
    intensity: str,
    geometry: str,
    views: int | None,
    arc: float | None,
    start: float,
    order: str,
    photons: float | None,
    electronic_noise: float | None,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the sinogram of a CT volume (HDF5), for 'recon svct --sinogram'."""
    from recon.io.atomic import check_output, output_file

    path = output or Path("sinogram.h5")
    check_output(path, overwrite, folder=False)
    _check_not_input(path, source)
    noise = parse_noise(photons, electronic_noise)
    from recon.acquisition.ct import choose_geometry, sinogram_of

    chosen = choose_geometry(geometry, views, arc, start, order)
    volume, _ = load_ct(source, series, intensity, quiet)
    measurement = project(volume, chosen, noise, seed, "cpu", "fbp")
    from recon.io.sinogram import write_sinogram

    with output_file(path, overwrite) as temporary:
        write_sinogram(temporary, sinogram_of(measurement, volume, seed))
    _done(path, measurement.protocol.sentences, {"geometry": measurement.protocol.geometry}, as_json, quiet)


@simulate.command("mri", cls=GroupedCommand)
@input_options
@mask_options
@_seed
@output_options("File to write.  [default: kspace.h5]")
def simulate_kspace_file(
    source: Path | None,
    axes: str | None,
    series: str | None,
    mask: str | None,
    accel: float | None,
    calib: int | None,
    mask_seed: int | None,
    noise: float,
    seed: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write undersampled k-space (HDF5, fastMRI's layout) with its mask and reference, for 'recon mri'."""
    from recon.io.atomic import check_output, output_file

    path = output or Path("kspace.h5")
    check_output(path, overwrite, folder=False)
    _check_not_input(path, source)
    check_noise(noise)
    from recon.acquisition.mr import MaskRequest, kspace_of, mr_case
    from recon.io.kspace import write_kspace
    from recon.run.memory import mr_bytes

    data, _ = load_mr(source, axes, series, quiet)
    if getattr(data, "mask", None) is not None:
        raise InputError(f"{source}: undersampled already; give fully sampled k-space or a volume")
    with memory_errors(mr_bytes(data.data.numel())):
        case = mr_case(data, MaskRequest(mask, accel, calib, mask_seed), noise, seed, "cpu")
    with output_file(path, overwrite) as temporary:
        write_kspace(temporary, kspace_of(case, data))
    protocol = case.measurement.protocol
    facts = {"mask": protocol.mask, "true_acceleration": protocol.true_acceleration}
    _done(path, protocol.sentences, facts, as_json, quiet)


def _check_not_input(path: Path, source: Path | None) -> None:
    if source is not None and source.exists() and path.exists() and path.samefile(source):
        raise InputError(f"--output {path}: is the input; choose another name")


def _done(path: Path, sentences: tuple[str, ...], facts: Mapping[str, object], as_json: bool, quiet: bool) -> None:
    if as_json:
        import json

        click.echo(json.dumps({"output": str(path), **facts}, indent=2))
        return
    for sentence in sentences:
        say(sentence, quiet)
    click.echo(click.format_filename(path))
