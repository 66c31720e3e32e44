"""``recon import``: measured CT projections of other programs as a sinogram."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click

from recon.cli.console import progress_bar, say
from recon.cli.options import PATH, GroupedCommand, all_of, option, parse_pair

_data_options = all_of(
    option(
        "--variable",
        group="Data",
        default=None,
        metavar="NAME",
        help="Name of the array in a file that holds several; structs are dotted, such as CtData.sinogram.",
    ),
    option(
        "--axes",
        group="Data",
        default=None,
        metavar="AXES",
        help="Axes of the array: v (views), c (cells) and, where there are several detector rows, z; such as cv or "
        "vzc.  [default: cells last, views by their number]",
    ),
    option("--rows", group="Data", default=None, metavar="ROW|FIRST:STOP", help="Take these detector rows only."),
    option(
        "--minus-log/--no-minus-log",
        "minus_log",
        group="Data",
        default=None,
        help="The data are counts or transmissions, of which minus the logarithm is taken; or they are line integrals "
        "already.  [default: what the file says; minus the logarithm where there is a flat]",
    ),
    option(
        "--flat",
        group="Data",
        default=None,
        metavar="FILE|NUMBER|NAME",
        help="Readings without an object: a file, a number of counts, or the name of an array in the same file.",
    ),
    option(
        "--dark",
        group="Data",
        default=None,
        metavar="FILE|NUMBER|NAME",
        help="Readings without a beam, given in the same way.",
    ),
    option(
        "--bin",
        "bin_width",
        group="Data",
        type=int,
        default=1,
        help="Bin so many cells to one, before the logarithm where there are counts.",
    ),
    option(
        "--rings",
        group="Data",
        is_flag=True,
        help="Take off what single cells add to every view, which the image shows as rings.",
    ),
)

_scanner_options = all_of(
    option(
        "--geometry",
        group="Scanner",
        default=None,
        metavar="FILE",
        help="YAML file with the scanner's geometry (docs/sinograms.md; of cone beams docs/cone-beam.md). It may leave "
        "out the angles where the data or "
        "--angles have them. Not needed where the data state their geometry.",
    ),
    option(
        "--angles",
        group="Scanner",
        default=None,
        metavar="FILE|NAME",
        help="View angles: a text file (CSV) with one angle a line, or the name of an array in the same file.",
    ),
    option(
        "--angle-unit",
        group="Scanner",
        type=click.Choice(["degrees", "radians"]),
        default=None,
        help="Unit of the angles.  [default: degrees]",
    ),
    option(
        "--centre",
        group="Scanner",
        default=None,
        metavar="auto|MM",
        help="Place where the axis of rotation falls on the detector, in mm from its middle towards the last cell; "
        "auto finds it from the data.  [default: what the geometry's offset says]",
    ),
)

_grid_options = all_of(
    option(
        "--grid",
        group="Image",
        default=None,
        metavar="ROWS,COLUMNS",
        help="Pixels of the image.  [default: as many as the scanner sees from all sides]",
    ),
    option(
        "--pixel", group="Image", type=float, default=None, metavar="MM", help="Size of a pixel.  [default: a cell]"
    ),
    option(
        "--slice-spacing",
        group="Image",
        type=float,
        default=None,
        metavar="MM",
        help="Distance between detector rows at the isocentre; of a cone beam, between slices.  [default: that of "
        "cells]",
    ),
    option(
        "--slices",
        group="Image",
        type=int,
        default=None,
        metavar="NUMBER",
        help="Number of slices of a cone beam's volume.  [default: as many as the detector sees]",
    ),
)


@click.command("import", cls=GroupedCommand)
@click.argument("files", type=PATH, nargs=-1, required=True)
@_data_options
@_scanner_options
@_grid_options
@option(
    "-o",
    "--output",
    group="Output",
    type=PATH,
    default=None,
    metavar="PATH",
    help="File to write.  [default: sinogram.h5]",
)
@option("--overwrite", group="Output", is_flag=True, help="Replace the output of an earlier run.")
@option("--json", "as_json", group="Output", is_flag=True, help="Print what was done as JSON to standard output.")
@option("-q", "--quiet", group="Output", is_flag=True, help="Print only the path of the output.")
def import_command(
    files: tuple[Path, ...],
    variable: str | None,
    axes: str | None,
    rows: str | None,
    minus_log: bool | None,
    flat: str | None,
    dark: str | None,
    bin_width: int,
    rings: bool,
    geometry: str | None,
    angles: str | None,
    angle_unit: Literal["degrees", "radians"] | None,
    centre: str | None,
    grid: str | None,
    pixel: float | None,
    slice_spacing: float | None,
    slices: int | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a sinogram of measured CT projections, which 'recon svct --sinogram' reconstructs.

    FILES is one array (.npy, .npz, MATLAB, HDF5), a Data Exchange file, or a stack of TIFF files or the folder that
    holds them. What is assumed is printed, one line each.

    \b
    recon import projections.npy --geometry scanner.yaml -o scan.h5
    recon import tooth.h5 --geometry parallel.yaml --rows 0:1 --centre auto -o tooth-scan.h5
    recon import views/ --flat flats.tif --dark darks.tif --geometry scanner.yaml --angles angles.csv
    recon import views/ --flat flats.tif --geometry cone.yaml --bin 2 -o scan.h5
    """
    from recon.io.atomic import check_output, output_file

    target = output or Path("sinogram.h5")
    check_output(target, overwrite, folder=False, inputs=[path for path in files if path.exists()])
    from recon.acquisition.import_projections import import_projections
    from recon.acquisition.import_request import ImportRequest
    from recon.acquisition.rotation_centre import parse_centre
    from recon.io.sinogram import write_sinogram

    request = ImportRequest(
        paths=files,
        geometry=geometry,
        variable=variable,
        axes=axes,
        angles=angles,
        angle_unit=angle_unit,
        flat=flat,
        dark=dark,
        minus_log=minus_log,
        bin=bin_width,
        rows=_rows(rows),
        grid=parse_pair("grid", grid, ","),
        pixel=pixel,
        slice_spacing=slice_spacing,
        slices=slices,
        rings=rings,
        centre=None if centre is None else parse_centre(centre),
    )
    with progress_bar(quiet) as progress:
        sinogram = import_projections(request, progress)
    with output_file(target, overwrite) as temporary:
        write_sinogram(temporary, sinogram)
    _done(target, sinogram, as_json, quiet)


def _rows(text: str | None) -> tuple[int, int] | None:
    """First row and the one after the last, of ``3`` or ``3:8``."""
    if text is not None and text.isdecimal():
        return int(text), int(text) + 1
    return parse_pair("rows", text, ":")


def _done(path: Path, sinogram: Any, as_json: bool, quiet: bool) -> None:
    from physics.ct.scan_geometry import scan_geometry_from_dict

    words = scan_geometry_from_dict(sinogram.geometry).describe()
    if as_json:
        facts = {"output": str(path), "geometry": sinogram.geometry | {"description": words}}
        facts |= {"shape": sinogram.shape, "notices": sinogram.notices, "meta": sinogram.meta}
        click.echo(json.dumps(facts, indent=2))
        return
    for notice in sinogram.notices:
        say(f"note: {notice}", quiet)
    say(f"{words[0].upper()}{words[1:]}.", quiet)
    click.echo(click.format_filename(path))
