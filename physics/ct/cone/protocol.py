"""Cone beams as entries of a geometry file, in the style of :mod:`physics.ct.protocol`.

type: cone
source_isocentre_mm: 595.0
source_detector_mm: 1086.5
pitch_mm: 1.3                  # cell width at the detector
cells: auto                    # or a number
offset_mm: 0.0                 # detector shift along its cells: half fan
row_pitch_mm: 1.3              # row height at the detector; left out: the cell's width
rows: auto                     # or a number, which a helix needs
row_offset_mm: 0.0             # detector shift along its rows
detector: flat                 # or curved: a cylinder about the source
tilt_deg: 0.0                  # the detector leans, about its axis of cells
roll_deg: 0.0                  # the detector is turned in its own plane
feed_mm: 0.0                   # way of the source along the axis in one turn: a helix
height_mm: 0.0                 # of the source at angle 0; left out: the scan's middle is that of the volume
angles: {views: 360, arc_deg: 360.0}   # or turns: 3.5, or a list, as for a fan

type: cone-vectors
cells: 256
rows: 128
vectors_mm:                    # a line a view: source, detector's middle, cell step, row step, each x, y, z
  - [0, -595, 0, 0, 491.5, 0, 1.3, 0, 0, 0, 0, 1.3]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeGeometry, ConeViews
from physics.ct.protocol_entries import MILLIMETRES, check_keys, in_millimetres, number, stated_angles, whole_number

_LENGTHS = ("source_isocentre", "source_detector", "pitch", "offset", "row_pitch", "row_offset", "feed", "height")
_KEYS = {f"{name}_mm" for name in _LENGTHS} | {
    *("type", "cells", "rows", "detector", "tilt_deg", "roll_deg", "tilt_rad", "roll_rad", "angles", "angles_rad")
}
_DETECTORS = ("flat", "curved")


def parse_cone(values: dict[str, Any], angles: Sequence[float] | None = None) -> ConeGeometry:
    """A cone beam from the entries of a file.

    Args:
        values: the entries, ``type`` among them.
        angles: view angles in radians that are known from elsewhere, taken where the entries state none.

    Raises:
        ValueError: an entry that is missing, unknown or impossible.
    """
    if values["type"] == ConeViews.kind:
        return _parse_vectors(values)
    values = in_millimetres(values, _LENGTHS)
    check_keys(values, _KEYS)
    if values.get("detector", "flat") not in _DETECTORS:
        raise ValueError(f"'detector' must be flat or curved, not {values['detector']!r}")
    pitch, feed = number(values, "pitch_mm"), number(values, "feed_mm", 0.0)
    found = stated_angles(values, angles)
    middle = (min(found) + max(found)) / 2 if found else 0.0
    return ConeBeam(
        angles=found,
        pitch=pitch,
        cells=_count(values, "cells"),
        offset=number(values, "offset_mm", 0.0),
        source_isocentre=number(values, "source_isocentre_mm"),
        source_detector=number(values, "source_detector_mm"),
        row_pitch=number(values, "row_pitch_mm", pitch),
        rows=_count(values, "rows"),
        row_offset=number(values, "row_offset_mm", 0.0),
        curved=values.get("detector") == "curved",
        tilt=_angle(values, "tilt"),
        roll=_angle(values, "roll"),
        feed=feed,
        height=number(values, "height_mm", -feed * middle / (2 * math.pi)),
    )


def cone_values(geometry: ConeGeometry) -> dict[str, Any]:
    """Plain values that :func:`parse_cone` reads back as exactly the same geometry, lengths in mm, radians."""
    if isinstance(geometry, ConeViews):
        values = geometry.to_dict()
        return {"vectors_mm" if key == "vectors" else key: value for key, value in values.items()}
    values = {"type": geometry.kind} | {f"{name}_mm": getattr(geometry, name) for name in _LENGTHS}
    for name in ("cells", "rows"):
        values[name] = "auto" if getattr(geometry, name) is None else getattr(geometry, name)
    values |= {"detector": _DETECTORS[geometry.curved], "tilt_rad": geometry.tilt, "roll_rad": geometry.roll}
    return values | {"angles_rad": list(geometry.angles)}


def _count(values: dict[str, Any], key: str) -> int | None:
    return None if values.get(key, "auto") == "auto" else whole_number(values, key)


def _angle(values: dict[str, Any], name: str) -> float:
    """An angle in radians of the entry NAME_deg or NAME_rad, 0 where there is none."""
    if f"{name}_deg" in values and f"{name}_rad" in values:
        raise ValueError(f"'{name}_deg' and '{name}_rad': leave one out")
    return number(values, f"{name}_rad", math.radians(number(values, f"{name}_deg", 0.0)))


def _parse_vectors(values: dict[str, Any]) -> ConeViews:
    check_keys(values, {"type", "cells", "rows", *(f"vectors_{unit}" for unit in MILLIMETRES)})
    given = [unit for unit in MILLIMETRES if f"vectors_{unit}" in values]
    if len(given) != 1:
        raise ValueError("'vectors_mm' must list the views" if not given else "'vectors' are given in two units")
    lists = values[f"vectors_{given[0]}"]
    try:
        rows = tuple(tuple(float(each) * MILLIMETRES[given[0]] for each in view) for view in lists)
    except (TypeError, ValueError) as error:
        raise ValueError(f"'vectors_{given[0]}' must list twelve lengths a view: {error}") from error
    return ConeViews(rows, whole_number(values, "cells"), whole_number(values, "rows"))
