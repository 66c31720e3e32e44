"""Gridding: the adjoint of samples that are weighted by the area of k-space that belongs to each."""

from __future__ import annotations

from recon.methods.method import Method
from recon.options import NoOptions
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.slabs import zero_filled


def run(measurement: Measurement, options: NoOptions, context: RunContext) -> Reconstruction:
    """Density compensation and the adjoint; coils combined by their conjugate sensitivity maps.

    Of samples on a Cartesian grid, whose density is 1, this is zero-filling.
    """
    return Reconstruction(zero_filled(measurement))


METHOD = Method(
    summary="gridding: adjoint of density-compensated samples, of radial or spiral scans",
    citation="Jackson et al. 1991, IEEE Trans Med Imaging 10:473; density: Pipe & Menon 1999, Magn Reson Med 41:179",
    options=NoOptions,
    run=run,
)
