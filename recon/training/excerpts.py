"""The parts of training volumes that scans are simulated of: a few slices, now and then with coarser pixels.

A scan of some slices takes a part of the time that one of the whole volume takes, and several such scans show more of a
data set's variety. Scanners differ in pixel size more than a small data set does, hence the coarser ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from priors.training.batches import derived_seed
from recon.training.prepared import Prepared
from recon.volume import Volume

_LEAST_EDGE = 32


@dataclass(frozen=True)
class Excerpts:
    """How parts of volumes are drawn.

    Attributes:
        slices: of each scan, neighbours from a random place; None takes whole volumes.
        coarse: share of scans of which pixels are averaged two by two.
    """

    slices: int | None = None
    coarse: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Plain values for a cache; empty where volumes are taken as they are."""
        named = {} if self.slices is None else {"slices": self.slices}
        return named | ({"coarse": self.coarse} if self.coarse else {})

    def of(self, volume: Prepared, seed: int) -> Volume:
        """The part that the scan with this seed is of, as a volume in patient space."""
        random = torch.Generator().manual_seed(derived_seed("excerpt", seed))
        place, share = torch.rand(2, generator=random).tolist()
        whole = volume.volume()
        if self.slices is not None and self.slices < len(whole.data):
            first = int(place * (len(whole.data) - self.slices + 1))
            whole = Volume(whole.data[first : first + self.slices], whole.affine, whole.modality)
        return _halved(whole) if share < self.coarse and min(whole.data.shape[1:]) >= 2 * _LEAST_EDGE else whole


WHOLE = Excerpts()
"""Every scan is of a whole volume."""


def _halved(volume: Volume) -> Volume:
    """Pixels averaged two by two; an odd last row or column is left out."""
    data = functional.avg_pool2d(volume.data[:, None], 2)[:, 0]
    return Volume(data, volume.affine @ np.diag([2.0, 2.0, 1.0, 1.0]), volume.modality)
