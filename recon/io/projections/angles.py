"""View angles that a user gives as a list, in degrees or radians."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np

from recon.errors import InputError
from recon.io.checks import require_file

AngleUnit = Literal["degrees", "radians"]

_LARGEST_FILE = 1 << 24
_MOST_TURNS = 10
_ROUND = 0.02
"""How near to a half or whole turn a span may be, relatively, to look like radians."""


def read_angles(path: Path) -> np.ndarray:
    """Numbers in a text file: one a line, or one line of them, separated by commas, semicolons, spaces or tabs.

    Lines that begin with # are comments; a first line of words is a heading.

    Raises:
        InputError: not readable as such, several columns, or too large for a list of angles.
    """
    require_file(path)
    if path.stat().st_size > _LARGEST_FILE:
        raise InputError(f"{path}: larger than {_LARGEST_FILE >> 20} MiB: no list of angles")
    text = path.read_text(encoding="utf-8", errors="replace").replace(",", " ").replace(";", " ")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if rows and not all(_is_number(word) for word in rows[0]):
        rows = rows[1:]
    if len(rows) > 1 and any(len(row) != 1 for row in rows):
        raise InputError(f"{path}: several columns; a list of angles has one angle a line, or one line of all")
    words = [word for row in rows for word in row]
    bad = next((word for word in words if not _is_number(word)), None)
    if bad is not None or not words:
        raise InputError(f"{path}: {'no angle in it' if bad is None else f'{bad[:40]!r} is no angle'}")
    return np.array([float(word) for word in words])


def in_radians(values: np.ndarray, unit: AngleUnit | None, subject: str) -> np.ndarray:
    """Angles in radians.

    Args:
        values: the angles.
        unit: unit of the angles; None takes degrees, unless they look like radians.
        subject: the origin of the angles, for messages.

    Raises:
        InputError: not finite, or of the other unit by their looks.
    """
    if not np.isfinite(values).all():
        raise InputError(f"{subject}: NaN or infinity among the angles")
    span = float(np.ptp(values)) if len(values) else 0.0
    whole = span * len(values) / max(1, len(values) - 1)  # with the last view's own step
    if unit is None and any(abs(s / turn - 1) < _ROUND for s in (span, whole) for turn in (math.pi, math.tau)):
        raise InputError(f"{subject}: angles that span {span:.4g} look like radians; state the `angle_unit`")
    if unit == "radians" and span > _MOST_TURNS * math.tau:
        raise InputError(f"{subject}: angles that span {span:.4g} are degrees, not radians")
    return values.astype(float) if unit == "radians" else np.radians(values.astype(float))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
