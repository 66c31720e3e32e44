"""Text from foreign files, fit for a terminal and a page."""

from __future__ import annotations

from typing import Any

_LONGEST = 120


def printable(value: Any) -> str:
    """A value as one short line without control characters, which a terminal would obey."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
