"""Volumes of a data set, read once, brought to one orientation and kept on disk for fast reading.

A prepared volume is int16, (Z, X, Y) with X to the right, Y to the anterior and Z to the superior, as the networks take
it: CT in HU, MR as magnitude in ten-thousandths of the volume's own scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.cache import Cache
from datasets.case import Case
from datasets.identity import content_sha256
from recon.acquisition.mr_measured import reference_image
from recon.acquisition.network_scale import network_axes, patient_axes
from recon.errors import InputError
from recon.io.cases import read_case
from recon.io.intensity import check_hu
from recon.pictures.lettering import UNKNOWN, Frame
from recon.scan.units import hu_to_network, magnitude_scale, magnitude_to_network
from recon.scan.volume import Modality, Volume

MR_UNIT = 10_000
"""Stored value of a magnitude equal to the volume's scale; three times that still fits."""

UNREADABLE_SHARE = 0.1
"""More unreadable cases than this share of a data set stop a training."""


@dataclass(frozen=True)
class Prepared:
    """One volume, memory-mapped.

    Attributes:
        case: the case that the volume came from.
        data: (Z, X, Y) int16.
        spacing: (z, x, y) mm.
        content: SHA-256 of the case's files.
        sha256: hash of the prepared values.
        frame: what is known of how its pictures lie.
    """

    case: Case
    data: np.ndarray
    spacing: tuple[float, float, float]
    content: str = ""
    sha256: str = ""
    frame: Frame = UNKNOWN

    @property
    def modality(self) -> Modality:
        """``CT`` or ``MR``."""
        return self.case.modality

    def network(self, region: tuple[slice, slice, slice] = (slice(None),) * 3) -> Tensor:
        """A region as float32 in the network range [-1, 1]; CT clips at the window, MR at its scale."""
        values = self._stored(region)
        if self.modality == "CT":
            return hu_to_network(values)
        return magnitude_to_network(values, MR_UNIT)

    def physical(self, region: tuple[slice, slice, slice]) -> Tensor:
        """A region in HU, or as magnitude in units of the volume's scale, not clipped."""
        values = self._stored(region)
        return values if self.modality == "CT" else values / MR_UNIT

    def _stored(self, region: tuple[slice, slice, slice]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.data[region], dtype=np.float32))

    def volume(self) -> Volume:
        """As a volume in patient space: HU, or magnitude in units of its scale."""
        values = patient_axes(torch.from_numpy(np.ascontiguousarray(self.data, dtype=np.float32))).contiguous()
        if self.modality == "MR":
            values /= MR_UNIT
        dz, dx, dy = self.spacing
        return Volume(values, np.diag([dx, dy, dz, 1.0]), self.modality)


def prepare(
    cases: Sequence[Case],
    cache: Cache,
    *,
    announce: Callable[[str], None] = print,
    on_case: Callable[[], None] | None = None,
) -> list[Prepared]:
    """Read cases, or take them from the cache.

    Args:
        cases: volumes of one modality.
        cache: the cache that keeps prepared volumes.
        announce: called with one line for each case that cannot be read.
        on_case: called after each case.

    Raises:
        InputError: no case, two modalities, or more unreadable cases than ``UNREADABLE_SHARE``.
    """
    _check_cases(cases)
    prepared, problems = [], []
    for case in cases:
        try:
            prepared.append(_prepared(case, cache))
        except InputError as error:
            problems.append(case)
            announce(f"skipped: {error}")
        if on_case:
            on_case()
    if len(problems) > UNREADABLE_SHARE * len(cases):
        raise InputError(
            f"{len(problems)} of {len(cases)} cases cannot be read, such as {problems[0].path}; "
            f"at most {UNREADABLE_SHARE:.0%} may be skipped"
        )
    return prepared


def _check_cases(cases: Sequence[Case]) -> None:
    if not cases:
        raise InputError("`data`: no case for training in it")
    modalities = sorted({case.modality for case in cases})
    if len(modalities) > 1:
        raise InputError(
            f"`data`: cases of {' and '.join(modalities)} in one data set; train on one modality at a time"
        )


def _prepared(case: Case, cache: Cache) -> Prepared:
    entry = cache.entry(case, "volume-2", {"modality": case.modality}, lambda: _make(case))
    dz, dx, dy = entry.details["spacing"]
    frame = Frame(entry.details["sides_known"], dx if entry.details["sizes_known"] else None)
    return Prepared(case, entry.array, (dz, dx, dy), entry.details["content"], entry.sha256, frame)


def _make(case: Case) -> tuple[np.ndarray, dict[str, object]]:
    volume = _truth(case)
    if case.modality == "CT":
        volume, _ = check_hu(volume)
        stored = volume.data.round().clamp(-1024, 32767)
    else:
        stored = (volume.data * (MR_UNIT / magnitude_scale(volume.data))).round().clamp(0, 32767)
    dz, dy, dx = volume.spacing
    array = network_axes(stored.to(torch.int16)).contiguous().numpy()
    source = volume.source
    details: dict[str, object] = {
        "spacing": [dz, dx, dy],
        "content": content_sha256(case),
        "sides_known": source is None or source.orientation_known,
        "sizes_known": source is None or source.spacing_known,
    }
    return array, details


def _truth(case: Case) -> Volume:
    """A case's volume; of fully sampled k-space, its reference image, from which scans are simulated anew."""
    found = read_case(case)
    if isinstance(found, Volume):
        return found
    image = reference_image(found)
    if image is None:
        raise InputError(f"{case.path}: undersampled k-space without a reference image; nothing to learn from")
    return Volume(image, found.affine, "MR", found.source)
