"""Families of CT scans as values: how a scan is simulated, and whether another scan is one of them.

Such a value goes into a weights file, so that a network can later tell whether a scan is of the kind that it was
trained for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from physics.ct.geometry import Geometry, circular_angles, geometry_from_dict
from physics.noise import TransmissionNoise
from recon.acquisition.ct import MakeProjector, simulate_ct
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Modality, Volume

_ANGLE_TOLERANCE = math.radians(0.5)


@dataclass(frozen=True)
class CTAcquisition:
    """CT from sparse or limited views.

    Attributes:
        geometry: geometry of the scanner.
        views: fewest and most views over the geometry's arc; None keeps the geometry's own angles.
        photons: range of the dose, log-uniform, photons per cell; None is noise-free. Half of the simulated scans of a
            range stay noise-free.
    """

    geometry: Geometry
    views: tuple[int, int] | None = None
    photons: tuple[float, float] | None = None

    modality: ClassVar[Modality] = "CT"
    card_name: ClassVar[str] = "svct"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`."""
        return {"geometry": self.geometry.to_dict(), "views": self.views, "photons": self.photons}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CTAcquisition:
        """An acquisition from plain values; ``KeyError``, ``TypeError`` or ``ValueError`` for others."""
        return cls(**(dict(values) | {"geometry": geometry_from_dict(dict(values["geometry"]))}))

    def simulate(
        self,
        volume: Volume,
        seed: int,
        device: torch.device | str = "cpu",
        projectors: MakeProjector | None = None,
    ) -> Measurement:
        """One scan of a volume in HU; ``projectors`` as for :func:`recon.acquisition.ct.simulate_ct`."""
        random = torch.Generator().manual_seed(seed)
        noise = None
        if self.photons and torch.rand((), generator=random) < 0.5:
            low, high = (math.log(value) for value in self.photons)
            noise = TransmissionNoise(math.exp(low + (high - low) * float(torch.rand((), generator=random))))
        return simulate_ct(volume, self._drawn_geometry(random), None, noise, seed, device, projectors)

    def _drawn_geometry(self, random: torch.Generator) -> Geometry:
        if self.views is None:
            return self.geometry
        count = int(torch.randint(self.views[0], self.views[1] + 1, (), generator=random))
        first, arc = _arc(self.geometry)
        return replace(self.geometry, angles=circular_angles(count, first, arc))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The sorts of scans that are drawn, see :meth:`kind`."""
        return ("noise-free", "noisy") if self.photons else ("noise-free",)

    def kind(self, measurement: Measurement) -> str:
        """What sort of scan a measurement is, of those whose errors differ: with noise or without."""
        return "noise-free" if measurement.sigma is None else "noisy"

    def why_unsuitable(self, scan: Measurement | Protocol) -> str | None:
        """Why a scan is not one of these, in one line; None if it is."""
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        values = protocol.geometry or {}
        geometry = geometry_from_dict({key: value for key, value in values.items() if key != "description"})
        return self._why_other_geometry(geometry)

    def _why_other_geometry(self, scan: Geometry) -> str | None:
        if type(scan) is not type(self.geometry):
            return f"it was trained for {type(self.geometry).__name__}, the scan is {type(scan).__name__}"
        fewest, most = self.views or (self.geometry.views, self.geometry.views)
        if not fewest <= scan.views <= most:
            return f"it was trained for {number_range(fewest, most)} views, the scan has {scan.views}"
        trained, found = _arc(self.geometry)[1], _arc(scan)[1]
        if abs(trained - found) > _ANGLE_TOLERANCE:
            degrees = [f"{math.degrees(arc):.0f}" for arc in (trained, found)]
            return f"it was trained for an arc of {degrees[0]} degrees, the scan has {degrees[1]}"
        for name in ("source_isocentre", "source_detector"):
            if not math.isclose(getattr(scan, name, 0), getattr(self.geometry, name, 0), rel_tol=0.01):
                words = name.replace("_", " to ")
                return (
                    f"it was trained for {words} {getattr(self.geometry, name)} mm, the scan has {getattr(scan, name)}"
                )
        return None


def _arc(geometry: Geometry) -> tuple[float, float]:
    """First angle and arc of evenly spread views, radians."""
    angles: Sequence[float] = geometry.angles
    step = (angles[-1] - angles[0]) / max(1, len(angles) - 1)
    return angles[0], min(step * len(angles), 2 * math.pi)


def number_range(low: float, high: float) -> str:
    """``20 to 80``, or one number."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
