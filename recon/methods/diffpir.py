"""DiffPIR: plug-and-play restoration with a diffusion prior of slices (Zhu et al. 2023)."""

from __future__ import annotations

from torch import Tensor

from recon.diffusion import dds, diffpir
from recon.diffusion.slice_prior import (
    STEPS,
    PriorOptions,
    answer,
    drawn_noise,
    image_problem,
    load_slice_prior,
    told_progress,
)
from recon.errors import input_errors
from recon.options import setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality
from recon.solvers.krylov import cg


class DiffPIROptions(PriorOptions):
    """Options of ``diffpir``."""

    steps: int = setting(50, STEPS, ge=1)
    lam: float = setting(7.0, "weight of the prior", gt=0)
    zeta: float = setting(0.3, "share of the noise's variance that is drawn anew at each step", ge=0, le=1)
    iterations: int = setting(10, "conjugate gradient iterations of the data-consistency step", ge=1)
    least_sigma: float = setting(
        1.0e-3, "smallest standard deviation of the noise that is assumed, over the data's scale (‖A‖ = 1)", gt=0
    )


def run(measurement: Measurement, options: DiffPIROptions, context: RunContext, modality: Modality) -> Reconstruction:
    """Plug-and-play restoration with the diffusion prior as denoiser."""
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    diffusion = prior.model.diffusion
    noise = drawn_noise(context)

    def proximal(x0: Tensor, rho: float) -> Tensor:
        def solve(u: Tensor) -> Tensor:
            rhs = problem.adjoint_data + rho * u
            return cg(lambda v: problem.normal(v) + rho * v, rhs, u, options.iterations, problem.axes)

        return prior.in_range(problem.within(solve))(x0)

    with input_errors("`steps`"):
        times = dds.descending_times(diffusion.timesteps, options.steps)
    x = diffpir.sample(
        prior.estimate,
        noise(problem.adjoint_data),
        diffusion.alpha_bar,
        times,
        proximal,
        options.lam * max(problem.sigma, options.least_sigma) ** 2,
        options.zeta,
        noise,
        told_progress(context),
    )
    return answer(prior, problem, x)
