"""The error where a network's library is not installed."""

from __future__ import annotations


class MissingPackageError(ValueError):
    """A package that a network needs is not installed; the message is the command that installs it."""
