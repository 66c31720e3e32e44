"""DOLCE: slices sampled by a conditional diffusion model, each step drawn towards the data (Liu et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from priors.diffusion.schedule import GaussianDiffusion
from recon.acquisition.network_scale import network_scale
from recon.diffusion import dolce
from recon.diffusion.slice_prior import (
    STEPS,
    ImageProblem,
    PriorOptions,
    SlicePrior,
    drawn_noise,
    image_problem,
    load_slice_prior,
    told_progress,
)
from recon.errors import input_errors
from recon.methods.conditions import shown
from recon.methods.head_progress import of_sample
from recon.options import setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality


class DOLCEOptions(PriorOptions):
    """Options of ``dolce``."""

    steps: int = setting(40, f"{STEPS}; a divisor of the number of steps of its diffusion", ge=1)
    samples: int = setting(
        1, "number of volumes that are sampled and averaged; several also give a standard deviation", ge=1
    )
    lam: float = setting(2.5, "weight of the diffusion's image in the data-consistency step, relative to ‖A*A‖", gt=0)
    iterations: int = setting(30, "iterations of the data-consistency step", ge=1)
    data_step: Literal["cg", "apgm"] = setting(
        "cg", "cg: conjugate gradients, as in the released scripts; apgm: accelerated gradients on noised data"
    )
    rate: float = setting(
        0.5, "step size of the accelerated gradients, times ‖A*A‖", gt=0, le=1, needs=("data_step", "apgm")
    )


def run(measurement: Measurement, options: DOLCEOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """Samples of the conditional diffusion model, averaged."""
    prior = load_slice_prior("dolce", options, measurement, modality)
    conditions = shown(prior.trained.known_task, measurement, context, options.allow_other)
    problem = image_problem(measurement, modality, prior.channels)
    condition = prior.from_unit(_condition(measurement, conditions))
    results = []
    for number in range(options.samples):
        part = of_sample(context, number, options.samples)
        results.append(problem.finish(prior.to_unit(_sample(prior, problem, condition, options, part)) * problem.seen))
    stack = torch.stack(results)
    std = stack.abs().std(0) if options.samples > 1 else None
    return Reconstruction(
        stack.mean(0), std, weights=prior.trained.weights_with(conditions), notices=prior.trained.notices
    )


def _condition(measurement: Measurement, conditions: Sequence[Reconstruction]) -> Tensor:
    """(Z, conditions, X, Y) images that the network is shown, in u."""
    scale = network_scale(measurement)
    images = torch.stack([scale.to_network(each.mean) for each in conditions], dim=1)  # network range of the suite
    return (images + 1) / 2


def _sample(
    prior: SlicePrior,
    problem: ImageProblem,
    condition: Tensor,
    options: DOLCEOptions,
    context: RunContext,
) -> Tensor:
    diffusion: GaussianDiffusion = prior.model.diffusion
    noise = drawn_noise(context)
    with input_errors("`steps`"):
        times = dolce.respaced_times(diffusion.timesteps, options.steps)
    step = _data_step(problem, diffusion, times, options, noise)
    return dolce.sample(
        lambda x, t: prior.estimate(x, t, condition),
        noise(problem.adjoint_data),
        diffusion.alpha_bar,
        times,
        lambda x, index: prior.from_unit(step(prior.to_unit(x), index) * problem.seen),
        noise,
        limits=prior.limits,
        on_step=told_progress(context),
    )


def _data_step(
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
