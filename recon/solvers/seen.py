"""What of an image an MR scan says anything about.

Where no coil is sensitive no datum depends on the image. What a network makes up there nothing takes back, so that such
places are left empty. In CT single pixels between rays may have no datum of their own, of which their neighbours tell.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from recon.scan.measurement import Measurement, Reconstruction
from recon.solvers.slabs import in_slabs

_LEAST = 1e-6
"""Share of the largest weight of a voxel below which it has none."""


def seen_by(measurement: Measurement) -> Tensor:
    """(z, y, x), 1 where any datum depends on the image, be it one that was measured or left out, and 0 elsewhere.

    The operator of all data is asked, since of a few samples of k-space AᴴA 1 may be zero anywhere. In CT 1 everywhere.
    """
    if not measurement.y.is_complex():
        return measurement.y.new_ones(measurement.operator.domain)
    weights = []
    for _, slab in in_slabs(measurement):
        whole = slab.operator.unmasked()
        ones = torch.ones(whole.domain, dtype=whole.dtype, device=whole.device)
        weights.append(whole.gram(ones).abs())
    weight = torch.cat(weights)
    return (weight > _LEAST * weight.amax()).to(weight.dtype)


def only_seen(measurement: Measurement, answer: Reconstruction) -> Reconstruction:
    """An answer with nothing where the scan says nothing."""
    seen = seen_by(measurement)
    if bool((seen == 1).all()):
        return answer
    std = None if answer.std is None else answer.std * seen.to(answer.std)
    return replace(answer, mean=answer.mean * seen.to(answer.mean.device), std=std)
