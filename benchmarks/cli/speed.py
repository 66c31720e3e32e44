"""``benchmarks speed`` and ``speed-prior``: how fast, beside what."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from recon.cli.flags import FlaggedCommand

Row = dict[str, str | float]


@click.command(cls=FlaggedCommand)
@click.argument(
    "what",
    nargs=-1,
    type=click.Choice(["projector", "fbp", "slice", "mri", "bart", "memory", "cone", "cone-memory"]),
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Number of timed runs of each implementation.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def speed(what: tuple[str, ...], repeats: int, as_json: bool) -> None:
    """Time the suite and well-known implementations alternately in one process; without an argument, all comparisons.

    \b
    projector  forward projection and adjoint, 40 views, 64 slices of 512², beside ASTRA's CPU projector
    fbp        fan-beam FBP of the same data, beside skimage's iradon
    slice      FBP and SART of one slice, beside ASTRA's backprojection and SART
    mri        cg-sense, l1-wavelet and coil maps beside sigpy's apps on the same problem, and how well they agree
    bart       transform, coil maps, cg-sense and l1-wavelet beside BART and sigpy, along spokes too; needs bart
    memory     peak memory of recon svct on 512 x 512 x 300, sirt and tv
    cone       cone beam, forward and adjoint of 256³, 90 views, beside RTK's Joseph projector (RTK_PYTHON names the
               interpreter that has itk-rtk)
    cone-memory  time and peak memory of FDK and an iteration of SIRT, 512³ voxels, 360 views
    """
    rows: list[Row] = []
    for name in what or tuple(_parts()):
        new = _parts()[name](repeats)
        rows += new
        if not as_json:
            for row in new:
                click.echo(_line(row))
    if as_json:
        click.echo(json.dumps(rows, indent=2))


@click.command("speed-prior", cls=FlaggedCommand)
@click.argument("part", nargs=-1, type=click.Choice(["encode", "estimate", "decode", "generate", "deviation"]))
@click.option(
    "--configuration",
    multiple=True,
    default=("official-8x", "official-4x"),
    show_default=True,
    metavar="NAME",
    help="Configuration of the networks; may be repeated.",
)
@click.option(
    "--size",
    default="128,128,128",
    show_default=True,
    metavar="X,Y,Z",
    help="Number of voxels of the image along X, Y and Z.",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Device that computes."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Floating-point precision of the networks.",
)
@click.option("--compile", "compiled", is_flag=True, help="Compile the noise estimator by torch.compile.")
@click.option(
    "--steps", type=click.IntRange(1), default=4, show_default=True, help="Number of sampler steps of the generation."
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def speed_prior(
    part: tuple[str, ...],
    configuration: tuple[str, ...],
    size: str,
    device: str,
    dtype: str,
    compiled: bool,
    steps: int,
    as_json: bool,
) -> None:
    """Measure time and peak memory of the parts of 3D MedDiffusion, each in a process of its own.

    Without an argument, all parts are measured. The weights are random: time and memory do not depend on them. The
    configurations are official-8x, official-4x and small.
    """
    from benchmarks.speed import prior
    from benchmarks.speed.prior_parts import CONFIGURATIONS, Job

    unknown = set(configuration) - set(CONFIGURATIONS)
    if unknown:
        raise click.BadParameter(
            f"{', '.join(unknown)}; one of {', '.join(CONFIGURATIONS)}", param_hint="--configuration"
        )
    try:
        x, y, z = (int(n) for n in size.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{size}: three voxel counts X,Y,Z are wanted", param_hint="--size") from error
    rows: list[Row] = []
    for name in configuration:
        job = Job("estimate", name, (z, x, y), device, dtype, compile=compiled, steps=steps)
        for row in prior.run(job, part or ("encode", "estimate", "decode", "generate", "deviation")):
            rows.append(row)
            if not as_json:
                click.echo(_line(row))
    if as_json:
        click.echo(json.dumps(rows, indent=2))


def _parts() -> dict[str, Callable[[int], list[Row]]]:
    from benchmarks.speed import bart, cone, ct, mri

    return {
        "projector": ct.projector,
        "fbp": ct.filtered_backprojection,
        "slice": ct.single_slice,
        "mri": mri.run,
        "bart": bart.run,
        "memory": lambda _: ct.memory("sirt") + ct.memory("tv"),
        "cone": cone.run,
        "cone-memory": lambda _: cone.memory(),
    }


def _line(row: Row) -> str:
    """``name: figure value, …`` with the ratio as "N times faster"."""
    figures = [f"{key.replace('_', ' ')} {value:.3g}" for key, value in row.items() if isinstance(value, float)]
    return f"{row['name']}: " + ", ".join(figures)
