"""Passes over subsets of the views, for the methods that differ in how many views a subset has."""

from __future__ import annotations

from torch import Tensor

from physics.operator import LinearOperator
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.solvers.ordered_subsets import ordered_subsets, subsets_of
from recon.solvers.slabs import Monitor, norm, solve_in_slabs


def reconstruct(
    measurement: Measurement, count: int, iterations: int, relaxation: float, context: RunContext
) -> Reconstruction:
    """Reconstruct from zero, slab by slab.

    Args:
        measurement: measurement of the volume.
        count: number of subsets; at most as many as there are views.
        iterations: largest number of passes over all views.
        relaxation: factor of each step.
        context: receives the progress.
    """
    whole = subsets_of(measurement.operator, count)  # holds the subsets' matrices while slab after slab asks for them

    def solve(operator: LinearOperator, data: Tensor, monitor: Monitor) -> Tensor:
        start = data.new_zeros(operator.domain)
        subsets = subsets_of(operator, len(whole))
        return ordered_subsets(subsets, data, start, iterations, relaxation, lambda k, rest: monitor(k, norm(rest)))

    return solve_in_slabs(measurement, context, iterations, solve)
