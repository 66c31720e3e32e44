"""Reconstruction with a diffusion prior of slices: DDS, DDNM, DiffPIR, DOLCE; one function each for CT and MR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion
from recon.acquisition.network_scale import network_scale
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
from recon.options import setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality
from recon.solvers.krylov import cg

_STEPS = "number of evaluations of the network"
_ETA = "share of the noise that is drawn anew at each step"


class DDSOptions(PriorOptions):
    """Options of ``dds``. Weights of the data are relative to ‖A*A‖; the defaults are the released code's."""

    steps: int = setting(50, _STEPS, ge=1)
    eta: float = setting(0.85, _ETA, ge=0, le=1)
    iterations: int = setting(5, "conjugate gradient iterations at each step", ge=1)
    mode: Literal["3d", "2d"] = setting("3d", "3d: with total variation along z; 2d: each slice by itself")
    rho: float = setting(0.0257, "weight of the splitting over ‖A*A‖", gt=0, needs=("mode", "3d"))
    lam: float = setting(1.0e-4, "weight of the total variation along z over ‖A*A‖", gt=0, needs=("mode", "3d"))
    circular: bool = setting(
        False, "whether the last slice borders the first, as in the released code", needs=("mode", "3d")
    )
    gamma: float | None = setting(
        None,
        "weight of the data over ‖A*A‖ where the data are noisy; auto: 389 for CT, 1 for MR",
        gt=0,
        needs=("mode", "2d"),
    )
    legacy: bool = setting(
        False,
        "whether to take the released code's data step, its defects included; for MR with a prior of complex images",
        needs=("mode", "2d"),
    )


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
        step = dds.proximal_step(problem.normal, problem.adjoint_data, gamma, options.iterations, problem.axes)
    elif options.gamma is not None:
        raise InputError("`gamma`: has an effect only on noisy data, and these are noise-free; leave it out")
    else:
        step = dds.least_squares_step(problem.normal, problem.adjoint_data, options.iterations, problem.axes)
    return _decomposed(prior, problem, step, options.steps, options.eta, context)


def _released_step(problem: ImageProblem, gamma: float, iterations: int) -> dds.Map:
    """On real and imaginary parts, as the loops have them."""

    def normal(image: Tensor) -> Tensor:
        return as_complex(problem.normal(as_channels(image)))

    step = dds.released_complex_step(normal, as_complex(problem.adjoint_data), gamma, iterations)
    return lambda x: as_channels(step(as_complex(x)))


class DDNMOptions(PriorOptions):
    """Options of ``ddnm``."""

    steps: int = setting(50, _STEPS, ge=1)
    eta: float = setting(0.85, _ETA, ge=0, le=1)
    iterations: int = setting(20, "conjugate gradient iterations for the pseudo-inverse", ge=1)


def run_ddnm(measurement: Measurement, options: DDNMOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """The part of every estimate that the operator sees is replaced by A⁺y.

    With noise, that part is mixed by the variances of the data and of a unit prior instead (DDNM+'s intent).
    """
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    normal, data = problem.normal, problem.adjoint_data
    if problem.sigma > 0:
        step = dds.proximal_step(normal, data, 1 / problem.sigma**2 * _PRIOR_VARIANCE, options.iterations, problem.axes)
    else:
        step = dds.least_squares_step(normal, data, options.iterations, problem.axes)
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


class DiffPIROptions(PriorOptions):
    """Options of ``diffpir``."""

    steps: int = setting(50, _STEPS, ge=1)
    lam: float = setting(7.0, "weight of the prior", gt=0)
    zeta: float = setting(0.3, "share of the noise's variance that is drawn anew at each step", ge=0, le=1)
    iterations: int = setting(10, "conjugate gradient iterations of the data step", ge=1)
    least_sigma: float = setting(
        1.0e-3, "smallest standard deviation of the noise that is assumed, over the data's scale (‖A‖ = 1)", gt=0
    )


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
            return cg(lambda v: problem.normal(v) + rho * v, rhs, u, options.iterations, problem.axes)

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


class DOLCEOptions(PriorOptions):
    """Options of ``dolce``."""

    steps: int = setting(40, f"{_STEPS}; a divisor of the number of steps of its diffusion", ge=1)
    samples: int = setting(
        1, "number of volumes that are sampled and averaged; several also give a standard deviation", ge=1
    )
    lam: float = setting(2.5, "pull of the diffusion in the data step, over ‖A*A‖", gt=0)
    iterations: int = setting(30, "iterations of the data step", ge=1)
    data_step: Literal["cg", "apgm"] = setting(
        "cg", "cg: conjugate gradients, as in the released scripts; apgm: accelerated gradients on noised data"
    )
    rate: float = setting(
        0.5, "step size of the accelerated gradients, times ‖A*A‖", gt=0, le=1, needs=("data_step", "apgm")
    )


def run_dolce(
    prior: SlicePrior,
    measurement: Measurement,
    shown: Sequence[Reconstruction],
    options: DOLCEOptions,
    context: RunContext,
    modality: Modality,
) -> Reconstruction:
    """Samples of the conditional diffusion model, averaged.

    Args:
        prior: the diffusion model.
        measurement: the scan.
        shown: reconstructions by the methods of the model's conditions.
        options: how it is sampled.
        context: the run.
        modality: of the scan.
    """
    problem = image_problem(measurement, modality, prior.channels)
    condition = prior.from_unit(_condition(measurement, shown))
    results = []
    for number in range(options.samples):
        sampled = _dolce_sample(prior, problem, condition, options, context, number)
        results.append(problem.finish(prior.to_unit(sampled)))
    stack = torch.stack(results)
    std = stack.abs().std(0) if options.samples > 1 else None
    return Reconstruction(stack.mean(0), std, weights={"network": prior.trained.sha256})


def _condition(measurement: Measurement, shown: Sequence[Reconstruction]) -> Tensor:
    """(Z, conditions, X, Y) images that the network is shown, in u."""
    scale = network_scale(measurement)
    images = torch.stack([scale.to_network(each.mean) for each in shown], dim=1)  # network range of the suite
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
            problem.normal, problem.adjoint_data, options.lam, options.iterations, problem.axes
        )

    def noised(number: int) -> Tensor:
        """The data as an image of this step would be noised."""
        kept = diffusion.alpha_bar(times[-1 - number])
        return math.sqrt(kept) * problem.adjoint_data + math.sqrt(1 - kept) * problem.adjoint_noise(noise)

    return dolce.accelerated_gradient_step(problem.normal, noised, len(times), options.rate, options.iterations)
