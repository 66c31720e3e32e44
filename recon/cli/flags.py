"""Messages in the command line's words: a parameter that a message names becomes the flag that sets it."""

from __future__ import annotations

import re
from typing import Any

import click

from recon.errors import PARAMETER, InputError, RunError

_SETTINGS = "--set"


def with_flags(message: str, command: click.Command) -> str:
    """A message of the library as the user of a command reads it.

    Args:
        message: parameters stand in backticks (see :mod:`recon.errors`).
        command: the command that was called.

    Returns:
        The message with ``--views`` for `views`; what is no option of the command, but can be set, with
        ``--set NAME``; other names without their backticks.
    """
    flags = _flags(command)
    settable = _SETTINGS in flags.values()

    def flag(match: re.Match[str]) -> str:
        name = match[1].replace("_", "-")
        return flags.get(name) or (f"{_SETTINGS} {name}" if settable else match[1])

    return PARAMETER.sub(flag, message)


def in_flags(message: str) -> str:
    """A message as the user of the running command reads it; unchanged where none runs."""
    context = click.get_current_context(silent=True)
    return with_flags(message, context.command) if context else message


def _flags(command: click.Command) -> dict[str, str]:
    """Long flag of each option, by its own name and by the name of the argument that it fills."""
    found: dict[str, str] = {}
    for parameter in command.params:
        flag = next((each for each in parameter.opts if each.startswith("--")), None)
        if flag and parameter.name:
            found[flag.removeprefix("--")] = flag
            found.setdefault(parameter.name.replace("_", "-"), flag)
    return found


def _owners(option: str, ctx: click.Context) -> list[str]:
    """The names of the sister commands that have an option."""
    if ctx.parent is None or not isinstance(ctx.parent.command, click.Group):
        return []
    sisters = ctx.parent.command.commands.items()
    return [name for name, sister in sisters if any(option in parameter.opts for parameter in sister.params)]


class FlaggedCommand(click.Command):
    """A command whose errors name its flags, and which says whose an option is that it does not have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; an option of a sister command is said to be that one's."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            owners = _owners(error.option_name, ctx)
            if not owners or ctx.parent is None:
                raise
            group = ctx.parent.command_path
            whose = f"'{group}' has it for {', '.join(owners)}" if owners[1:] else f"'{group} {owners[0]}' has it"
            raise click.UsageError(f"no option {error.option_name} of '{ctx.command_path}'; {whose}", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the library says of parameters is said of flags."""
        try:
            return super().invoke(ctx)
        except (InputError, RunError) as error:
            raise type(error)(with_flags(str(error), self)) from error


class FlaggedGroup(click.Group):
    """A group whose commands' errors name their flags."""

    command_class = FlaggedCommand
    group_class = type
