"""A program: a group of commands whose every error is one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from recon.cli.flags import FlaggedGroup
from recon.errors import InputError, RunError


class Program(FlaggedGroup):
    """The outermost group. Exit codes: 0 done, 2 wrong input or options, 1 the run failed, 130 interrupted."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **settings: Any) -> Any:
        """Run a command line; errors become one line on standard error and an exit code."""
        name = prog_name or self.name or "recon"
        try:
            ended = super().main(args=args, prog_name=name, **(settings | {"standalone_mode": False}))
            sys.exit(ended if isinstance(ended, int) else 0)
        except InputError as error:
            self._fail(name, str(error), 2)
        except RunError as error:
            self._fail(name, str(error), error.exit_code)
        except click.ClickException as error:
            usage = isinstance(error, click.UsageError)
            hint = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
            self._fail(name, error.format_message() + hint, error.exit_code if usage else 2)
        except (KeyboardInterrupt, click.Abort):
            self._fail(name, "interrupted; nothing was written", 130)
        except OSError as error:  # a pipe that is closed early is click's business
            where = f"{error.filename}: " if error.filename else ""
            self._fail(name, f"{where}{error.strerror or error}", 1)

    @staticmethod
    def _fail(name: str, message: str, code: int) -> None:
        click.echo(f"{name}: {' '.join(message.split())}", err=True)
        sys.exit(code)
