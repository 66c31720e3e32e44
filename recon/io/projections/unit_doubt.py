"""A doubt about the unit of lengths: a body as dense as ten times water, or as a tenth of it.

Line integrals have no unit, but the image has: the attenuation of water is 0.0192 per mm and 0.192 per cm. Lengths in
cm that are stated as mm, or projections of an image per cm over paths in mm, put it off by ten. Nothing is changed for
that: other things than patients may be as dense.
"""

from __future__ import annotations

import numpy as np

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import ConeViews
from physics.ct.field_of_view import ray_distances
from physics.ct.geometry import Geometry
from physics.ct.scan_geometry import ScanGeometry
from recon.scan.units import MU_WATER

_NEAR_TEN = (6.0, 15.0)
"""Factors that are taken for ten: bodies hold lungs and bones."""

_AIR = 0.05
"""Share of a view's largest line integral below which a ray is taken for one through air."""


def doubt_of_unit(data: np.ndarray, measured: np.ndarray, geometry: ScanGeometry) -> tuple[str, ...]:
    """A line where the body is about ten times as dense as water, or a tenth; nothing elsewhere.

    Args:
        data: (z, views, cells) line integrals.
        measured: bool, which of them were measured.
        geometry: the geometry of the scan, its number of cells decided; of a cone beam, its midplane is looked at.
    """
    if isinstance(geometry, ConeViews):
        return ()
    flat = geometry.middle() if isinstance(geometry, ConeBeam) else geometry
    density = mean_attenuation(np.where(measured, data, 0), flat)
    (low, high), ratio = _NEAR_TEN, density / MU_WATER
    if low <= ratio <= high:
        words = "ten times as much as water; if it is tissue, lengths in cm were taken for mm, or values are per cm"
    elif ratio > 0 and low <= 1 / ratio <= high:
        words = "a tenth of what water does; if it is tissue, lengths are ten times too large, or values too small"
    else:
        return ()
    return (f"the body attenuates about {density:.2g} per mm, {words}",)


def mean_attenuation(data: np.ndarray, geometry: Geometry) -> float:
    """About the attenuation of the body in 1/mm, as if it were an ellipse of one density; 0 where there is no body.

    The integral of a view over the distance of its rays is that of the attenuation over the slice; the second moment
    tells the width, and an ellipse with the second moments a² and b² has the area 4 π a b.
    """
    distance = ray_distances(geometry)
    step = np.abs(np.gradient(distance))
    middle = data[np.abs(data).sum((1, 2)).argmax()].astype(float)
    weight = np.where(middle > _AIR * middle.max(-1, keepdims=True), middle, 0) * step
    total = weight.sum(-1)
    seen = total > 0
    if not seen.any():
        return 0.0
    weight, total = weight[seen], total[seen]
    centre = (weight * distance).sum(-1) / total
    spread = (weight * (distance - centre[:, None]) ** 2).sum(-1) / total
    area = 4 * np.pi * float(np.median(spread))
    return float(np.median(total)) / area if area > 0 else 0.0
