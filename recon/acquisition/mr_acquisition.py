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
from recon.acquisition.ct_suitability import number_range
from recon.acquisition.mr import simulate_mr
from recon.acquisition.network_scale import mr_scale
from recon.errors import InputError
from recon.scan.measurement import Measurement, Protocol
from recon.scan.volume import Modality, Volume

_NOISIER = 2**0.5
"""Factor from the largest noise that was learned to the largest that passes."""

_SMALLER_CALIBRATIONS = (20, 16, 12, 8, 4)


@dataclass(frozen=True)
class MRAcquisition:
    """Undersampled Cartesian k-space of one coil.

    Attributes:
        masks: kinds of mask, one of which is drawn for each scan.
        accel: least and largest nominal acceleration.
        noise: largest standard deviation per complex sample, over the volume's maximum.
        phase: largest phase of an image, radians; every scan has a smooth one of its own.
    """

    masks: tuple[str, ...] = ("poisson",)
    accel: tuple[float, float] = (8.0, 8.0)
    noise: float = 0.0
    phase: float = 0.0

    modality: ClassVar[Modality] = "MR"
    card_name: ClassVar[str] = "mri"

    def __post_init__(self) -> None:
        unknown = set(self.masks) - set(MASK_KINDS)
        if unknown or not self.masks:
            raise ValueError(f"masks {', '.join(unknown) or 'none'}; there are {', '.join(MASK_KINDS)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`."""
        return {"masks": self.masks, "accel": self.accel, "noise": self.noise, "phase": self.phase}

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
        """What sort of scan a measurement is, of those whose errors differ: by its mask."""
        return str((measurement.protocol.mask or {}).get("kind", "file"))

    def why_unsuitable(self, scan: Measurement | Protocol) -> str | None:
        """Why a scan is not one of these, in one line; None if it is."""
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        mask = protocol.mask or {}
        if mask.get("kind") not in self.masks:
            return f"it was trained for the masks {', '.join(self.masks)}, the scan has {mask.get('kind')}"
        low, high = self.accel
        accel = float(mask.get("accel") or 0.0)
        if not low * 0.99 <= accel <= high * 1.01:
            return f"it was trained for acceleration {number_range(low, high)}, the scan has {accel:g}"
        return self._why_other_noise(scan, protocol)

    def _why_other_noise(self, scan: Measurement | Protocol, protocol: Protocol) -> str | None:
        """Why a scan's noise is more than was learned; None if it is not, or nothing is stated."""
        noise = float((protocol.noise or {}).get("std_of_maximum") or 0.0)
        if not noise and isinstance(scan, Measurement) and scan.noise_level:
            noise = scan.noise_level / mr_scale(scan).magnitude
        if noise <= _NOISIER * self.noise:
            return None
        learned = f"noise of at most {self.noise:.2g} of the maximum" if self.noise else "noise-free data"
        return f"it was trained for {learned}, the scan has noise of {noise:.2g} of the maximum"


def _possible_mask(kind: str, shape: tuple[int, int], accel: float, seed: int) -> Mask:
    """A mask with the usual calibration region, or a smaller one where the image is too small for it.

    Raises:
        InputError: no calibration region allows the acceleration.
    """
    for calib in (None, *_SMALLER_CALIBRATIONS):
        try:
            return make_mask(kind, shape, accel, calib, seed)
        except ValueError as error:
            reason = error
    raise InputError(f"`accel`: {reason}")
