"""The options of commands that scan CT volumes: input, geometry, noise and the simulated scanner."""

from __future__ import annotations

import click

from recon.cli.options import PATH, all_of, nan_option, option, resample_option

geometry_options = all_of(
    option(
        "--geometry",
        group="Geometry",
        default="paper40",
        metavar="NAME|FILE",
        help="Geometry of the scan: a preset (cone180, limited90, paper40, sparse20) or a YAML file, with distances in "
        "mm and angles in degrees. With 'recon svct --sinogram' it replaces the file's own, whose angles stay where "
        "the YAML has none.",
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
    option(
        "--start",
        group="Geometry",
        type=float,
        default=None,
        metavar="DEGREES",
        help="Angle of the first view.  [default: the geometry's own]",
    ),
    option(
        "--order",
        group="Geometry",
        type=click.Choice(["uniform", "golden"]),
        default=None,
        help="Spread the views evenly (uniform), or by the golden angle over the full circle (golden).  [default: the "
        "geometry's own]",
    ),
)

noise_options = all_of(
    option(
        "--photons",
        group="Noise",
        type=float,
        default=None,
        help="Number of photons that reach a detector cell in one view when nothing is in the beam. Without this "
        "option, simulated data are noise-free, and the noise of measured data ('recon svct --sinogram') is what the "
        "file says, or is estimated from the data.",
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
        "--spectrum",
        group="Simulated scanner",
        type=float,
        default=None,
        metavar="KV",
        help="Tube voltage of a beam with a spectrum of energies, through water and bone; the data are corrected for "
        "the hardening by water, as scanners do. Needs spekpy.  [default: photons of one energy]",
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
