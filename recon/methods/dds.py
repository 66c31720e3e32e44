"""DDS: decomposed diffusion sampling with a prior of slices, in 3D or 2D (Chung, Lee and Ye 2024)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from recon.diffusion import dds
from recon.diffusion.slice_prior import (
    ETA,
    STEPS,
    ImageProblem,
    PriorOptions,
    SlicePrior,
    as_channels,
    as_complex,
    decomposed,
    image_problem,
    load_slice_prior,
)
from recon.errors import InputError
from recon.options import setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality

_RELEASED_GAMMA: dict[Modality, float] = {"CT": 389.0, "MR": 1.0}
"""The released code's gamma of 1 in units where ‖A*A‖ = 1: its rotate-and-sum projector has 389, its MR encoding 1."""


class DDSOptions(PriorOptions):
    """Options of ``dds``. Weights of the data are relative to ‖A*A‖; the defaults are the released code's."""

    steps: int = setting(50, STEPS, ge=1)
    eta: float = setting(0.85, ETA, ge=0, le=1)
    iterations: int = setting(5, "conjugate gradient iterations at each step", ge=1)
    mode: Literal["3d", "2d"] = setting(
        "3d",
        "kind of the reconstruction; 3d: with total variation along z, noisy data weighted by their noise; 2d: each "
        "slice by itself",
    )
    rho: float = setting(0.0257, "weight of the splitting, relative to ‖A*A‖", gt=0, needs=("mode", "3d"))
    lam: float = setting(1.0e-4, "weight of the total variation along z, relative to ‖A*A‖", gt=0, needs=("mode", "3d"))
    circular: bool = setting(
        False, "whether the last slice borders the first, as in the released code", needs=("mode", "3d")
    )
    gamma: float | None = setting(
        None,
        "weight of the data, relative to ‖A*A‖, where the data are noisy; auto: 389 for CT, 1 for MR",
        gt=0,
        needs=("mode", "2d"),
    )
    legacy: bool = setting(
        False,
        "whether the data-consistency step is that of the released code, with its defects; for MR, only with a prior "
        "of complex images",
        needs=("mode", "2d"),
    )


def run(measurement: Measurement, options: DDSOptions, context: RunContext, modality: Modality) -> Reconstruction:
    """DDS in 3D or 2D."""
    prior = load_slice_prior("adm", options, measurement, modality)
    problem = image_problem(measurement, modality, prior.channels)
    step = _data_step(prior, problem, options, options.gamma or _RELEASED_GAMMA[modality])
    return decomposed(prior, problem, step, options.steps, options.eta, context)


def _data_step(prior: SlicePrior, problem: ImageProblem, options: DDSOptions, gamma: float) -> dds.Map:
    normal, data, iterations = problem.normal, problem.adjoint_data, options.iterations
    if options.mode == "3d":
        weight = problem.estimate_weight
        return dds.ZTotalVariation(normal, data, options.rho, options.lam, iterations, options.circular, weight)
    if options.legacy:
        if prior.channels != 2:
            raise InputError("`legacy`: the released step is for MR with a prior of complex images")
        return _released_step(problem, gamma, iterations)
    if problem.sigma > 0:
        return dds.proximal_step(normal, data, gamma, iterations, problem.axes)
    if options.gamma is not None:
        raise InputError("`gamma`: has an effect only on noisy data, and these are noise-free; leave it out")
    return dds.least_squares_step(normal, data, iterations, problem.axes)


def _released_step(problem: ImageProblem, gamma: float, iterations: int) -> dds.Map:
    """On real and imaginary parts, as the loops have them."""

    def normal(image: Tensor) -> Tensor:
        return as_complex(problem.normal(as_channels(image)))

    step = dds.released_complex_step(normal, as_complex(problem.adjoint_data), gamma, iterations)
    return lambda x: as_channels(step(as_complex(x)))
