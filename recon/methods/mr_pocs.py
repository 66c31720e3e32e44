"""POCS for partial Fourier: alternately the phase of the symmetric centre, and the samples."""

from __future__ import annotations

import torch

from recon.methods.method import Method
from recon.options import Options, setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext, TracePoint
from recon.solvers.partial_fourier import phase_of, symmetric_samples
from recon.solvers.slabs import in_slabs, norm


class POCSOptions(Options):
    """Options of ``pocs``."""

    iterations: int = setting(20, "number of iterations", ge=1)


def run(measurement: Measurement, options: POCSOptions, context: RunContext) -> Reconstruction:
    """Reconstruct slice by slice: the image is real up to the phase that the symmetric part of k-space tells."""
    symmetric = symmetric_samples(measurement, "pocs")
    slabs = list(in_slabs(measurement))
    image = measurement.y.new_zeros(measurement.operator.domain)
    squares = [0.0] * options.iterations
    for number, (part, slab) in enumerate(slabs):
        operator, step = slab.operator, 1 / slab.operator.norm_bound**2
        phase = phase_of(slab, symmetric)
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


METHOD = Method(
    summary="partial Fourier by projections: the phase of the centre, and the samples",
    citation="Haacke, Lindskog & Lin 1991, J Magn Reson 92:126, doi 10.1016/0022-2364(91)90253-P",
    options=POCSOptions,
    run=run,
)
