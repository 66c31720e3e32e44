"""Scanners that are drawn for a training, so that one network serves a range of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from physics.ct.geometry import FanBeam, Geometry, circular_angles

Range = tuple[float, float]

_FULL = 360.0
"""Degrees of a whole turn."""


@dataclass(frozen=True)
class DrawnScanners:
    """Ranges from which the scanners of a training are drawn, each value on its own.

    Lengths are drawn as a network sees them, as ratios: a scanner twice as large, with pixels twice as large, is the
    same problem.

    Attributes:
        arc: the least and the largest arc in degrees. Half of the scans have the largest one, since most scanners do.
        magnification: the least and the largest ratio of the distances from the source to the detector and to the
            isocentre.
        pitch: the least and the largest width of a cell, as factors of the geometry's own after its magnification.
        offset: the least and the largest shift of the detector, in cells.

    Raises:
        ValueError: a range that is reversed, or beyond what a fan beam can be.
    """

    arc: Range = (90.0, _FULL)
    magnification: Range = (1.4, 2.2)
    pitch: Range = (0.7, 1.5)
    offset: Range = (-1.0, 1.0)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("arc", 0.0, _FULL),
            ("magnification", 1.0, math.inf),
            ("pitch", 0.0, math.inf),
            ("offset", -math.inf, math.inf),
        ):
            least, largest = getattr(self, name)
            if not (low < least <= largest <= high and math.isfinite(largest)):
                raise ValueError(f"{name} {least:g} to {largest:g}: lower number first, above {low:g}, up to {high:g}")

    def draw(self, geometry: Geometry, views: int, random: torch.Generator) -> Geometry:
        """One scanner with so many views, evenly over an arc that begins at any angle.

        Args:
            geometry: the geometry whose pitch and distance from the source to the isocentre are the starting point.
            views: the number of views.
            random: the generator that everything is drawn with.

        Raises:
            ValueError: the geometry is not a fan beam.
        """
        if not isinstance(geometry, FanBeam):
            raise ValueError(f"scanners are drawn of fan beams, not of a {geometry.kind} beam")
        widest = float(torch.rand((), generator=random)) < 0.5
        arc = self.arc[1] if widest else _between(self.arc, random)
        start = _between((0.0, _FULL), random)
        source_detector = geometry.source_isocentre * _between(self.magnification, random)
        pitch = cell_angle(geometry) * source_detector * _between(self.pitch, random)
        return replace(
            geometry,
            angles=circular_angles(views, math.radians(start), math.radians(arc)),
            source_detector=source_detector,
            pitch=pitch,
            offset=_between(self.offset, random) * pitch,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DrawnScanners:
        """From plain values; ``KeyError``, ``TypeError`` or ``ValueError`` for others."""
        return cls(**{name: (float(low), float(high)) for name, (low, high) in dict(values).items()})


def cell_angle(geometry: FanBeam) -> float:
    """The angle under which the source sees a cell in the middle of the detector, radians."""
    return geometry.pitch / geometry.source_detector


def _between(limits: Range, random: torch.Generator) -> float:
    low, high = limits
    return low + (high - low) * float(torch.rand((), generator=random))
