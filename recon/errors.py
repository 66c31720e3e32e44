"""The two ways in which a run ends badly, and how wrong arguments become one clear line.

A message names a parameter as Python's callers know it, in backticks: "`views` 0: must be 1 or more". The command line
makes its own flags of them (:mod:`recon.cli.flags`); nothing else needs to know that there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

PARAMETER = re.compile(r"`([a-z][a-z0-9_.-]*)`")
"""A parameter's name in a message."""


class InputError(Exception):
    """The user's input or options are wrong: one line, exit code 2, nothing written.

    The message names the file, or the parameter in backticks, what is wrong and what would be right.
    """

    exit_code = 2

    @property
    def parameter(self) -> str | None:
        """Name of the first parameter that the message names; None where it names none, as for a damaged file."""
        found = PARAMETER.search(str(self))
        return found and found[1]


class RunError(Exception):
    """The run itself failed (no space left, a solver that diverged): one line, exit code 1."""

    exit_code = 1


@contextmanager
def input_errors(subject: str = "") -> Iterator[None]:
    """Turn a ``ValueError`` raised by the layers below into an :class:`InputError` about ``subject``.

    The layers below raise ``ValueError`` for wrong arguments, and only the caller knows whether these came from the
    user (``subject`` is the parameter in backticks, or the file; "" where the message names it itself).
    """
    try:
        yield
    except ValueError as error:
        raise InputError(f"{subject}: {error}" if subject else str(error)) from error
