"""The entries of a geometry file: numbers, lengths with their units, angles; every wrong one is one line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from physics.ct.geometry import circular_angles, golden_angles

MILLIMETRES = {"um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3}
"""Units of length that the end of a key may state, in mm."""

_ANGLE_KEYS = {"views", "start_deg", "arc_deg", "turns", "order"}


def in_millimetres(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The entries with each length NAME_um, NAME_cm or NAME_m as NAME_mm; ``ValueError`` where one is given twice."""
    changed = dict(values)
    for name in names:
        given = [unit for unit in MILLIMETRES if f"{name}_{unit}" in values]
        if len(given) > 1:
            raise ValueError(f"the length '{name}' is given twice, in {' and in '.join(given)}")
        if given and given != ["mm"]:
            changed[f"{name}_mm"] = number(changed, key := f"{name}_{given[0]}") * MILLIMETRES[given[0]]
            del changed[key]
    return changed


def stated_angles(values: dict[str, Any], others: Sequence[float] | None) -> tuple[float, ...]:
    """The view angles in radians of the entry 'angles' or 'angles_rad', or else ``others``.

    Raises:
        ValueError: no angles, both entries, or one that is no list of angles.
    """
    given = [key for key in ("angles", "angles_rad") if key in values]
    if not given and others is not None:
        return tuple(float(a) for a in others)
    if len(given) != 1:
        raise ValueError("the entry 'angles' is missing" if not given else "'angles' and 'angles_rad': leave one out")
    if given == ["angles"]:
        return _parsed_angles(values["angles"])
    try:
        return tuple(float(a) for a in values["angles_rad"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"'angles_rad' must list radians: {error}") from error


def _parsed_angles(values: Any) -> tuple[float, ...]:
    if isinstance(values, list):
        try:
            return tuple(math.radians(float(a)) for a in values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"'angles' must list degrees: {error}") from error
    if not isinstance(values, dict) or "views" not in values:
        raise ValueError("'angles' must be a list of degrees or hold 'views'")
    check_keys(values, _ANGLE_KEYS)
    views, start = whole_number(values, "views"), math.radians(number(values, "start_deg", 0.0))
    order = values.get("order", "uniform")
    if order == "golden":
        if "arc_deg" in values:
            raise ValueError("golden-angle views cover the full circle; leave 'arc_deg' out")
        return golden_angles(views, start)
    if order != "uniform":
        raise ValueError(f"'order' must be uniform or golden, not {order!r}")
    if "turns" in values:
        return _helical_angles(values, views, start)
    return circular_angles(views, start, math.radians(number(values, "arc_deg", 360.0)))


def _helical_angles(values: dict[str, Any], views: int, start: float) -> tuple[float, ...]:
    """Views evenly spread over any number of turns, angles counted on from turn to turn."""
    turns = number(values, "turns")
    if "arc_deg" in values or not 0 < turns < math.inf or views < 1:
        raise ValueError("'turns' must be above 0, of 1 or more 'views' and without 'arc_deg'")
    return tuple(start + 2 * math.pi * turns * k / views for k in range(views))


def check_keys(values: dict[str, Any], known: set[str]) -> None:
    """``ValueError`` for an entry that is none of ``known``, with the nearest one that is."""
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise ValueError(
                f"unknown entry '{key}'; "
                + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}")
            )


def number(values: dict[str, Any], key: str, default: float | None = None) -> float:
    """The number of an entry; ``ValueError`` where it is missing and has no default, or is no number."""
    value = values.get(key, default)
    if value is None and key not in values:
        raise ValueError(f"the entry '{key}' is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the entry '{key}' must be a number, not {value!r}")
    return float(value)


def whole_number(values: dict[str, Any], key: str) -> int:
    """The whole number of an entry; ``ValueError`` where it is missing or is none."""
    value = number(values, key)
    if not value.is_integer():
        raise ValueError(f"the entry '{key}' must be a whole number, not {value:g}")
    return int(value)
