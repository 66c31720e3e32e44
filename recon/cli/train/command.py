"""``recon train NETWORK``: one command a network, with the options that its training has a use for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from recon.cli.console import say
from recon.cli.flags import with_flags
from recon.cli.options import GroupedCommand, all_of
from recon.cli.train.bar import training_bar
from recon.cli.train.listing import settings_option
from recon.cli.train.options import Options, options_of
from recon.cli.train.request import check_scan_options, make_request
from recon.training.registry import TRAININGS

if TYPE_CHECKING:
    from recon.training.request import Request


def network_command(network: str) -> click.Command:
    """The command that trains a kind of network."""
    kind = TRAININGS[network]

    @click.pass_context
    def run(ctx: click.Context, /, **values: Any) -> None:
        given = Options(**values)
        check_scan_options(ctx, given.task)
        train(network, given)

    decorate = all_of(settings_option(), *options_of(kind))
    command: click.Command = click.command(network, cls=GroupedCommand, short_help=kind.summary)(decorate(run))
    modality = "MR" if "mri" in kind.example else "CT"
    words = [with_flags(kind.example, command), f"--data scans --modality {modality} --out runs/{network}"]
    example = " ".join(["recon train", network, *filter(None, words)])
    command.help = f"{kind.summary}\n\n\b\n{example}\n\nThe same command continues a run that was stopped."
    return command


def train(network: str, given: Options) -> None:
    """Train a network, or say what its training would need."""
    from recon.training.machine import find_machine

    request = make_request(network, given)
    machine = find_machine(given.device, given.devices, given.nodes)

    def announce(text: str) -> None:
        say(text, given.quiet)

    if given.dry_run:
        _print_estimate(request, announce)
        return
    from priors.training.loop import Stopped
    from recon.training.run import train as run

    with training_bar(network, given.quiet) as on_step:
        try:
            path = run(request, machine, announce, on_step)
        except Stopped as stop:
            say(f"recon: {stop}", quiet=False)
            sys.exit(130)
    if path:
        click.echo(click.format_filename(path))


def _print_estimate(request: Request, announce: Callable[[str], None]) -> None:
    from recon.training.estimate import estimate

    found = estimate(request, announce)
    click.echo(f"{found.parameters:,} parameters to train, {found.frozen:,} frozen")
    click.echo(f"{found.memory_gb:.2f} GB in float32 for weights, optimiser and activations of one process")
    click.echo(f"{found.items} samples of {found.volumes} volumes; {found.steps_per_epoch:.1f} steps per epoch")
    click.echo(f"{request.recipe.steps} steps of {request.recipe.batch} samples")
