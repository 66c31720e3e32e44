"""Text for a terminal that foreign names cannot command: file names and headers may hold escape sequences."""

from __future__ import annotations

import unicodedata


def harmless(text: str) -> str:
    """A text whose control characters are question marks: escapes, bells, and what turns the direction of writing.

    Ends of lines and tabs stay.
    """
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in "\n\t" or character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else "?"
