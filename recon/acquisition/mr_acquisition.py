"""Families of MR scans as values; see :mod:`recon.acquisition.ct_acquisition`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from physics.mr.coils import LEAST_CALIBRATION
from physics.mr.masks import MASK_KINDS, Mask, make_mask
from physics.mr.phase import smooth_phase
from priors.training.batches import derived_seed
from recon.acquisition.continuous_mr import Receiver, scan_with_image
from recon.acquisition.ct_suitability import number_range
from recon.acquisition.mr import simulate_mr
from recon.acquisition.mr_suitability import mask_kind, usual_calibration, why_other_mask
from recon.acquisition.network_scale import mr_scale
from recon.errors import input_errors
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

_USUAL_NOISE = 0.02
"""Largest noise of realistic scans, over the maximum; measured ones have 0.011 to 0.015."""

_USUAL_COILS = (1, 8)

_KEPT_COLUMNS = (0.6, 1.0)
"""Least and largest share of k-space's columns that partial Fourier leaves."""


@dataclass(frozen=True)
class MRAcquisition:
    """Undersampled Cartesian k-space.

    Attributes:
        masks: kinds of mask, one of which is drawn for each scan.
        accel: least and largest nominal acceleration.
        noise: largest standard deviation per complex sample, over the volume's maximum.
        phase: largest phase of an image, radians; every scan has a smooth one of its own.
        simulation: how k-space is simulated. ``"ideal"``: by the operator that reconstructs it. ``"continuous"``: of a
            continuous object, finer than the grid.
        coils: fewest and most receive coils, log-uniform; more than one of continuous objects only.
        scanners: whether the places and gains of the coils are drawn, and for half of the scans a side of k-space that
            is left out (partial Fourier); of continuous objects only.

    Raises:
        ValueError: no such mask or simulation, or coils or scanners that cannot be.
    """

    masks: tuple[str, ...] = ("poisson",)
    accel: tuple[float, float] = (8.0, 8.0)
    noise: float = 0.0
    phase: float = 0.0
    simulation: str = "ideal"
    coils: tuple[int, int] = (1, 1)
    scanners: bool = False

    modality: ClassVar[Modality] = "MR"
    card_name: ClassVar[str] = "mri"

    def __post_init__(self) -> None:
        unknown = set(self.masks) - set(MASK_KINDS)
        if unknown or not self.masks:
            raise ValueError(f"masks {', '.join(unknown) or 'none'}; there are {', '.join(MASK_KINDS)}")
        if self.simulation not in _ORIGINS:
            raise ValueError(f"simulation {self.simulation}; there are {', '.join(_ORIGINS)}")
        if not 1 <= self.coils[0] <= self.coils[1]:
            raise ValueError(f"must be 1 or more, the lower number first, not {number_range(*self.coils)}")
        if self.simulation == "ideal" and self.coils != (1, 1):
            raise ValueError(f"{number_range(*self.coils)} coils are simulated of continuous objects only")
        if self.simulation == "ideal" and self.scanners:
            raise ValueError("scanners are drawn of continuous objects only")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the reverse of :meth:`from_dict`; those that older cards do not have only where they are not
        as there: ideal scans of one coil."""
        values = {"masks": self.masks, "accel": self.accel, "noise": self.noise, "phase": self.phase}
        simulation = {} if self.simulation == "ideal" else {"simulation": self.simulation}
        scanners = {"scanners": True} if self.scanners else {}
        return values | simulation | ({} if self.coils == (1, 1) else {"coils": self.coils}) | scanners

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MRAcquisition:
        """An acquisition from plain values; ``TypeError`` or ``ValueError`` for others."""
        return cls(**values)

    def simulate(self, volume: Volume, seed: int, device: torch.device | str = "cpu") -> Measurement:
        """One scan of a magnitude volume, which is its ground truth."""
        return self.simulate_with_image(volume, seed, device)[0]

    def simulate_with_image(
        self, volume: Volume, seed: int, device: torch.device | str = "cpu"
    ) -> tuple[Measurement, Tensor]:
        """One scan of a magnitude volume, and the complex image (z, y, x) that its reconstruction should be."""
        random = torch.Generator().manual_seed(seed)
        kind = self.masks[int(torch.randint(len(self.masks), (), generator=random))]
        low, high = self.accel
        accel = low + (high - low) * float(torch.rand((), generator=random))
        noise = self.noise * float(torch.rand((), generator=random))
        shape = (volume.data.shape[1], volume.data.shape[2])
        mask = _possible_mask(kind, shape, accel, int(torch.randint(2**31, (), generator=random)))
        if self.simulation == "continuous":
            phase = self.phase * float(torch.rand((), generator=random))
            receiver = Receiver(noise, self._drawn_coils(mask, random), phase, self.scanners)
            mask = partly_sampled(mask, random) if self.scanners else mask
            scan, image = scan_with_image(volume, mask, receiver, seed, device)
            return scan.measurement, image
        phases = self._drawn_phase(volume.data.shape, seed)
        image = torch.polar(volume.data, torch.zeros_like(volume.data) if phases is None else phases)
        return simulate_mr(volume, mask, noise=noise, seed=seed, device=device, phase=phases), image.to(device)

    def _drawn_coils(self, mask: Mask, random: torch.Generator) -> int:
        """A number of coils, or one where the mask's centre is too small for sensitivity maps."""
        low, high = self.coils
        drawn = low * ((high + 1) / low) ** float(torch.rand((), generator=random))
        possible = LEAST_CALIBRATION <= mask.calib <= min(mask.array.shape)
        return min(math.floor(drawn), high) if possible else 1

    def _drawn_phase(self, shape: Sequence[int], seed: int) -> Tensor | None:
        """(z, y, x) phase of the image that an ideal scan with this seed measures; None where it is real."""
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

    def knows_coils_of(self, scan: Protocol) -> bool:
        """Whether training had scans of as many receive coils as this one."""
        return self.coils[0] <= (scan.coils or 1) <= self.coils[1]

    def why_unproven(self, scan: Measurement | Protocol) -> str | None:
        """Why it is not known that a network of these scans is better than total variation on a scan; None if it is.

        It is known of scans with little noise and as many coils as were learned that were simulated in a way on which
        networks of such a training gained on total variation in validation.
        """
        protocol = scan.protocol if isinstance(scan, Measurement) else scan
        coils, (low, high) = protocol.coils or 1, self.coils
        if protocol.simulation in _GAINS[self.simulation] and self.knows_coils_of(protocol):
            return self._why_other_noise(scan, max(_PROVEN, self.noise))
        found = _ORIGINS.get(protocol.simulation or "", "measured")
        learned = "one coil" if high == 1 else f"{number_range(low, high)} coils"
        return (
            f"trained on k-space {_ORIGINS[self.simulation]}, of {learned}, it is not known to be better than total "
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


def partly_sampled(mask: Mask, random: torch.Generator) -> Mask:
    """A mask as it is, or in half of all draws without the columns of one side of k-space (partial Fourier).

    The sides that are kept are 60 to 100 % of all columns, and more where the fully sampled centre needs them.
    """
    drawn, share, side = torch.rand(3, generator=random).tolist()
    if drawn < 0.5:
        return mask
    low, high = _KEPT_COLUMNS
    columns = mask.array.shape[1]
    kept = max(round((low + (high - low) * share) * columns), columns // 2 + mask.calib // 2 + 1)
    array = mask.array.clone()
    if side < 0.5:
        array[:, kept:] = False
    else:
        array[:, : max(columns - kept, 0)] = False
    return replace(mask, array=array)


def realistic_mr(masks: Sequence[str], accel: tuple[float, float]) -> MRAcquisition:
    """Scans as networks meet them: of continuous objects with a phase, drawn noise and one or several coils."""
    return MRAcquisition(tuple(masks), accel, _USUAL_NOISE, Receiver.phase, "continuous", _USUAL_COILS)


def _possible_mask(kind: str, shape: tuple[int, int], accel: float, seed: int) -> Mask:
    """A mask with the usual calibration region, or a smaller one where the image is too small for it.

    Raises:
        InputError: no such acceleration.
    """
    with input_errors("`accel`"):
        return make_mask(kind, shape, accel, usual_calibration(kind, shape, accel), seed)
