"""From the options of ``recon train`` to the library's request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recon.cli.train.options import OF_SCANS, SCANS, Options, Range
from recon.errors import InputError, input_errors

if TYPE_CHECKING:
    from recon.acquisition.ct_acquisition import CTAcquisition
    from recon.learned.mask_task import MaskTask
    from recon.learned.task import Task
    from recon.training.request import Request


def make_request(network: str, given: Options) -> Request:
    """The options as one value, checked."""
    from priors.training.recipe import load_recipe
    from recon.training.request import Request
    from recon.training.sources import parse_data

    with input_errors("`recipe`"):
        recipe = load_recipe(network, _recipe_name(network, given), given.settings)
    own = recipe.task.get("conditions")
    if own and given.conditions:  # the option replaces the recipe's
        recipe = recipe.model_copy(update={"task": recipe.task | {"conditions": list(given.conditions)}})
    if not given.data and given.dataset.partition(":")[0] not in ("sample", "phantom"):
        raise click.UsageError("--data: name a folder of volumes, or a YAML file that lists data sets")
    classes = tuple(name.strip() for name in given.classes.split(",")) if given.classes else ()
    return Request(
        network,
        recipe,
        parse_data(
            given.data,
            given.dataset,
            given.modality,
            given.class_name,
            given.manifest,
            given.segmentations,
            classes=classes,
        ),
        given.out,
        given.cache or given.out.parent / "cache",
        base=_prior_folder(given.base),
        warm_start=given.warm_start,
        stage=given.stage,
        task=_task(given, tuple(given.conditions or own or ())),
        head=given.head,
        mask=_mask(given),
        classes=classes,
        licence=given.licence,
        name=given.recipe,
    )


def check_scan_options(ctx: click.Context, task: str | None) -> None:
    """Refuse options of another task than the one that is asked for.

    Raises:
        click.UsageError: names the first such option and the task that it is for.
    """
    asked_for = ctx.get_parameter_source("simulate") == click.core.ParameterSource.COMMANDLINE
    if task == "mri" and asked_for and ctx.params["simulate"] == "drawn":
        raise click.UsageError("--simulate drawn: has no effect with --task mri; take continuous or ideal", ctx)
    for name in OF_SCANS if task == "mask" else ():
        if ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            flag = next(each.opts[0] for each in ctx.command.params if each.name == name)
            raise click.UsageError(f"{flag}: has no effect with --task mask; no scan is simulated", ctx)
    for parameter in ctx.command.params:
        owner = next((name for name, options in SCANS.items() if parameter.name in options), None)
        source = ctx.get_parameter_source(parameter.name or "")
        if owner in (None, task) or source in (None, click.core.ParameterSource.DEFAULT):
            continue
        asked = f"has no effect with --task {task}" if task else f"say --task {owner} with it"
        raise click.UsageError(f"{parameter.opts[0]}: {asked}; it is for --task {owner}", ctx)


def _prior_folder(base: Path | None) -> Path | None:
    """A folder, or the name of a prior that is installed."""
    if base is None or base.is_dir():
        return base
    from priors.weights.store import find_prior

    with input_errors(f"`base` {base}"):
        return Path(find_prior(str(base)))


def _task(given: Options, shown: tuple[str, ...]) -> Task | None:
    if given.task in (None, "mask"):
        return None
    from recon.methods import get_method

    for option, names in (("condition", given.conditions), ("reference", given.references)):
        for name in names:
            get_method("MR" if given.task == "mri" else "CT", name, option)
    return _mri(given, shown) if given.task == "mri" else _svct(given, shown)


def _mask(given: Options) -> MaskTask | None:
    """The labels that a head for segmentations is shown."""
    if given.task != "mask":
        if given.segmentations is not None:
            raise click.UsageError("--segmentations: say --task mask with it")
        return None
    from recon.learned.mask_task import mask_task, parse_labels

    if not given.labels:
        raise click.UsageError("--labels: name the labels of the segmentations, such as 1=kidney,2=tumour")
    return mask_task(parse_labels(given.labels), body=given.body, pooling=given.pooling)  # type: ignore[arg-type]


def _recipe_name(network: str, given: Options) -> str:
    """The recipe, of a head for segmentations the one that is made for it."""
    from priors.training.recipe import recipe_names

    own = f"mask-{given.recipe}"
    return own if given.task == "mask" and own in recipe_names(network) else given.recipe


def _mri(given: Options, shown: tuple[str, ...]) -> Task:
    from recon.acquisition.mr_acquisition import MRAcquisition, realistic_mr
    from recon.learned.task import Task

    masks = given.masks or ("poisson",)
    chosen = {"noise": given.noise, "phase": given.phase, "coils": _whole(given.coils)}
    known: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    with input_errors("`mask`"):
        plain = MRAcquisition(masks, given.accel) if given.simulate == "ideal" else realistic_mr(masks, given.accel)
    with input_errors("`scanners`" if given.scanners and given.simulate == "ideal" else "`coils`"):
        scans = replace(plain, **known, scanners=given.scanners)
    return Task(scans, shown or ("zero-filled",), given.references)


def _svct(given: Options, shown: tuple[str, ...]) -> Task:
    from physics.ct.protocol import load_protocol
    from recon.acquisition.ct_acquisition import CTAcquisition
    from recon.learned.task import Task

    with input_errors(f"`geometry` {given.geometry}"):
        scanner = load_protocol(given.geometry)
    scans = CTAcquisition(scanner, _whole(given.views), given.photons, simulation=given.simulate)
    return Task(_with_scanners(scans, given), shown or ("fbp",), given.references)


def _with_scanners(scans: CTAcquisition, given: Options) -> CTAcquisition:
    from recon.acquisition.drawn_scanners import DrawnScanners

    if not given.scanners:
        if given.arc is not None:
            raise InputError("`arc`: arcs are drawn with `scanners` only; the geometry says the arc otherwise")
        return scans
    with input_errors("`scanners`"):
        return replace(scans, scanners=DrawnScanners() if given.arc is None else DrawnScanners(arc=given.arc))


def _whole(numbers: Range | None) -> tuple[int, int] | None:
    return None if numbers is None else (int(numbers[0]), int(numbers[1]))
