"""The parts of training volumes that scans are simulated of: a few slices, now and then seen otherwise.

A scan of some slices takes a part of the time that one of the whole volume takes, and several such scans show more of a
data set's variety. A small data set differs less than what it stands for: scanners in pixel size, hence coarser pixels;
MR protocols in contrast, hence grey values through a drawn curve (as SynthSeg does, Billot et al. 2023), and in noise,
hence more of it; and two brains cut along all three axes show a network three times what their axial slices do, before
it knows them by heart.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.nn import functional

from priors.training.batches import derived_seed
from recon.scan.volume import Modality, Volume
from recon.training.prepared import Prepared

_LEAST_EDGE = 32

_TISSUE: dict[Modality, float] = {"CT": -500.0, "MR": 0.1}
"""Brighter than this is no air: HU, or magnitude in units of the volume's scale."""

_LEAST_TISSUE = 0.02
"""Share of a part's voxels."""

_TRIES = 20

_MOST_STRETCHED = 1.5
"""Largest ratio of two edges of a voxel whose volume is cut along other axes."""

_KNOTS = (0.0, 0.1, 0.3, 0.6, 1.0)
"""Magnitudes, in units of the volume's scale, between which a drawn curve is straight; it is level beyond."""

_STEEPEST = 3.0
"""Of such a curve, up or down, so that noise stays little."""

_MOST_GRAIN = 0.05
"""Largest standard deviation of added noise in each of the two channels, in units of the volume's scale."""


@dataclass(frozen=True)
class Excerpts:
    """How parts of volumes are drawn.

    Attributes:
        slices: the number of neighbouring slices of each scan, from a random place; None takes whole volumes.
        coarse: share of scans of which pixels are averaged two by two.
        planes: share of scans, of MR volumes whose voxels are about as thick as wide, that show coronal or sagittal
            slices. Computed tomographs see axial ones alone.
        contrast: share of scans, of MR volumes, whose grey values go through a drawn curve.
        grain: share of scans, of MR volumes, whose magnitudes are made noisier: what is measured and what is to be
            learned alike, as with a noisier scanner.
    """

    slices: int | None = None
    coarse: float = 0.0
    planes: float = 0.0
    contrast: float = 0.0
    grain: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Plain values for a cache; empty where volumes are taken as they are."""
        return {name: value for name, value in asdict(self).items() if value}

    def of(self, volume: Prepared, seed: int) -> Volume:
        """The part that the scan with this seed is of, as a volume in patient space, or one turned from it."""
        random = torch.Generator().manual_seed(derived_seed("excerpt", seed))
        place, coarse, plane, contrast = torch.rand(4, generator=random).tolist()
        part = self._cut(volume, plane, place, random)
        if part.modality == "MR" and contrast < self.contrast:
            part = _recoloured(part, random)
        if part.modality == "MR" and self.grain and float(torch.rand((), generator=random)) < self.grain:
            part = _noisier(part, random)
        return _halved(part) if coarse < self.coarse and min(part.data.shape[1:]) >= 2 * _LEAST_EDGE else part

    def _cut(self, volume: Prepared, plane: float, place: float, random: torch.Generator) -> Volume:
        """Some slices of it, perhaps across another axis."""
        part = volume.volume()
        if plane < self.planes and part.modality == "MR" and max(part.spacing) <= _MOST_STRETCHED * min(part.spacing):
            part = _turned(part, 1 if plane < self.planes / 2 else 2)
        if self.slices is not None and self.slices < len(part.data):
            part = _some_slices(part, self.slices, place, random)
        return part


WHOLE = Excerpts()
"""Every scan is of a whole volume."""


def _halved(volume: Volume) -> Volume:
    """Pixels averaged two by two; an odd last row or column is left out."""
    data = functional.avg_pool2d(volume.data[:, None], 2)[:, 0]
    return Volume(data, volume.affine @ np.diag([2.0, 2.0, 1.0, 1.0]), volume.modality)


def _some_slices(volume: Volume, count: int, place: float, random: torch.Generator) -> Volume:
    """Neighbours from a place, 0 to 1; from another one where they show air alone."""
    for _ in range(_TRIES):
        first = int(place * (len(volume.data) - count + 1))
        part = Volume(volume.data[first : first + count], volume.affine, volume.modality)
        if float((part.data > _TISSUE[volume.modality]).float().mean()) >= _LEAST_TISSUE:
            break
        place = float(torch.rand((), generator=random))
    return part


def _turned(volume: Volume, axis: int) -> Volume:
    """Slices across another axis of (z, y, x), the z axis among the rows."""
    order = [axis, *(each for each in range(3) if each != axis)]
    spacing = [volume.spacing[each] for each in reversed(order)]
    return Volume(volume.data.permute(order).contiguous(), np.diag([*spacing, 1.0]), volume.modality)


def _recoloured(volume: Volume, random: torch.Generator) -> Volume:
    """Magnitudes through a curve from 0, whose other knots are drawn."""
    values = [0.0]
    for low, high in itertools.pairwise(_KNOTS):
        reach = _STEEPEST * (high - low)
        drawn = float(torch.rand((), generator=random))
        values.append(min(max(drawn, values[-1] - reach), values[-1] + reach))
    data = np.interp(volume.data.numpy(), _KNOTS, values).astype(np.float32)
    return Volume(torch.from_numpy(data), volume.affine, volume.modality)


def _noisier(volume: Volume, random: torch.Generator) -> Volume:
    """Magnitudes of the image with complex noise of a drawn level: Rician (Gudbjartsson and Patz 1995)."""
    sigma = _MOST_GRAIN * float(torch.rand((), generator=random))
    real, imaginary = sigma * torch.randn((2, *volume.data.shape), generator=random)
    return Volume(torch.hypot(volume.data + real, imaginary), volume.affine, volume.modality)
