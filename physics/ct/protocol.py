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
      arc_deg: 360.0               # or turns: a number of turns, of a helix
      order: uniform               # or golden

The entries of cone beams are in :mod:`physics.ct.cone.protocol`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.protocol import cone_values, parse_cone
from physics.ct.cone.views import CONE_KINDS, ConeViews
from physics.ct.geometry import FanBeam, Geometry, ParallelBeam
from physics.ct.protocol_entries import check_keys, in_millimetres, number, stated_angles, whole_number
from physics.ct.scan_geometry import ScanGeometry, slice_geometry

_COMMON = {"type", "pitch_mm", "cells", "offset_mm", "angles", "angles_rad"}
_KEYS = {"parallel": _COMMON, "fan": _COMMON | {"source_isocentre_mm", "source_detector_mm"}}
_LENGTHS = ("pitch", "offset", "source_isocentre", "source_detector")

_LARGEST_FILE = 1 << 24
"""Bytes of a geometry file; a million angles fit."""


def preset_names() -> list[str]:
    """Names of the protocols that come with the suite."""
    return sorted(p.name.removesuffix(".yaml") for p in _presets().iterdir() if p.name.endswith(".yaml"))


def load_protocol(name_or_path: str, angles: Sequence[float] | None = None) -> Geometry:
    """A preset or geometry file of slices, as :func:`load_scan_protocol`; ``ValueError`` also for a cone beam."""
    return slice_geometry(load_scan_protocol(name_or_path, angles))


def load_scan_protocol(name_or_path: str, angles: Sequence[float] | None = None) -> ScanGeometry:
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
    return parse_scan_protocol(values, angles)


def _check_events(text: str) -> None:
    """Refuse aliases, by which a file of a few bytes names billions of values; a geometry has no use for them."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise ValueError("a geometry file must not hold YAML aliases (*name); write the values out")


def parse_protocol(values: Any, angles: Sequence[float] | None = None) -> Geometry:
    """A geometry of slices, as :func:`parse_scan_protocol`; ``ValueError`` also for a cone beam."""
    return slice_geometry(parse_scan_protocol(values, angles))


def parse_scan_protocol(values: Any, angles: Sequence[float] | None = None) -> ScanGeometry:
    """A geometry from the content of a protocol file; arguments and ``ValueError`` as :func:`load_scan_protocol`."""
    kind = values.get("type") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in (*_KEYS, *CONE_KINDS):
        raise ValueError("a geometry file needs 'type: fan', 'type: parallel' or 'type: cone'")
    if kind in CONE_KINDS:
        return parse_cone(values, angles)
    values = in_millimetres(values, _LENGTHS)
    check_keys(values, _KEYS[kind])
    if "pitch_mm" not in values:
        raise ValueError("the entry 'pitch_mm' is missing")
    cells = values.get("cells", "auto")
    shared: dict[str, Any] = {
        "angles": stated_angles(values, angles),
        "pitch": number(values, "pitch_mm"),
        "cells": None if cells == "auto" else whole_number(values, "cells"),
        "offset": number(values, "offset_mm", 0.0),
    }
    if kind == "parallel":
        return ParallelBeam(**shared)
    return FanBeam(
        **shared,
        source_isocentre=number(values, "source_isocentre_mm"),
        source_detector=number(values, "source_detector_mm"),
    )


def protocol_values(geometry: ScanGeometry) -> dict[str, Any]:
    """Plain values that :func:`parse_scan_protocol` reads back as exactly the same geometry, lengths in mm, radians."""
    if isinstance(geometry, ConeBeam | ConeViews):
        return cone_values(geometry)
    values: dict[str, Any] = {"type": geometry.kind}
    if isinstance(geometry, FanBeam):
        values |= {"source_isocentre_mm": geometry.source_isocentre, "source_detector_mm": geometry.source_detector}
    cells = "auto" if geometry.cells is None else geometry.cells
    values |= {"pitch_mm": geometry.pitch, "cells": cells, "offset_mm": geometry.offset}
    return values | {"angles_rad": list(geometry.angles)}


def dump_protocol(geometry: ScanGeometry) -> str:
    """YAML text that :func:`load_scan_protocol` reads back as an equal geometry (angles listed in degrees)."""
    values = protocol_values(geometry)
    if values.pop("angles_rad", None) is None:
        return yaml.safe_dump(values, sort_keys=False)
    return yaml.safe_dump(values | {"angles": [math.degrees(a) for a in geometry.angles]}, sort_keys=False)


def _presets() -> Any:
    return resources.files("physics.ct") / "presets"
