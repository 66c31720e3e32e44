"""Does a method keep, or invent, what it was not asked about? Known lesions put into a case, and what is left of them.

Two spheres go into homogeneous soft tissue: a large faint one and a small bright one. Their contrast is the mean inside
less the mean of a shell around, in HU; recovered contrast is that of a reconstruction over that of the case with the
lesions. The same places of a reconstruction of the case as it was show what a method invents there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy import ndimage

from benchmarks.table.crime import INVERSE_CRIME
from physics.ct.geometry import Geometry
from physics.noise import TransmissionNoise
from recon.errors import InputError
from recon.methods import get_method
from recon.run.measure import Simulation, measure_ct
from recon.run.outcome import reconstruct
from recon.scan.volume import Volume

Announce = Callable[[str], None]

_SOFT_TISSUE = (0.0, 120.0)  # HU
_SHELL_MM = (1.5, 4.0)
"""Where the background of a lesion begins and ends, beyond its radius."""


@dataclass(frozen=True)
class Lesion:
    """A sphere that is added to a volume.

    Attributes:
        name: the lesion's name in the table.
        radius: the radius in mm.
        contrast: the contrast in HU.
    """

    name: str
    radius: float
    contrast: float


LESIONS = (Lesion("large, faint", 8.0, -40.0), Lesion("small, bright", 3.0, 200.0))


@dataclass(frozen=True)
class Recovery:
    """What one method left of one lesion.

    Attributes:
        method: its name.
        lesion: its name.
        recovered: contrast over the true one; 1 keeps it whole.
        invented: contrast in HU at the same place without a lesion, less the true one there.
        psnr: the PSNR of the whole case with the lesions, in dB.
    """

    method: str
    lesion: str
    recovered: float
    invented: float
    psnr: float


def most_soft_tissue(volume: Volume, slices: int) -> Volume:
    """The ``slices`` neighbouring slices that hold the most of it; all where there are no more."""
    data = volume.data.numpy()
    if slices >= len(data):
        return volume
    soft = ((data > _SOFT_TISSUE[0]) & (data < _SOFT_TISSUE[1])).mean((1, 2))
    first = int(np.argmax(np.convolve(soft, np.ones(slices), mode="valid")))
    affine = volume.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    return Volume(volume.data[first : first + slices].clone(), affine, volume.modality, notices=volume.notices)


def find_place(volume: Volume, lesion: Lesion, taken: Sequence[tuple[int, int, int]] = ()) -> tuple[int, int, int]:
    """The voxel (z, y, x) in whose surroundings soft tissue varies least, away from places that are taken.

    Raises:
        InputError: there is no soft tissue large enough.
    """
    reach = lesion.radius + _SHELL_MM[1]
    data = volume.data.numpy()
    size = [max(1, 2 * round(reach / step) + 1) for step in volume.spacing]
    soft = ((data > _SOFT_TISSUE[0] - 40) & (data < _SOFT_TISSUE[1])).astype(np.float32)
    share, mean = (ndimage.uniform_filter(each, size, mode="constant") for each in (soft, data))
    spread = ndimage.uniform_filter(np.square(data), size, mode="constant") - np.square(mean)
    allowed = (share > 0.9) & (mean > _SOFT_TISSUE[0]) & (mean < _SOFT_TISSUE[1])
    for place in taken:
        allowed &= _distance(volume, place) > 3 * reach
    if not allowed.any():
        raise InputError(f"no soft tissue of {2 * reach:.0f} mm for the lesion '{lesion.name}'; take another case")
    z, y, x = np.unravel_index(np.argmin(np.where(allowed, spread, np.inf)), data.shape)
    return int(z), int(y), int(x)


def insert(volume: Volume, lesions: Mapping[tuple[int, int, int], Lesion]) -> Volume:
    """The volume with spheres added, their surfaces a voxel soft."""
    data = volume.data.clone()
    softness = min(volume.spacing[1:])
    for place, lesion in lesions.items():
        inside = np.clip((lesion.radius - _distance(volume, place)) / softness + 0.5, 0, 1)
        data += lesion.contrast * torch.from_numpy(inside).float()
    return volume.like(data)


def contrast(volume: Volume, place: tuple[int, int, int], lesion: Lesion) -> float:
    """Mean inside less mean of the shell around, in HU."""
    distance, data = _distance(volume, place), volume.data.numpy()
    inside = distance <= max(lesion.radius - 0.5 * min(volume.spacing[1:]), 0.6 * lesion.radius)
    shell = (distance > lesion.radius + _SHELL_MM[0]) & (distance <= lesion.radius + _SHELL_MM[1])
    return float(data[inside].mean() - data[shell].mean())


def measure(
    volume: Volume,
    geometry: Geometry,
    methods: Sequence[str],
    *,
    noise: TransmissionNoise | None = None,
    lesions: Sequence[Lesion] = LESIONS,
    simulate: Simulation = "continuous",
    announce: Announce = print,
) -> list[Recovery]:
    """Reconstruct a case as it is and with lesions, by every method, from the same measurements.

    Args:
        volume: CT in HU.
        geometry: the geometry of the scans.
        methods: names, with ``+dc`` where wanted.
        noise: the noise of the scans; all methods see the same draw.
        lesions: what is put in.
        simulate: how both scans are simulated: of a continuous object, or by the operator that reconstructs them
            (``ideal``, the inverse crime).
        announce: called with one line about progress, and with the reason where a network was not made for the scans
            and is used all the same.

    Raises:
        InputError: no place for a lesion, or a method that cannot do it.
    """
    places: dict[tuple[int, int, int], Lesion] = {}
    for lesion in lesions:
        places[find_place(volume, lesion, list(places))] = lesion
    ill = insert(volume, places)
    scans = [measure_ct(each, geometry, noise, simulate=simulate) for each in (volume, ill)]
    truths = [scan.grid if scan.truth is None else scan.truth for scan in scans]
    rows = []
    for method in methods:
        settings = {"allow_other": True} if "allow_other" in get_method("CT", method).options.model_fields else {}
        healthy, found = (
            reconstruct(scan.measurement, scan.grid, method, truth=truth, settings=settings)
            for scan, truth in zip(scans, truths, strict=True)
        )
        for notice in found.answer.notices if found.answer else ():
            announce(f"{method}: {notice}")
        for place, lesion in places.items():
            before, true = (contrast(truth, place, lesion) for truth in truths)
            recovered = (contrast(found.result, place, lesion) - contrast(healthy.result, place, lesion)) / (
                true - before
            )
            invented = contrast(healthy.result, place, lesion) - before
            rows.append(Recovery(method, lesion.name, recovered, invented, float(found.metrics["psnr"] or 0)))
        announce(f"{method}: done")
    return rows


def _distance(volume: Volume, place: tuple[int, int, int]) -> np.ndarray:
    """From a voxel to every voxel, in mm."""
    axes = [
        ((np.arange(size) - centre) * step) ** 2
        for size, centre, step in zip(volume.data.shape, place, volume.spacing, strict=True)
    ]
    return np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2]).astype(np.float32)


def table(rows: Sequence[Recovery], simulate: Simulation = "continuous") -> list[str]:
    """Lines for the terminal, which say where the scans are an inverse crime."""
    head = [f"{INVERSE_CRIME[1:-1]}: the operator that reconstructs made the scans"] if simulate == "ideal" else []
    head.append(f"{'':18}{'lesion':>16}{'recovered':>12}{'invented (HU)':>16}{'PSNR (dB)':>12}")
    return head + [f"{r.method:18}{r.lesion:>16}{r.recovered:>12.2f}{r.invented:>16.1f}{r.psnr:>12.2f}" for r in rows]


def as_dicts(rows: Sequence[Recovery], simulate: Simulation = "continuous") -> list[dict[str, str | float]]:
    """For JSON, each row with the way in which its scans were simulated."""
    return [asdict(row) | {"simulation": simulate} for row in rows]
