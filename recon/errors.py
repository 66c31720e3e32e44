"""The two ways in which a run ends badly, and how wrong arguments become one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """The user's input or options are wrong: one line, exit code 2, nothing written.

    The message names the file or option, what is wrong and what would be right.
    """


class RunError(Exception):
    """The run itself failed (no space left, a solver that diverged): one line, exit code 1."""


@contextmanager
def input_errors(subject: str) -> Iterator[None]:
    """Turn a ``ValueError`` raised by the layers below into an :class:`InputError` about ``subject``.

    ``physics`` knows nothing of the command line: it raises ``ValueError`` for wrong arguments, and
    only the caller knows whether these came from the user (``subject`` is the option or the file).
    """
    try:
        yield
    except ValueError as error:
        raise InputError(f"{subject}: {error}") from error
