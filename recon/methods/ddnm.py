"""DDNM: a diffusion prior of slices in the null space of the operator (Wang, Yu and Zhang 2023)."""

from __future__ import annotations

from recon.diffusion import dds
from recon.diffusion.slice_prior import ETA, STEPS, PriorOptions, decomposed, image_problem, load_slice_prior
from recon.options import setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality


class DDNMOptions(PriorOptions):
    """Options of ``ddnm``."""

    steps: int = setting(50, STEPS, ge=1)
    eta: float = setting(0.85, ETA, ge=0, le=1)
    iterations: int = setting(20, "conjugate gradient iterations for the pseudo-inverse", ge=1)


def run(measurement: Measurement, options: DDNMOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """The part of every estimate that the operator sees is replaced by A⁺y.

    With noise, that part is mixed by the variances of the data and of a unit prior instead (DDNM+'s intent).
    """
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    normal, data = problem.normal, problem.adjoint_data
    if problem.sigma > 0:
        step = dds.proximal_step(normal, data, 1 / problem.estimate_weight, options.iterations, problem.axes)
    else:
        step = dds.least_squares_step(normal, data, options.iterations, problem.axes)
    return decomposed(prior, problem, step, options.steps, options.eta, context)
