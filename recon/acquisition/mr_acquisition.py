"""Families of MR scans as values; see :mod:`recon.acquisition.ct_acquisition`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from physics.mr.masks import MASK_KINDS, Mask, make_mask
from physics.mr.phase import smooth_phase
from priors.training.batches import derived_seed
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_suitability import SMALLER_CALIBRATIONS, mask_kind, why_other_mask
from recon.acquisition.network_scale import mr_scale
from recon.errors import InputError
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Modality, Volume

_ORIGINS = {"ideal": "simulated from magnitude images", "continuous": "simulated of continuous objects"}

_GAINS = {"ideal": ("ideal", "continuous"), "continuous": ("ideal", "continuous")}
"""How scans are simulated, by how those of the training were, on which networks are known to gain: on validation scans
of one coil the shipped head, trained on ideal ones, gains 0.8 dB in the mean on continuous ones without noise and 0.6
dB with noise of 0.01 of the maximum (it loses on one volume of four). On measured ones it loses."""

_PROVEN = 0.01
"""Noise, over the maximum, up to which that holds of networks that were trained without any."""

_NOISIER = 2**0.5
"""Factor from the largest noise that was learned to the largest that passes."""

_QUIET = 0.02
"""Noise, over the maximum, with which networks that were trained without any are still sensible to try."""


@dataclass(frozen=True)
class MRAcquisition:
    """Undersampled Cartesian k-space of one coil.

    Attributes:
        masks: kinds of mask, one of which is drawn for each scan.
        accel: least and largest nominal acceleration.
        noise: largest standard deviation per complex sample, over the volume's maximum.
        phase: largest phase of an image, radians; every scan has a smooth one of its own.
        simulation: how k-space is simulated; ``"ideal"``, by the operator that reconstructs it, is all that
            :meth:`simulate` does.
    """

    masks: tuple[str, ...] = ("poisson",)
    accel: tuple[float, float] = (8.0, 8.0)
    noise: float = 0.0
    phase: float = 0.0
    simulation: str = "ideal"

    modality: ClassVar[Modality] = "MR"
    card_name: ClassVar[str] = "mri"

    def __post_init__(self) -> None:
        unknown = set(self.masks) - set(MASK_KINDS)
        if unknown or not self.masks:
            raise ValueError(f"masks {', '.join(unknown) or 'none'}; there are {', '.join(MASK_KINDS)}")
        if self.simulation not in _ORIGINS:
            raise ValueError(f"simulation {self.simulation}; there are {', '.join(_ORIGINS)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`; the simulation only where it is not ideal, as in older
        cards."""
        values = {"masks": self.masks, "accel": self.accel, "noise": self.noise, "phase": self.phase}
        return values if self.simulation == "ideal" else values | {"simulation": self.simulation}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MRAcquisition:
        """An acquisition from plain values; ``TypeError`` or ``ValueError`` for others."""
        return cls(**values)

    def simulate(self, volume: Volume, seed: int, device: torch.device | str = "cpu") -> Measurement:
        """One scan of a magnitude volume."""
        random = torch.Generator().manual_seed(seed)
        kind = self.masks[int(torch.randint(len(self.masks), (), generator=random))]
        low, high = self.accel
        accel = low + (high - low) * float(torch.rand((), generator=random))
        noise = self.noise * float(torch.rand((), generator=random))
        shape = (volume.data.shape[1], volume.data.shape[2])
        mask = _possible_mask(kind, shape, accel, int(torch.randint(2**31, (), generator=random)))
        return simulate_mr(
            volume, mask, noise=noise, seed=seed, device=device, phase=self.image_phase(volume.data.shape, seed)
        )

    def image_phase(self, shape: Sequence[int], seed: int) -> Tensor | None:
        """(z, y, x) phase of the image that a scan with this seed measures; None where it is real."""
        if not self.phase:
            return None
        random = torch.Generator().manual_seed(derived_seed("phase", seed))
        z, y, x = shape
        return smooth_phase((z, y, x), self.phase * float(torch.rand((), generator=random)), random)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The sorts of scans that are drawn, see :meth:`kind`."""
        return self.masks

    def kind(self, measurement: Measurement) -> str:
        """What sort of scan a measurement is, of those whose errors differ: by what its mask samples."""
        return mask_kind(measurement.protocol.mask or {}) or "file"

    def why_unsuitable(self, scan: Measurement | Protocol) -> str | None:
        """Why a scan is not one of these, in one line; None if it is."""
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        shape = None
        if isinstance(scan, Measurement):
            shape = (scan.operator.domain[-2], scan.operator.domain[-1])
        other_mask = why_other_mask(self.masks, self.accel, protocol.mask or {}, shape)
        return other_mask or self._why_other_noise(scan, max(_QUIET, self.noise))

    def why_unproven(self, scan: Measurement | Protocol) -> str | None:
        """Why it is not known that a network of these scans is better than total variation on a scan; None if it is.

        It is known of scans with one coil and little noise that were simulated in a way on which networks of such a
        training gained on total variation in validation.
        """
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        coils = protocol.coils or 1
        if protocol.simulation in _GAINS.get(self.simulation, ()) and coils == 1:
            return self._why_other_noise(scan, max(_PROVEN, self.noise))
        found = _ORIGINS.get(protocol.simulation or "", "measured")
        return (
            f"trained on k-space {_ORIGINS[self.simulation]}, of one coil, it is not known to be better than total "
            f"variation on k-space that was {found}, of {coils} coil{'s' * (coils > 1)}"
        )

    def _why_other_noise(self, scan: Measurement | Protocol, most: float) -> str | None:
        """Why a scan's noise is more than ``most``, over the maximum; None if it is not, or nothing is stated."""
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        noise = float((protocol.noise or {}).get("std_of_maximum") or 0.0)
        if not noise and isinstance(scan, Measurement) and scan.noise_level:
            noise = scan.noise_level / mr_scale(scan).magnitude
        if noise <= _NOISIER * most:
            return None
        learned = f"noise of at most {self.noise:.2g} of the maximum" if self.noise else "noise-free data"
        return f"it was trained for {learned}, the scan has noise of {noise:.2g} of the maximum"


def _possible_mask(kind: str, shape: tuple[int, int], accel: float, seed: int) -> Mask:
    """A mask with the usual calibration region, or a smaller one where the image is too small for it.

    Raises:
        InputError: no calibration region allows the acceleration.
    """
    for calib in (None, *SMALLER_CALIBRATIONS):
        try:
            return make_mask(kind, shape, accel, calib, seed)
        except ValueError as error:
            reason = error
    raise InputError(f"`accel`: {reason}")
