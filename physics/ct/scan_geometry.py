"""Any geometry of a CT scan: of slices that are measured one by one, or of a cone beam, whose rays cross them."""

from __future__ import annotations

from typing import Any

from physics.ct.cone.geometry import ConeBeam
from physics.ct.cone.views import CONE_KINDS, ConeGeometry, ConeViews, cone_from_dict
from physics.ct.geometry import Geometry, geometry_from_dict

ScanGeometry = Geometry | ConeGeometry


def scan_geometry_from_dict(values: dict[str, Any]) -> ScanGeometry:
    """The inverse of ``to_dict`` of any geometry; ``ValueError`` names what is missing or unknown."""
    return cone_from_dict(values) if values.get("type") in CONE_KINDS else geometry_from_dict(values)


def slice_geometry(geometry: ScanGeometry) -> Geometry:
    """The geometry itself if it measures slices one by one; ``ValueError`` for a cone beam."""
    if isinstance(geometry, ConeBeam | ConeViews):
        raise ValueError("a cone beam, whose rays cross the slices; a fan or parallel beam is needed here")
    return geometry
