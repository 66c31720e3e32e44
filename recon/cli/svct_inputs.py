"""What the options of commands that scan CT volumes mean: noise, the simulated scanner, the volume or the sinogram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recon.cli.console import progress_bar, say
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from physics.noise import TransmissionNoise
    from recon.acquisition.continuous import Scanner
    from recon.io.intensity import NaNs
    from recon.io.sinogram import Sinogram
    from recon.scan.volume import Volume


def parse_scanner(
    focal_spot: float | None,
    scatter: float | None,
    gain_error: float | None,
    dead_cells: float | None,
    spectrum: float | None,
    simulate: str | None,
) -> Scanner | None:
    """The simulated scanner of the options; None where none is given."""
    if focal_spot is scatter is gain_error is dead_cells is spectrum is None:
        return None
    if simulate == "ideal":
        flags = "--focal-spot, --scatter, --gain-error, --dead-cells and --spectrum"
        raise click.UsageError(f"{flags} have no effect with --simulate ideal")
    from physics.ct.finite_cells import Aperture
    from recon.acquisition.continuous import Scanner
    from recon.acquisition.spectrum import tube_spectrum

    beam = None if spectrum is None else tube_spectrum(spectrum)
    with input_errors():
        spot = Aperture(focal_spot=focal_spot or 0.0)
        return Scanner(spot, scatter or 0.0, gain_error or 0.0, dead_cells or 0.0, beam)


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
