"""A program: a group of commands whose every error is one line and an exit code."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from recon.cli.flags import FlaggedGroup
from recon.cli.harmless import harmless
from recon.errors import InputError, RunError

_HOSTILE = (RecursionError, OverflowError, zipfile.BadZipFile, zlib.error)
"""What input that nobody writes by accident may raise where no reader expects it."""


class Program(FlaggedGroup):
    """The outermost group. Exit codes: 0 done, 2 wrong input or options, 1 the run failed, 130 interrupted."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave the process with an exit code; an error is one line on standard error.

        Args:
            args, prog_name, complete_var, extra: the arguments of click's own ``main``.
            standalone_mode: False hands errors and results to the caller instead.
        """
        name = prog_name or self.name
        if not standalone_mode:
            return super().main(args, name, complete_var, False, **extra)
        try:
            ended = super().main(args, name, complete_var, False, **extra)
        except (KeyboardInterrupt, click.Abort):
            _fail(name, "interrupted; nothing was written", 130)
        except (InputError, RunError, click.ClickException, OSError) as error:
            _fail(name, *_described(error))
        except MemoryError:
            _fail(name, "out of memory; use smaller data or sizes", 1)
        except _HOSTILE as error:
            kind = "nested too deeply" if isinstance(error, RecursionError) else str(error) or type(error).__name__
            _fail(name, f"the input cannot be used: {kind}", 2)
        sys.exit(ended if isinstance(ended, int) else 0)


def _described(error: InputError | RunError | click.ClickException | OSError) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, click.UsageError):
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return error.format_message() + hint, error.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), 2
    if isinstance(error, OSError):  # a pipe that is closed early is click's business
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", 1
    return str(error), error.exit_code


def _fail(name: str | None, message: str, code: int) -> NoReturn:
    click.echo(harmless(f"{name}: {' '.join(message.split())}"), err=True)
    sys.exit(code)
