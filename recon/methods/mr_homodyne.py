"""Homodyne detection for partial Fourier: samples without a mirror image count twice, and the image is real."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.methods.method import Method
from recon.options import NoOptions
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.partial_fourier import mirrored, phase_of, symmetric_samples
from recon.solvers.slabs import in_slabs, zero_filled


def run(measurement: Measurement, options: NoOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice, in one step: the image is real up to the phase that the symmetric samples tell."""
    symmetric = symmetric_samples(measurement, "homodyne")
    mask = measurement.operator.mask
    assert mask is not None  # symmetric_samples refuses none
    if torch.equal(symmetric, mask):  # nothing is missing that a phase could tell
        return Reconstruction(zero_filled(measurement))
    weights = homodyne_weights(mask)
    image = measurement.y.new_zeros(measurement.operator.domain)
    slabs = list(in_slabs(measurement))
    for number, (part, slab) in enumerate(slabs, start=1):
        phase = phase_of(slab, symmetric)
        found = slab.operator.adjoint(slab.y * weights)
        image[part] = phase * (found * phase.conj()).real
        context.report("slices", number, len(slabs))
    return Reconstruction(image)


def homodyne_weights(mask: Tensor) -> Tensor:
    """(y, x) weights of samples, which sum to 2 with those of their mirror images: 2 where these are missing, and a
    ramp from 0 to 2 across the symmetric band, along the axis of which one side is missing."""
    alone = mask & ~mirrored(mask)
    weights = 1 + alone.float()
    for axis in (0, 1):
        frequency = torch.arange(mask.shape[axis], device=mask.device) - mask.shape[axis] // 2
        sides = frequency[alone.any(1 - axis)]
        if not sides.numel() or not (bool((sides > 0).all()) or bool((sides < 0).all())):
            continue
        half = max(int(sides.abs().min()) - 1, 1)
        rise = (frequency * int(sides[0].sign()) / (half + 0.5)).clamp(-1, 1)
        ramp = 1 + torch.where(2 * frequency == -mask.shape[axis], 0, rise)  # the outermost sample mirrors itself
        return ramp.unsqueeze(1 - axis).expand(mask.shape) * mask
    return weights * mask


METHOD = Method(
    summary="partial Fourier in one step: homodyne detection with the phase of the centre",
    citation="Noll, Nishimura & Macovski 1991, IEEE Trans Med Imaging 10:154, doi 10.1109/42.79473",
    options=NoOptions,
    run=run,
)
