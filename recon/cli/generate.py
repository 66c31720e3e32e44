"""``recon generate``: new volumes from a prior."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from recon.cli.console import progress_bar, say
from recon.cli.options import PATH, SEED, GroupedCommand, option, output_options
from recon.errors import input_errors

if TYPE_CHECKING:
    from priors.diffusion.anatomy import Anatomy, Size
    from priors.generators.generator import Generator
    from priors.networks.patient import Patient


def _class_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from priors.diffusion.anatomy import CLASSES

    return [anatomy.name for anatomy in CLASSES if anatomy.name.lower().startswith(incomplete.lower())]


@click.command(cls=GroupedCommand)
@option(
    "--class",
    "class_name",
    group="Volume",
    default=None,
    metavar="NAME",
    shell_complete=_class_names,
    help="Anatomy to generate: CTHeadNeck, CTChestAbdomen, CTLegs, MRT1Brain, MRT2Brain (FLAIR), MRAbdomen or MRKnee. "
    "It may be left out with --mask.  [default with --mask: the class that the head was trained on]",
)
@option(
    "--size",
    group="Volume",
    default=None,
    metavar="X,Y,Z",
    help="Number of voxels along X, Y and Z.  [default: the size that the prior was trained on]",
)
@option(
    "--spacing",
    group="Volume",
    default=None,
    metavar="X,Y,Z",
    help="Voxel size in mm that the file states.  [default: the voxel size that the prior was trained on]",
)
@option(
    "--output-spacing",
    group="Volume",
    default=None,
    metavar="X,Y,Z",
    help="Voxel size in mm at which the volume is decoded and written, finer or coarser than --spacing; both cover the "
    "same place. It needs an implicit decoder, see --decoder.  [default: that of --spacing]",
)
@option(
    "--decoder",
    group="Volume",
    type=PATH,
    default=None,
    metavar="FILE",
    help="Implicit decoder for --output-spacing, of the prior's own autoencoder: 'recon train implicit-decoder' trains "
    "one.  [default: implicit-decoder.safetensors in the prior's folder]",
)
@option(
    "--mask",
    group="Mask",
    type=PATH,
    default=None,
    metavar="FILE",
    help="Segmentation (NIfTI) for which a CT volume is generated on the segmentation's own grid; it is written beside "
    "the volume as NAME_mask. It needs --head.",
)
@option(
    "--head",
    group="Mask",
    default=None,
    metavar="FILE|NAME",
    help="ControlNet head that is shown the segmentation: 'recon train controlnet --task mask' trains one.",
)
@option(
    "--body",
    group="Mask",
    type=PATH,
    default=None,
    metavar="FILE",
    help="CT image in HU on the segmentation's grid, whose outline becomes the label of the body. For segmentations "
    "without that label.",
)
@option(
    "--age",
    group="Patient",
    type=float,
    default=None,
    metavar="YEARS",
    help="Age of the person that the volume shows, 0 to 120 years, for a prior that learned ages: 'recon train "
    "biflownet' with --set task.patient=true trains one.  [default: not told]",
)
@option(
    "--sex",
    group="Patient",
    type=click.Choice(["female", "male"]),
    default=None,
    help="Sex of the person that the volume shows, for a prior that learned it.  [default: not told]",
)
@option(
    "--guidance",
    group="Patient",
    type=float,
    default=None,
    metavar="SCALE",
    help="Scale of the effect of --age and --sex (classifier-free guidance): above 1 it is stronger than learned. Any "
    "other scale than 1 doubles the time of a step.  [default: 1]",
)
@option(
    "--prior",
    "prior_name",
    group="Prior",
    default="starter",
    metavar="NAME|FOLDER",
    help="Prior to sample from: a name that 'recon weights list' shows, or a folder, such as that of another method "
    "that 'recon train' has trained. 'recon weights import' adds official weights. With --head, it is the head's own "
    "prior unless this option is given.",
)
@option(
    "--sampler",
    group="Sampling",
    type=click.Choice(["ddim", "ddpm", "dpm++", "rflow"]),
    default=None,
    help="Sampler of the reverse diffusion.  [default: the method's own; ddim for 3D MedDiffusion]",
)
@option(
    "--steps",
    group="Sampling",
    type=click.IntRange(1),
    default=None,
    help="Number of steps of the sampler.  [default: the method's own; for 3D MedDiffusion 50, or what the prior was "
    "distilled for]",
)
@option(
    "--timesteps",
    group="Sampling",
    type=click.Choice(["linspace", "leading", "trailing", "logsnr"]),
    default=None,
    help="How the steps of the sampler are spread over the diffusion.  [default: linspace; logsnr for dpm++]",
)
@option(
    "--start",
    group="Sampling",
    type=click.Choice(["average", "noise"]),
    default="average",
    help="Start the sampler from the class average with noise added, where the prior knows an average (average), or "
    "from noise alone (noise).",
)
@option("--seed", group="Sampling", type=SEED, default=0, help="Seed of all random numbers (a whole number).")
@option(
    "--count",
    group="Sampling",
    type=click.IntRange(1),
    default=1,
    help="Number of volumes to generate. Their seeds are --seed, --seed + 1 and so on, and stand in the file names.",
)
@option(
    "--batch",
    group="Sampling",
    type=click.IntRange(1),
    default=1,
    help="Number of volumes that are sampled together. More are faster on a GPU and take more memory; rounding changes "
    "the results slightly.",
)
@option(
    "--device",
    group="Sampling",
    default="auto",
    metavar="DEVICE",
    help="Device that computes: auto (a GPU if there is one), cpu, cuda or cuda:N.",
)
@option(
    "--dtype",
    group="Sampling",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    help="Floating-point precision of the networks. Half precision is faster on a GPU, but less exact.",
)
@option(
    "--compile",
    "compiled",
    group="Sampling",
    is_flag=True,
    help="Compile the noise estimator; its steps are then faster, after a minute or more of preparation.",
)
@output_options("NIfTI file to write; a .json file is written beside it.  [default: CLASS.nii.gz]")
@option("--preview", group="Output", is_flag=True, help="Also write a PNG picture of the three middle planes.")
@click.pass_context
def generate(
    ctx: click.Context,
    /,
    class_name: str | None,
    size: str | None,
    spacing: str | None,
    output_spacing: str | None,
    decoder: Path | None,
    mask: Path | None,
    head: str | None,
    body: Path | None,
    age: float | None,
    sex: Any,
    guidance: float | None,
    prior_name: str,
    sampler: str | None,
    steps: int | None,
    timesteps: Any,
    start: Any,
    seed: int,
    count: int,
    batch: int,
    device: str,
    dtype: str,
    compiled: bool,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    preview: bool,
) -> None:
    """Make new CT or MR volumes from a diffusion prior.

    They are of no patient: do not use them for diagnosis. CT is in HU, MR a magnitude from 0 to 1.

    \b
    recon generate --class CTChestAbdomen --seed 1 -o volume.nii.gz
    recon generate --class CTChestAbdomen --prior runs/patient --age 60 --sex female --guidance 2
    recon generate --class MRT1Brain --prior official-4x --sampler dpm++ --steps 20 --count 4 --preview
    recon generate --mask case_seg.nii.gz --head runs/head/head.safetensors -o case.nii.gz
    recon generate --class CTChestAbdomen --output-spacing 0.8,0.8,1.5 --decoder implicit-decoder.safetensors
    """
    from priors.diffusion.anatomy import find_class
    from recon.cli.generate_grid import check_grid_options, load_grid
    from recon.cli.generate_mask import check_mask_options, load_masked, note_grid

    check_mask_options(ctx, mask, head)
    check_grid_options(ctx)
    masked = None
    if mask is not None and head is not None:
        masked = load_masked(head, mask, body, prior_name if _is_given(ctx, "prior_name") else None)
    generator = masked.generator if masked else _load(prior_name)
    with input_errors("--class"):
        anatomy = find_class(class_name or (masked.usual_class if masked else _missing(ctx)), generator.anatomies)
    voxels = masked.size if masked else _voxels(size, anatomy, generator)
    spaced = masked.condition.spacing if masked else _millimetres(spacing, anatomy, generator, voxels)
    seeds = tuple(range(seed, seed + count))
    grid = load_grid(generator, output_spacing, decoder, prior_name, voxels, spaced, quiet)
    from recon.generation.files import output_files, save_volumes
    from recon.generation.output_grid import on_grid
    from recon.generation.request import Request, check_request
    from recon.io.atomic import check_output

    files = output_files(output or Path(f"{anatomy.name}.nii.gz"), seeds, preview, masked is not None)
    for path in (path for each in files for path in each.all()):
        check_output(path, overwrite, folder=False, inputs=[each for each in (mask, body, decoder) if each])
    from priors.generators.generator import Sampling
    from priors.networks.inference import Acceleration
    from priors.networks.patient import Patient
    from recon.run.devices import select_device
    from recon.run.memory import memory_errors

    place = select_device(device)
    condition = masked.condition if masked else None
    with input_errors():
        sampling = Sampling(sampler, steps, timesteps, start, Patient(age, sex), guidance)
    request = Request(anatomy, voxels, spaced, sampling, seeds, batch, condition, grid)
    plan = check_request(generator, request)
    if start == "average" != plan.start and _is_given(ctx, "start"):
        raise click.UsageError(f"--start average: this prior knows no average of {anatomy.name}; leave the option out")
    if masked:
        note_grid(masked, anatomy.name, quiet)
    else:
        _note_size(anatomy, generator, voxels, quiet)
    _note_age(sampling.patient, generator, quiet)
    acceleration = Acceleration.from_name(dtype, place, compile=compiled)
    with memory_errors(grid.bytes if grid else 0), progress_bar(quiet) as progress:
        generator = generator.to(place, acceleration.dtype)
        if masked:
            generator = masked.conditioned()
        elif grid:
            generator = on_grid(generator, grid)
        results = save_volumes(generator, request, files, acceleration, overwrite=overwrite, on_progress=progress)
    if as_json:
        click.echo(json.dumps(results[0] if count == 1 else results, indent=2))
        return
    for each in files:
        click.echo(click.format_filename(each.volume))


def _is_given(ctx: click.Context, name: str) -> bool:
    """Whether an option was given, and is not at its default."""
    return ctx.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT)


def _missing(ctx: click.Context) -> NoReturn:
    """Refuse a command without a class, as click does."""
    named = next(each for each in ctx.command.params if each.name == "class_name")
    raise click.MissingParameter(ctx=ctx, param=named)


def _load(name: str) -> Generator:
    from priors.generators.load import load_generator
    from priors.weights.store import find_prior

    with input_errors(f"--prior {name}"):
        return load_generator(find_prior(name))


def _voxels(text: str | None, anatomy: Anatomy, generator: Generator) -> Size:
    """``--size`` (X,Y,Z) in the order (z, x, y)."""
    if text is None:
        return generator.usual_sizes(anatomy)[0]
    try:
        x, y, z = (int(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"--size {text}: must be three whole numbers X,Y,Z, such as 256,256,128") from None
    return z, x, y


def _millimetres(text: str | None, anatomy: Anatomy, generator: Generator, size: Size) -> tuple[float, float, float]:
    """``--spacing`` (X,Y,Z) in the order (z, x, y)."""
    from recon.cli.generate_grid import millimetres

    return generator.usual_spacing(anatomy, size) if text is None else millimetres("--spacing", text)


def _note_size(anatomy: Anatomy, generator: Generator, size: Size, quiet: bool) -> None:
    """Say so where a size is none that the networks learned from."""
    known = generator.usual_sizes(anatomy)
    if size not in known:
        shown = " and ".join(f"{x},{y},{z}" for z, x, y in known)
        say(
            f"note: these networks learned {anatomy.name} at {shown} voxels (X,Y,Z); other sizes may differ",
            quiet,
        )


def _note_age(patient: Patient, generator: Generator, quiet: bool) -> None:
    """Say so where an age lies outside of those that the networks learned from."""
    from priors.generators.latent import LatentGenerator

    learned = generator.prior.patients.ages if isinstance(generator, LatentGenerator) else None
    if patient.age is not None and learned and not learned[0] <= patient.age <= learned[1]:
        low, high = learned
        say(f"note: these networks learned ages from {low:g} to {high:g} years; others may differ", quiet)
