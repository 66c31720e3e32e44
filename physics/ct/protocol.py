"""Acquisition protocols as YAML: presets of the suite and a user's own scanner file.

A file holds a geometry for people to write. The end of a key is its unit, and lengths may also be given as ``_um``,
``_cm`` or ``_m``:

    type: fan                      # or parallel
    source_isocentre_mm: 595.0     # fan only
    source_detector_mm: 1086.5     # fan only
    pitch_mm: 1.2858               # cell width at the detector
    cells: auto                    # or a number
    offset_mm: 0.0                 # detector shift along its axis
    angles:                        # or a list of degrees, or angles_rad: a list of radians
      views: 40
      start_deg: 0.0
      arc_deg: 360.0
      order: uniform               # or golden
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from physics.ct.geometry import FanBeam, Geometry, ParallelBeam, circular_angles, golden_angles

_COMMON = {"type", "pitch_mm", "cells", "offset_mm", "angles", "angles_rad"}
_KEYS = {"parallel": _COMMON, "fan": _COMMON | {"source_isocentre_mm", "source_detector_mm"}}
_LENGTHS = ("pitch", "offset", "source_isocentre", "source_detector")
_ANGLE_KEYS = {"views", "start_deg", "arc_deg", "order"}

MILLIMETRES = {"um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3}
"""Units of length that the end of a key may state, in mm."""

_LARGEST_FILE = 1 << 24
"""Bytes of a geometry file; a million angles fit."""


def preset_names() -> list[str]:
    """Names of the protocols that come with the suite."""
    return sorted(p.name.removesuffix(".yaml") for p in _presets().iterdir() if p.name.endswith(".yaml"))


def load_protocol(name_or_path: str, angles: Sequence[float] | None = None) -> Geometry:
    """A preset by name, or a geometry file by path.

    Args:
        name_or_path: name of the preset, or path of the file.
        angles: view angles in radians that are known from elsewhere, taken where the file states none.

    Raises:
        ValueError: no such preset or file, not YAML, or an entry that is missing, unknown or impossible.
    """
    path = Path(name_or_path)
    if name_or_path in preset_names():
        text = (_presets() / f"{name_or_path}.yaml").read_text()
    elif path.is_file():
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"larger than {_LARGEST_FILE >> 20} MiB: no geometry file")
        text = path.read_text(errors="replace")
    else:
        raise ValueError(f"neither a preset ({', '.join(preset_names())}) nor a file")
    try:
        _check_events(text)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from error
    return parse_protocol(values, angles)


def _check_events(text: str) -> None:
    """Refuse aliases, by which a file of a few bytes names billions of values; a geometry has no use for them."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise ValueError("a geometry file must not hold YAML aliases (*name); write the values out")


def parse_protocol(values: Any, angles: Sequence[float] | None = None) -> Geometry:
    """A geometry from the parsed content of a protocol file; arguments and ``ValueError`` as :func:`load_protocol`."""
    kind = values.get("type") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ValueError("a geometry file needs 'type: fan' or 'type: parallel'")
    values = in_millimetres(values, _LENGTHS)
    _check_keys(values, _KEYS[kind])
    if "pitch_mm" not in values:
        raise ValueError("the entry 'pitch_mm' is missing")
    cells = values.get("cells", "auto")
    shared: dict[str, Any] = {
        "angles": _stated_angles(values, angles),
        "pitch": _number(values, "pitch_mm"),
        "cells": None if cells == "auto" else _whole_number(values, "cells"),
        "offset": _number(values, "offset_mm", 0.0),
    }
    if kind == "parallel":
        return ParallelBeam(**shared)
    return FanBeam(
        **shared,
        source_isocentre=_number(values, "source_isocentre_mm"),
        source_detector=_number(values, "source_detector_mm"),
    )


def in_millimetres(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The entries with each length NAME_um, NAME_cm or NAME_m as NAME_mm; ``ValueError`` where one is given twice."""
    changed = dict(values)
    for name in names:
        given = [unit for unit in MILLIMETRES if f"{name}_{unit}" in values]
        if len(given) > 1:
            raise ValueError(f"the length '{name}' is given twice, in {' and in '.join(given)}")
        if given and given != ["mm"]:
            changed[f"{name}_mm"] = _number(changed, key := f"{name}_{given[0]}") * MILLIMETRES[given[0]]
            del changed[key]
    return changed


def protocol_values(geometry: Geometry) -> dict[str, Any]:
    """Plain values that :func:`parse_protocol` reads back as exactly the same geometry, lengths in mm, radians."""
    values: dict[str, Any] = {"type": geometry.kind}
    if isinstance(geometry, FanBeam):
        values |= {"source_isocentre_mm": geometry.source_isocentre, "source_detector_mm": geometry.source_detector}
    cells = "auto" if geometry.cells is None else geometry.cells
    values |= {"pitch_mm": geometry.pitch, "cells": cells, "offset_mm": geometry.offset}
    return values | {"angles_rad": list(geometry.angles)}


def dump_protocol(geometry: Geometry) -> str:
    """YAML text that :func:`load_protocol` reads back as an equal geometry (angles listed in degrees)."""
    values = protocol_values(geometry)
    del values["angles_rad"]
    return yaml.safe_dump(values | {"angles": [math.degrees(a) for a in geometry.angles]}, sort_keys=False)


def _stated_angles(values: dict[str, Any], others: Sequence[float] | None) -> tuple[float, ...]:
    given = [key for key in ("angles", "angles_rad") if key in values]
    if not given and others is not None:
        return tuple(float(a) for a in others)
    if len(given) != 1:
        raise ValueError("the entry 'angles' is missing" if not given else "'angles' and 'angles_rad': leave one out")
    if given == ["angles"]:
        return _parse_angles(values["angles"])
    try:
        return tuple(float(a) for a in values["angles_rad"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"'angles_rad' must list radians: {error}") from error


def _parse_angles(values: Any) -> tuple[float, ...]:
    if isinstance(values, list):
        try:
            return tuple(math.radians(float(a)) for a in values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"'angles' must list degrees: {error}") from error
    if not isinstance(values, dict) or "views" not in values:
        raise ValueError("'angles' must be a list of degrees or hold 'views'")
    _check_keys(values, _ANGLE_KEYS)
    views, start = _whole_number(values, "views"), math.radians(_number(values, "start_deg", 0.0))
    order = values.get("order", "uniform")
    if order == "golden":
        if "arc_deg" in values:
            raise ValueError("golden-angle views cover the full circle; leave 'arc_deg' out")
        return golden_angles(views, start)
    if order != "uniform":
        raise ValueError(f"'order' must be uniform or golden, not {order!r}")
    return circular_angles(views, start, math.radians(_number(values, "arc_deg", 360.0)))


def _check_keys(values: dict[str, Any], known: set[str]) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
            raise ValueError(f"unknown entry '{key}'; {hint}")


def _number(values: dict[str, Any], key: str, default: float | None = None) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the entry '{key}' must be a number, not {value!r}")
    return float(value)


def _whole_number(values: dict[str, Any], key: str) -> int:
    value = _number(values, key)
    if not value.is_integer():
        raise ValueError(f"the entry '{key}' must be a whole number, not {value:g}")
    return int(value)


def _presets() -> Any:
    return resources.files("physics.ct") / "presets"
