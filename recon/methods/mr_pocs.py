"""POCS for partial Fourier: alternately the phase of the symmetric centre, and the samples."""

from __future__ import annotations

import torch
from torch import Tensor

from physics.mr.phase import smoothed_phase
from recon.errors import InputError
from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext, TracePoint
from recon.solvers.slabs import in_slabs, norm


class POCSOptions(Options):
    """Options of ``pocs``."""

    iterations: int = setting(20, "number of iterations", ge=1)


def run(measurement: Measurement, options: POCSOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice: the image is real up to the phase that the symmetric part of k-space tells."""
    mask = measurement.operator.mask
    if mask is None or mask.ndim != 2:
        raise InputError("`method` pocs: takes samples on a Cartesian grid; these lie along a trajectory")
    symmetric = mask & mirrored(mask)
    if not symmetric.any():
        raise InputError("`method` pocs: no sample has its mirror image, so that the phase is not known")
    slabs = list(in_slabs(measurement))
    image = measurement.y.new_zeros(measurement.operator.domain)
    squares = [0.0] * options.iterations
    for number, (part, slab) in enumerate(slabs):
        operator, step = slab.operator, 1 / slab.operator.norm_bound**2
        phase = smoothed_phase(operator.keeping(symmetric).adjoint(slab.y * symmetric))
        found = operator.adjoint(slab.y)
        for iteration in range(options.iterations):
            found = phase * (found * phase.conj()).real
            error = slab.y - operator(found)
            squares[iteration] += norm(error) ** 2
            found = torch.add(found, operator.adjoint(error), alpha=step)
            done, total = number * options.iterations + iteration + 1, len(slabs) * options.iterations
            context.report("iterations", done, total, norm(error) / (norm(slab.y) or 1.0))
        image[part] = found
    size = norm(measurement.y) or 1.0
    return Reconstruction(
        image, trace=tuple(TracePoint(k, each**0.5 / size) for k, each in enumerate(squares, start=1))
    )


def mirrored(mask: Tensor) -> Tensor:
    """A (y, x) mask at the opposite frequencies; zero frequency is at n // 2."""
    centres = [n // 2 for n in mask.shape]
    # Index i goes to 2c − i: a flip takes it to n − 1 − i, and a roll by 2c − n + 1 from there.
    shifts = [2 * c - n + 1 for c, n in zip(centres, mask.shape, strict=True)]
    return mask.flip(-2, -1).roll(shifts, (-2, -1))


METHOD = Method(
    summary="partial Fourier by projections: the phase of the centre, and the samples",
    citation="Haacke, Lindskog & Lin 1991, J Magn Reson 92:126, doi 10.1016/0022-2364(91)90253-P",
    options=POCSOptions,
    run=run,
)
