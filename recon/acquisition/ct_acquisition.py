"""Families of CT scans as values: how a scan is simulated, and whether another scan is one of them.

Such a value goes into a weights file, so that a network can later tell whether a scan is of the kind that it was
trained for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from physics.ct.geometry import Geometry, geometry_from_dict
from physics.noise import TransmissionNoise
from recon.acquisition.ct import MakeProjector, simulate_ct
from recon.acquisition.ct_suitability import (
    why_missing_rays,
    why_other_geometry,
    why_other_model_error,
    why_other_noise,
)
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Modality, Volume


@dataclass(frozen=True)
class CTAcquisition:
    """CT from sparse or limited views.

    Attributes:
        geometry: geometry of the scanner.
        views: fewest and most views over the geometry's arc; None keeps the geometry's own angles.
        photons: range of the dose, log-uniform, photons per cell; None is noise-free. Half of the simulated scans of a
            range stay noise-free.
        model_error: least and largest relative model error of the scans, see :class:`recon.scan.measurement.Protocol`;
            None where it is not known.
    """

    geometry: Geometry
    views: tuple[int, int] | None = None
    photons: tuple[float, float] | None = None
    model_error: tuple[float, float] | None = None

    modality: ClassVar[Modality] = "CT"
    card_name: ClassVar[str] = "svct"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`; no model error where it is not known, as in older cards."""
        values = {"geometry": self.geometry.to_dict(), "views": self.views, "photons": self.photons}
        return values if self.model_error is None else values | {"model_error": self.model_error}

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
        return self.geometry.with_views(count)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The sorts of scans that are drawn, see :meth:`kind`."""
        return ("noise-free", "noisy") if self.photons else ("noise-free",)

    def kind(self, measurement: Measurement) -> str:
        """What sort of scan a measurement is, of those whose errors differ: with noise or without."""
        return "noisy" if measurement.noisy else "noise-free"

    def why_unsuitable(self, scan: Measurement | Protocol) -> str | None:
        """Why a scan is not one of these, in one line; None if it is."""
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        if protocol.geometry is None:
            return "it was trained for CT of a known geometry, the scan does not state its own"
        values = {key: value for key, value in protocol.geometry.items() if key != "description"}
        return (
            why_other_geometry(self.geometry, self.views, geometry_from_dict(values))
            or why_missing_rays(_missing_share(scan))
            or why_other_noise(self.photons, _noise_of(scan, protocol))
            or why_other_model_error(self.model_error, protocol.model_error)
        )

    def why_unproven(self, scan: Measurement | Protocol) -> str | None:
        """Why it is not known that a network of these scans is better than total variation on a scan; None if it is.

        Of CT it is known for every scan that a network is suitable for.
        """
        return None


def _missing_share(scan: Measurement | Protocol) -> float:
    """Share of a scan's rays that were not measured."""
    mask = scan.operator.mask if isinstance(scan, Measurement) else None
    return 0.0 if mask is None else 1 - float(mask.float().mean())


def _noise_of(scan: Measurement | Protocol, protocol: Protocol) -> dict[str, Any] | None:
    """What is stated of the photons or, where nothing is but data have a sigma, photons that would leave as much."""
    if protocol.noise and "photons" in protocol.noise:
        return protocol.noise
    variance = scan.noise_variance if isinstance(scan, Measurement) else None
    if variance is None or not isinstance(scan, Measurement):
        return None
    return {"photons": float(scan.y.double().exp().mean()) / variance}
