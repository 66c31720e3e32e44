"""Whether a CT scan is one of those that a network was trained on; every reason is one line.

Lengths are compared as ratios, since a scanner of other dimensions with an image of other pixels is the same problem to
a network: the magnification, and of fan beams the width of a cell over the distance from source to detector, the angle
under which the source sees it. A parallel beam has no length of its own, so its pitch is compared in millimetres. The
offset is compared in cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeViews
from physics.ct.geometry import FanBeam, Geometry
from physics.ct.scan_geometry import ScanGeometry
from recon.acquisition.drawn_scanners import DrawnScanners

_SAME_ANGLE = 1e-6
"""Angles in radians that differ by less are the same."""

_WIDER_GAP = 1.25
"""How much wider than any that was learned the largest gap between views may be: angles that were measured and not
set differ from even ones by so much."""

_MORE_VIEWS = 1.2
"""Factor from the most views that a network of many scanners learned to the most that pass: on validation scans with 90
views over 90 degrees, one that had learned at most 80 gains 1 to 2.6 dB on total variation."""

_MAGNIFICATION = 1.2
"""Factor by which magnifications may differ, either way: line integrals do not see it, but a focal spot does."""

_PITCH = 1.5
"""Factor by which pitches may differ, either way. With cells half as wide TV alone is the better of the two."""

_OFFSET_CELLS = 1.0
"""Cells by which offsets of the detector may differ."""

_NOISIER = math.sqrt(2)
"""Factor from the largest standard deviation of the noise that was learned to the largest that passes."""

_MOST_MISSING = 0.05
"""Share of rays that may not have been measured: they are filled in for networks, which have never seen that."""

_TYPICAL_ATTENUATION = 4.0
"""Line integral of a ray through the middle of a body, 20 cm of water, at which electronic noise is judged."""


def why_other_geometry(
    trained: Geometry, views: tuple[int, int] | None, scan: ScanGeometry, scanners: DrawnScanners | None = None
) -> str | None:
    """Why a geometry is not one of those that were learned; None if it is.

    Args:
        trained: geometry of the training.
        views: fewest and most views over its arc; None for its own angles.
        scan: geometry of the scan, its number of cells decided or not.
        scanners: the ranges from which scanners and arcs were drawn; None where the geometry was kept.
    """
    if isinstance(scan, ConeBeam | ConeViews):
        return f"it was trained for {trained.kind} beams, the scan has a cone beam"
    if scan.kind != trained.kind:
        return f"it was trained for {trained.kind} beams, the scan has a {scan.kind} beam"
    low, high = views or (trained.views, trained.views)
    if not low <= scan.views <= (high if scanners is None else _MORE_VIEWS * high):
        return f"it was trained for {number_range(low, high)} views, the scan has {scan.views}"
    if scanners is not None:
        arcs = (math.radians(scanners.arc[0]), math.radians(scanners.arc[1]))
        # As many views over a shorter arc are closer together, so that what is a wide gap depends on the arc.
        gap = min(scan.covered_arc + _SAME_ANGLE, arcs[1]) / low
    else:
        learned = _extremes(trained, views)
        covered, gap = [each.covered_arc for each in learned], max(each.largest_gap for each in learned)
        arcs = (min(covered), max(covered))
    return _why_other_views(arcs, gap, scan) or _why_other_detector(trained, scan, scanners)


def _why_other_views(arcs: tuple[float, float], gap: float, scan: Geometry) -> str | None:
    """Why the views lie otherwise than in the training; ``arcs`` and the largest ``gap`` of the training in radians."""
    tolerance = gap + _SAME_ANGLE  # the ends of an arc are known no better
    if not arcs[0] - tolerance <= scan.covered_arc <= arcs[1] + tolerance:
        learned = _degrees(arcs[1]) if _degrees(arcs[0]) == _degrees(arcs[1]) else " to ".join(map(_degrees, arcs))
        return f"it was trained for an arc of {learned} degrees, the scan has {_degrees(scan.covered_arc)}"
    if scan.largest_gap > _WIDER_GAP * gap + _SAME_ANGLE:
        return (
            f"it was trained for gaps of at most {_degrees(gap)} degrees between views, "
            f"the scan has one of {_degrees(scan.largest_gap)}"
        )
    return None


def _extremes(trained: Geometry, views: tuple[int, int] | None) -> list[Geometry]:
    """The learned geometries with the fewest and the most views.

    The three with the fewest, since of parallel views over a whole turn an even number are half as many directions.
    """
    if views is None:
        return [trained]
    low, high = views
    return [trained.with_views(count) for count in {*range(low, min(low + 3, high)), high}]


def _why_other_detector(trained: Geometry, scan: Geometry, scanners: DrawnScanners | None) -> str | None:
    magnification, width = _magnification(trained), _cell_width(trained)
    offset = trained.offset / trained.pitch
    magnifications, widths, offsets = (magnification,) * 2, (width,) * 2, (offset,) * 2
    if scanners is not None:
        magnifications, offsets = scanners.magnification, scanners.offset
        widths = (scanners.pitch[0] * width, scanners.pitch[1] * width)
    magnification, width, offset = _magnification(scan), _cell_width(scan), scan.offset / scan.pitch
    if not magnifications[0] / _MAGNIFICATION <= magnification <= _MAGNIFICATION * magnifications[1]:
        return f"it was trained for a magnification of {_learned(magnifications)}, the scan has {magnification:.3g}"
    if not widths[0] / _PITCH <= width <= _PITCH * widths[1]:
        unit = "mm" if scan.kind == "parallel" else "mm for every metre from source to detector"
        return f"it was trained for a pitch of {_learned(widths)} {unit}, the scan has {width:.3g}"
    if not offsets[0] - _OFFSET_CELLS <= offset <= offsets[1] + _OFFSET_CELLS:
        return f"it was trained for a detector offset of {_learned(offsets)} cells, the scan has {offset:.3g}"
    return None


def _learned(limits: tuple[float, float]) -> str:
    low, high = (f"{limit:.3g}" for limit in limits)
    return low if low == high else f"{low} to {high}"


def _magnification(geometry: Geometry) -> float:
    return geometry.source_detector / geometry.source_isocentre if isinstance(geometry, FanBeam) else 1.0


def _cell_width(geometry: Geometry) -> float:
    """The pitch in mm; of a fan beam in mm for every metre from source to detector."""
    return geometry.pitch * 1000 / geometry.source_detector if isinstance(geometry, FanBeam) else geometry.pitch


def why_other_noise(trained: tuple[float, float] | None, noise: Mapping[str, Any] | None) -> str | None:
    """Why a scan's noise is not of what was learned; None if it is. Less noise than was learned is none the worse.

    Args:
        trained: least and most photons per cell of the training; None for noise-free data only.
        noise: what is stated of the scan's noise, ``photons`` and ``electronic``; None for nothing.
    """
    if noise is None:
        return None
    photons = _equivalent_photons(float(noise["photons"]), float(noise.get("electronic") or 0.0))
    if trained is None:
        return f"it was trained for noise-free data, the scan has the noise of {photons:.3g} photons a cell"
    if photons < trained[0] / _NOISIER**2:
        learned = number_range(*trained)
        return f"it was trained for {learned} photons a cell, the scan has the noise of {photons:.3g} photons"
    return None


def _equivalent_photons(photons: float, electronic: float) -> float:
    """Photons that leave behind a body as much noise without electronic noise as these with it."""
    counts = photons * math.exp(-_TYPICAL_ATTENUATION)
    return photons * counts / (counts + electronic**2)


def why_other_model_error(trained: tuple[float, float] | None, error: float | None) -> str | None:
    """Why the operator explains a scan less well than those that were learned; None if it does, or nothing is stated.

    Args:
        trained: the least and largest ‖y − Ax‖/‖y‖ of the noise-free scans y of the training, x the ground truth; None
            where the card does not state them.
        error: the model error of the scan; None where it is not known.
    """
    if trained is None or error is None or error <= _NOISIER * trained[1]:
        return None
    return f"it was trained for a model error of at most {trained[1]:.2g}, the scan has {error:.2g}"


def why_unproven_model_error(proven: float, error: float | None) -> str | None:
    """Why a network is not known to gain on a scan that the operator explains so badly; None if it is, or nothing is
    stated.

    Args:
        proven: the largest model error of scans on which it is known.
        error: the model error of the scan; None where it is not known.
    """
    if error is None or error <= _NOISIER * proven:
        return None
    return (
        f"it is known to be better than total variation with a model error of at most {proven:.2g}, the scan has "
        f"{error:.2g}"
    )


def why_missing_rays(share: float) -> str | None:
    """Why a scan of which a share of the rays was not measured is unsuitable for a network; None if it is not."""
    if share <= _MOST_MISSING:
        return None
    return f"it was trained for scans of all rays, and {share:.2g} of this scan's were not measured"


def number_range(low: float, high: float) -> str:
    """``20 to 80``, or one number."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle):.3g}"
