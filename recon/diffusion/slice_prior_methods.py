"""Reconstruction with a diffusion prior of slices: DDS, DDNM, DiffPIR, DOLCE; one function each for CT and MR."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion
from recon.diffusion import dds, diffpir, dolce
from recon.diffusion.slice_prior import (
    ImageProblem,
    PriorOptions,
    SlicePrior,
    as_channels,
    as_complex,
    drawn_noise,
    image_problem,
    load_slice_prior,
    told_progress,
)
from recon.errors import InputError, input_errors
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality
from recon.solvers.krylov import cg


@dataclass(frozen=True)
class DDSOptions(PriorOptions):
    """Options of ``dds``. Weights of the data are relative to ‖A*A‖; the defaults are the released code's."""

    steps: int = field(default=50, metadata={"help": "evaluations of the network"})
    eta: float = field(default=0.85, metadata={"help": "share of the noise that is fresh at each step, 0 to 1"})
    iterations: int = field(default=5, metadata={"help": "conjugate gradient iterations at each step"})
    mode: str = field(default="3d", metadata={"help": "3d: total variation along z; 2d: slice by slice"})
    rho: float = field(default=0.0257, metadata={"help": "3d: weight of the splitting over ‖A*A‖"})
    lam: float = field(default=1.0e-4, metadata={"help": "3d: weight of the total variation along z over ‖A*A‖"})
    circular: bool = field(default=False, metadata={"help": "3d: the last slice borders the first, as released"})
    gamma: float | None = field(
        default=None, metadata={"help": "2d, noisy data: weight of the data over ‖A*A‖; auto: 389 for CT, 1 for MR"}
    )
    legacy: bool = field(
        default=False,
        metadata={"help": "2d, MR with a complex prior: the released code's step, its defects included"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("2d", "3d"):
            raise ValueError(f"mode must be 2d or 3d, not {self.mode}")
        if not 0 <= self.eta <= 1 or self.steps < 1 or self.iterations < 1:
            raise ValueError("eta must be 0 to 1, steps and iterations 1 or more")
        if min(self.rho, self.lam, self.gamma or 1.0) <= 0:
            raise ValueError("rho, lam and gamma must be positive")
        if self.legacy and self.mode != "2d":
            raise ValueError("legacy is of mode 2d")


_RELEASED_GAMMA: dict[Modality, float] = {"CT": 389.0, "MR": 1.0}
"""The released code's gamma of 1 in units where ‖A*A‖ = 1: its rotate-and-sum projector has 389, its MR encoding 1."""


def run_dds(measurement: Measurement, options: DDSOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """DDS in 3D or 2D."""
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    step: dds.Map
    if options.mode == "3d":
        step = dds.ZTotalVariation(
            problem.normal, problem.adjoint_data, options.rho, options.lam, options.iterations, options.circular
        )
    elif options.legacy:
        if prior.channels != 2:
            raise InputError("`legacy`: the released step is for MR with a prior of complex images")
        step = _released_step(problem, options.gamma or _RELEASED_GAMMA[modality], options.iterations)
    elif problem.sigma > 0:
        gamma = options.gamma or _RELEASED_GAMMA[modality]
        step = dds.proximal_step(problem.normal, problem.adjoint_data, gamma, options.iterations, axes=3)
    else:
        step = dds.least_squares_step(problem.normal, problem.adjoint_data, options.iterations, axes=3)
    return _decomposed(prior, problem, step, options.steps, options.eta, context)


def _released_step(problem: ImageProblem, gamma: float, iterations: int) -> dds.Map:
    """On real and imaginary parts, as the loops have them."""

    def normal(image: Tensor) -> Tensor:
        return as_complex(problem.normal(as_channels(image)))

    step = dds.released_complex_step(normal, as_complex(problem.adjoint_data), gamma, iterations)
    return lambda x: as_channels(step(as_complex(x)))


@dataclass(frozen=True)
class DDNMOptions(PriorOptions):
    """Options of ``ddnm``."""

    steps: int = field(default=50, metadata={"help": "evaluations of the network"})
    eta: float = field(default=0.85, metadata={"help": "share of the noise that is fresh at each step, 0 to 1"})
    iterations: int = field(default=20, metadata={"help": "conjugate gradient iterations for the pseudo-inverse"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1 or self.steps < 1 or self.iterations < 1:
            raise ValueError("eta must be 0 to 1, steps and iterations 1 or more")


def run_ddnm(measurement: Measurement, options: DDNMOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """The part of every estimate that the operator sees is replaced by A⁺y.

    With noise, that part is mixed by the variances of the data and of a unit prior instead (DDNM+'s intent).
    """
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    normal, data = problem.normal, problem.adjoint_data
    if problem.sigma > 0:
        step = dds.proximal_step(normal, data, 1 / problem.sigma**2 * _PRIOR_VARIANCE, options.iterations, axes=3)
    else:
        step = dds.least_squares_step(normal, data, options.iterations, axes=3)
    return _decomposed(prior, problem, step, options.steps, options.eta, context)


_PRIOR_VARIANCE = 1e-3
"""Of what a denoised image still differs by from the truth, in u²: about 60 HU."""


def _decomposed(
    prior: SlicePrior, problem: ImageProblem, step: dds.Map, steps: int, eta: float, context: RunContext
) -> Reconstruction:
    diffusion = prior.model.diffusion
    noise = drawn_noise(context)
    with input_errors("`settings`"):
        times = dds.descending_times(diffusion.timesteps, steps)
    x = dds.sample(
        prior.estimate,
        noise(problem.adjoint_data),
        diffusion.alpha_bar,
        times,
        prior.in_range(step),
        eta,
        noise,
        told_progress(context),
    )
    return _answer(prior, problem, x)


def _answer(prior: SlicePrior, problem: ImageProblem, x: Tensor) -> Reconstruction:
    return Reconstruction(problem.finish(prior.to_unit(x)), weights={"network": prior.trained.sha256})


@dataclass(frozen=True)
class DiffPIROptions(PriorOptions):
    """Options of ``diffpir``."""

    steps: int = field(default=50, metadata={"help": "evaluations of the network"})
    lam: float = field(default=7.0, metadata={"help": "weight of the prior"})
    zeta: float = field(default=0.3, metadata={"help": "share of the noise's variance that is fresh, 0 to 1"})
    iterations: int = field(default=10, metadata={"help": "conjugate gradient iterations of the data step"})
    least_sigma: float = field(
        default=1.0e-3, metadata={"help": "noise that is assumed at least, over the data's scale (‖A‖ = 1)"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.zeta <= 1 or self.steps < 1 or self.iterations < 1:
            raise ValueError("zeta must be 0 to 1, steps and iterations 1 or more")
        if min(self.lam, self.least_sigma) <= 0:
            raise ValueError("lam and least-sigma must be positive")


def run_diffpir(
    measurement: Measurement, options: DiffPIROptions, context: RunContext, modality: Modality
) -> Reconstruction:
    """Plug-and-play restoration with the diffusion prior as denoiser."""
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    diffusion = prior.model.diffusion
    noise = drawn_noise(context)

    def proximal(x0: Tensor, rho: float) -> Tensor:
        def solve(u: Tensor) -> Tensor:
            rhs = problem.adjoint_data + rho * u
            return cg(lambda v: problem.normal(v) + rho * v, rhs, u, options.iterations, axes=3)

        return prior.in_range(solve)(x0)

    with input_errors("`settings`"):
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
    return _answer(prior, problem, x)


@dataclass(frozen=True)
class DOLCEOptions(PriorOptions):
    """Options of ``dolce``."""

    steps: int = field(default=40, metadata={"help": "evaluations of the network; a divisor of its steps"})
    samples: int = field(default=1, metadata={"help": "volumes sampled and averaged; more than one also give a std"})
    lam: float = field(default=2.5, metadata={"help": "pull of the diffusion in the data step, over ‖A*A‖"})
    iterations: int = field(default=30, metadata={"help": "iterations of the data step"})
    data_step: str = field(
        default="cg", metadata={"help": "cg: as the released scripts; apgm: accelerated gradients on noised data"}
    )
    rate: float = field(default=0.5, metadata={"help": "apgm: step of the gradients, times ‖A*A‖"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data_step not in ("cg", "apgm"):
            raise ValueError(f"data-step must be cg or apgm, not {self.data_step}")
        if not 0 < self.rate <= 1:
            raise ValueError("rate must be above 0, at most 1")
        if self.steps < 1 or self.samples < 1 or self.iterations < 1 or self.lam <= 0:
            raise ValueError("steps, samples and iterations must be 1 or more, lam positive")


def run_dolce(
    measurement: Measurement, options: DOLCEOptions, context: RunContext, modality: Modality
) -> Reconstruction:
    """Samples of the conditional diffusion model, averaged."""
    prior = load_slice_prior("dolce", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    condition = prior.from_unit(_condition(prior, measurement))
    results = []
    for number in range(options.samples):
        sampled = _dolce_sample(prior, problem, condition, options, context, number)
        results.append(problem.finish(prior.to_unit(sampled)))
    stack = torch.stack(results)
    std = stack.abs().std(0) if options.samples > 1 else None
    return Reconstruction(stack.mean(0), std, weights={"network": prior.trained.sha256})


def _condition(prior: SlicePrior, measurement: Measurement) -> Tensor:
    """(z, conditions, y, x) images that the network is shown, in u."""
    task = prior.trained.task
    if task is None:
        raise InputError("`weights`: the file does not say what the network is to be shown")
    images = torch.stack(task.images(measurement), dim=1)  # network range of the suite
    return (images + 1) / 2


def _dolce_sample(
    prior: SlicePrior,
    problem: ImageProblem,
    condition: Tensor,
    options: DOLCEOptions,
    context: RunContext,
    number: int,
) -> Tensor:
    diffusion: GaussianDiffusion = prior.model.diffusion
    noise = drawn_noise(context)
    with input_errors("`settings`"):
        times = dolce.respaced_times(diffusion.timesteps, options.steps)
    step = _dolce_step(problem, diffusion, times, options, noise)
    return dolce.sample(
        lambda x, t: prior.estimate(x, t, condition),
        noise(problem.adjoint_data),
        diffusion.alpha_bar,
        times,
        lambda x, index: prior.from_unit(step(prior.to_unit(x), index)),
        noise,
        limits=prior.limits,
        on_step=lambda done, total: context.report("sampling", number * total + done, options.samples * total),
    )


def _dolce_step(
    problem: ImageProblem, diffusion: GaussianDiffusion, times: list[int], options: DOLCEOptions, noise: dolce.Noise
) -> dolce.DataStep:
    if options.data_step == "cg":
        return dolce.conjugate_gradient_step(
            problem.normal, problem.adjoint_data, options.lam, options.iterations, axes=3
        )

    def noised(number: int) -> Tensor:
        """The data as an image of this step would be noised."""
        kept = diffusion.alpha_bar(times[-1 - number])
        return math.sqrt(kept) * problem.adjoint_data + math.sqrt(1 - kept) * problem.adjoint_noise(noise)

    return dolce.accelerated_gradient_step(problem.normal, noised, len(times), options.rate, options.iterations)
