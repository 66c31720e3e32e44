"""``recon train``: every network of the suite, ControlNet heads on a new geometry included."""

from __future__ import annotations

import difflib

import click

from recon.cli.flags import FlaggedGroup
from recon.cli.options import help_alone
from recon.cli.train.command import network_command
from recon.training.registry import TRAININGS


class NetworkGroup(FlaggedGroup):
    """A group that also finds the network's name behind options."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The networks in the registry's order."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``--data scans unet`` is read as ``unet --data scans``."""
        return super().parse_args(ctx, self._name_first(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest network where there is none of a name."""
        if args and args[0] not in self.commands:
            near = difflib.get_close_matches(args[0], self.commands, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.commands)}"
            raise click.UsageError(f"no network {args[0]}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def _name_first(self, args: list[str]) -> list[str]:
        flags = {
            name
            for command in self.commands.values()
            for each in command.params
            if isinstance(each, click.Option) and each.is_flag
            for name in each.opts
        }
        place = 0
        while place < len(args) and args[place].startswith("-"):
            single = args[place] in flags or "=" in args[place] or args[place] in ("-h", "--help")
            place += 1 if single else 2
        return args if place >= len(args) else [args[place], *args[:place], *args[place + 1 :]]


@click.group(cls=NetworkGroup, invoke_without_command=True)
@click.pass_context
def train(ctx: click.Context) -> None:
    """Train a network, or go on with a run that was stopped.

    \b
    recon train autoencoder --data scans --modality CT --recipe starter --out runs/ae
    recon train biflownet --base runs/ae --data scans --modality CT --out runs/prior
    recon train controlnet --task svct --geometry my_scanner.yaml --data scans --modality CT \\
        --base runs/prior --out runs/head

    'recon train NETWORK --help' shows a network's own options, '--settings' what its recipes can set.
    """
    help_alone(ctx)


for _network in TRAININGS:
    train.add_command(network_command(_network))
