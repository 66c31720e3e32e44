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

from physics.ct.geometry import FanBeam, Geometry, geometry_from_dict
from physics.ct.scan_geometry import scan_geometry_from_dict
from physics.noise import TransmissionNoise
from recon.acquisition.continuous import scan_continuous
from recon.acquisition.ct import MakeProjector, simulate_ct
from recon.acquisition.ct_suitability import (
    why_missing_rays,
    why_other_geometry,
    why_other_model_error,
    why_other_noise,
    why_unproven_model_error,
)
from recon.acquisition.drawn_model_error import simulate_with_drawn_error
from recon.acquisition.drawn_scanners import DrawnScanners
from recon.acquisition.model_error import without_model_error
from recon.scan.measurement import Measurement, Protocol, Scan
from recon.scan.volume import Modality, Volume

_ORIGINS = {
    "ideal": "simulated by the operator that reconstructs",
    "continuous": "simulated of continuous objects",
    "drawn": "simulated with a drawn model error",
}
"""How scans can be simulated, in words."""

_GAINED_ON = ("ideal", "continuous")
"""Simulations of scans on which networks are known to gain on total variation, whichever they were trained on.

On validation scans of continuous objects a head trained on ideal ones gained 0.6 to 4.8 dB once the model error was
taken off. Of the shipped ones, that trained on continuous scans gains on ideal ones too, and that on scans with a drawn
model error gains 2.0 to 3.4 dB on ideal ones, an inverse crime, of 20 views or 90 degrees."""

_PROVEN_MODEL_ERROR = 0.006
"""Largest relative model error of those scans."""


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
        simulation: how scans are simulated. ``"ideal"``: by the operator that reconstructs them, the inverse crime.
            ``"continuous"``: of a continuous object, the model error then taken off as far as a finer grid tells it, as
            of every scan that is reconstructed. ``"drawn"``: by the operator, with a drawn remainder of the model
            error, which is faster (:mod:`recon.acquisition.drawn_model_error`).
        scanners: the ranges from which scanners and arcs are drawn; None keeps the geometry's own.

    Raises:
        ValueError: no such simulation, or scanners are drawn of another geometry than a fan beam.
    """

    geometry: Geometry
    views: tuple[int, int] | None = None
    photons: tuple[float, float] | None = None
    model_error: tuple[float, float] | None = None
    simulation: str = "ideal"
    scanners: DrawnScanners | None = None

    modality: ClassVar[Modality] = "CT"
    card_name: ClassVar[str] = "svct"

    def __post_init__(self) -> None:
        if self.simulation not in _ORIGINS:
            raise ValueError(f"simulation {self.simulation}; there are {', '.join(_ORIGINS)}")
        if self.scanners is not None and not isinstance(self.geometry, FanBeam):
            raise ValueError(f"scanners are drawn of fan beams, not of a {self.geometry.kind} beam")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`; no model error where it is not known, no simulation where it
        is ideal, and no scanners where none are drawn, as in older cards."""
        values = {"geometry": self.geometry.to_dict(), "views": self.views, "photons": self.photons}
        known: dict[str, Any] = {} if self.model_error is None else {"model_error": self.model_error}
        if self.simulation != "ideal":
            known["simulation"] = self.simulation
        if self.scanners is not None:
            known["scanners"] = self.scanners.to_dict()
        return values | known

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CTAcquisition:
        """An acquisition from plain values; ``KeyError``, ``TypeError`` or ``ValueError`` for others."""
        drawn = values.get("scanners")
        scanners = None if drawn is None else DrawnScanners.from_dict(drawn)
        geometry = geometry_from_dict(dict(values["geometry"]))
        return cls(**(dict(values) | {"geometry": geometry, "scanners": scanners}))

    def simulate(
        self,
        volume: Volume,
        seed: int,
        device: torch.device | str = "cpu",
        projectors: MakeProjector | None = None,
    ) -> Measurement:
        """One scan of a volume in HU, whose ground truth is the volume itself.

        Args:
            volume: the volume.
            seed: the seed of everything that is drawn.
            device: the device of the operator and the data.
            projectors: makes the operator, as for :func:`recon.acquisition.ct.simulate_ct`; continuous scans make their
                own.
        """
        random = torch.Generator().manual_seed(seed)
        noise = None
        if self.photons and torch.rand((), generator=random) < 0.5:
            low, high = (math.log(value) for value in self.photons)
            noise = TransmissionNoise(math.exp(low + (high - low) * float(torch.rand((), generator=random))))
        geometry = self._drawn_geometry(random)
        if self.simulation == "continuous":
            found = scan_continuous(volume, geometry, noise=noise, seed=seed, device=device)
            return without_model_error(Scan(found.measurement, found.truth, None)).measurement
        if self.simulation == "drawn":
            return simulate_with_drawn_error(volume, geometry, noise, seed, device, projectors)
        return simulate_ct(volume, geometry, None, noise, seed, device, projectors)

    def _drawn_geometry(self, random: torch.Generator) -> Geometry:
        count = self.geometry.views
        if self.views is not None:
            count = int(torch.randint(self.views[0], self.views[1] + 1, (), generator=random))
        if self.scanners is not None:
            return self.scanners.draw(self.geometry, count, random)
        return self.geometry if self.views is None else self.geometry.with_views(count)

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
            why_other_geometry(self.geometry, self.views, scan_geometry_from_dict(values), self.scanners)
            or why_missing_rays(_missing_share(scan))
            or why_other_noise(self.photons, _noise_of(scan, protocol))
            or why_other_model_error(self.model_error, protocol.model_error)
        )

    def why_unproven(self, scan: Measurement | Protocol) -> str | None:
        """Why it is not known that a network of these scans is better than total variation on a scan; None if it is.

        It is known of scans that were simulated in a way on which networks of such a training gained on total variation
        in validation. No validation scan was measured.
        """
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        if protocol.simulation in _GAINED_ON:
            proven = _PROVEN_MODEL_ERROR if self.model_error is None else self.model_error[1]
            return why_unproven_model_error(proven, protocol.model_error)
        found = _ORIGINS.get(protocol.simulation or "", "measured")
        return (
            f"trained on scans {_ORIGINS[self.simulation]}, it is not known to be better than total variation on data "
            f"that were {found}"
        )


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
