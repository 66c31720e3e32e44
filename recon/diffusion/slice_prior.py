"""Diffusion priors of slices on measurements: units, operators and noise as the sampling loops want them.

The loops work on images x in the range that the network was trained in. Data steps work on u, the same image in a unit
in which the operator is linear: attenuation over that of +1000 HU, or magnitude over the scan's scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from priors.diffusion.image_prior import EpsilonModel
from priors.diffusion.schedule import GaussianDiffusion
from priors.networks.adm_unet import ADMUNet
from priors.networks.padding import pad_to_multiple
from recon.acquisition.network_scale import mr_scale, network_axes, patient_axes
from recon.diffusion import dds
from recon.errors import InputError, input_errors
from recon.learned.slice_networks import batch_of
from recon.learned.trained import NetworkOptions, Trained, load_trained
from recon.options import setting
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.units import ATTENUATION_UNIT
from recon.scan.volume import Modality
from recon.solvers.data_consistency import with_calibration_phase
from recon.solvers.krylov import problem_axes
from recon.solvers.seen import seen_by
from recon.solvers.slabs import zero_filled

Map = Callable[[Tensor], Tensor]

PRIOR_VARIANCE = 1e-3
"""Of what a denoised image still differs by from the ground truth, in u²: about 60 HU."""

STEPS = "number of evaluations of the network"
ETA = "share of the noise that is drawn anew at each step"
"""Descriptions of options that several methods have."""


class PriorOptions(NetworkOptions):
    """Options of every method with a diffusion prior of slices."""

    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "floating-point precision of the network; newer processors compute faster in bfloat16"
    )


@dataclass(frozen=True)
class SlicePrior:
    """A trained noise estimator of slices.

    Attributes:
        trained: network and card.
        model: estimates noise, a few slices at once.
        limits: the limits of the images that the prior was trained on: the values of air and of +1000 HU, or of no
            signal and the scale.
    """

    trained: Trained
    model: EpsilonModel
    limits: tuple[float, float]

    @property
    def channels(self) -> int:
        """1, or 2 for real and imaginary part."""
        return int(self.model.net.config.channels)

    def estimate(self, x: Tensor, t: int, condition: Tensor | None = None) -> Tensor:
        """The noise in (z, C, y, x) images; networks see axes (X, Y), padded to what they can take.

        Args:
            x: the noisy images.
            t: time of the diffusion.
            condition: (Z, conditions, X, Y) images that the network is shown; None where it is shown none.
        """
        multiple = self.model.net.config.size_multiple
        padded, inside = pad_to_multiple(network_axes(x), multiple)
        shown = None if condition is None else pad_to_multiple(condition, multiple)[0]
        return patient_axes(self.model.eps(padded, t, shown)[..., *inside])

    def to_unit(self, x: Tensor) -> Tensor:
        """From the network's range to u."""
        if self.channels == 2:
            return x
        low, high = self.limits
        return (x - low) / (high - low)

    def from_unit(self, u: Tensor) -> Tensor:
        """The reverse of :meth:`to_unit`."""
        if self.channels == 2:
            return u
        low, high = self.limits
        return low + (high - low) * u

    def in_range(self, step: Map) -> Map:
        """A data-consistency step on u as one on x."""
        return lambda x: self.from_unit(step(self.to_unit(x)))


def load_slice_prior(kind: str, options: PriorOptions, measurement: Measurement, modality: Modality) -> SlicePrior:
    """The diffusion model of a method, for one scan.

    Raises:
        InputError: as :func:`recon.learned.trained.load_trained`; or a complex prior for CT.
    """
    trained = load_trained(kind, options, measurement, modality)
    net, extra = trained.network, trained.extra
    assert isinstance(net, ADMUNet)
    if modality == "CT" and net.config.channels != 1:
        raise InputError("`weights`: a prior of complex images; CT needs one of real images")
    diffusion = GaussianDiffusion(int(extra.get("timesteps", 1000)), str(extra.get("schedule", "linear")))
    low, high = extra.get("image_range", (-1.0, 1.0))
    pixels = math.prod(measurement.operator.domain[-2:])
    device = measurement.y.device
    half = options.precision == "bfloat16"
    if half and device.type == "cpu":
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = EpsilonModel(net, diffusion, batch_of(device, pixels), torch.bfloat16 if half else None)
    return SlicePrior(trained, model, (float(low), float(high)))


@dataclass(frozen=True)
class ImageProblem:
    """A scan in u, its operator scaled to norm 1.

    Attributes:
        normal: A*A on (z, C, y, x).
        axes: number of trailing axes of (z, C, y, x) that make one problem: 3, or 4 where A couples the slices.
        adjoint_data: A*y, (z, C, y, x).
        sigma: standard deviation of the data's noise in the same scale; 0 without noise.
        finish: the map from u to the image in the operator's unit, (z, y, x).
        adjoint_noise: A*n of standard normal noise n that the given function draws for data.
        seen: (z, 1, y, x), 1 where any datum depends on the image and 0 elsewhere: where no coil is sensitive or no ray
            passes, nothing would take back what the prior makes up.
    """

    normal: Map
    axes: int
    adjoint_data: Tensor
    sigma: float
    finish: Map
    adjoint_noise: Callable[[Map], Tensor]
    seen: Tensor

    @property
    def estimate_weight(self) -> float:
        """Weight of a denoised estimate against the data, in units where ‖A*A‖ = 1: the data's variance over that of
        the estimate; 0 without noise."""
        return self.sigma**2 / PRIOR_VARIANCE

    def within(self, step: Map) -> Map:
        """A data-consistency step on u that leaves nothing where no datum depends on the image."""
        return lambda u: step(u) * self.seen


def image_problem(measurement: Measurement, modality: Modality, channels: int) -> ImageProblem:
    """A scan as the loops take it.

    Args:
        measurement: CT or MR measurement.
        modality: the modality of the scan.
        channels: the channels of the prior; 1 takes the phase of an MR image from the calibration region.
    """
    return _ct_problem(measurement) if modality == "CT" else _mr_problem(measurement, channels)


def _ct_problem(measurement: Measurement) -> ImageProblem:
    operator, square = measurement.operator, measurement.operator.norm_bound**2
    return ImageProblem(
        lambda u: operator.gram(u[:, 0])[:, None] / square,
        problem_axes(operator) + 1,
        operator.adjoint(measurement.y)[:, None] / (ATTENUATION_UNIT * square),
        measurement.noise_level / (ATTENUATION_UNIT * math.sqrt(square)),
        lambda u: (u[:, 0] * ATTENUATION_UNIT).clamp_min(0),
        lambda noise: operator.adjoint(noise(measurement.y))[:, None] / math.sqrt(square),
        seen_by(measurement)[:, None],
    )


def _mr_problem(measurement: Measurement, channels: int) -> ImageProblem:
    operator, square = measurement.operator, measurement.operator.norm_bound**2
    direct, axes = zero_filled(measurement), problem_axes(operator) + 1
    scale = mr_scale(measurement).magnitude
    sigma = measurement.noise_level / (scale * math.sqrt(square))
    seen = seen_by(measurement)[:, None]
    if channels == 2:
        return ImageProblem(
            lambda u: as_channels(operator.gram(as_complex(u))) / square,
            axes,
            as_channels(direct) / (scale * square),
            sigma,
            lambda u: as_complex(u) * scale,
            lambda noise: as_channels(operator.adjoint(noise(measurement.y))) / math.sqrt(square),
            seen,
        )
    phase = with_calibration_phase(measurement, torch.ones_like(direct.real))
    return ImageProblem(
        lambda u: (operator.gram(u[:, 0] * phase) * phase.conj()).real[:, None] / square,
        axes,
        (direct * phase.conj()).real[:, None] / (scale * square),
        sigma,
        lambda u: u[:, 0] * phase * scale,
        lambda noise: (operator.adjoint(noise(measurement.y)) * phase.conj()).real[:, None] / math.sqrt(square),
        seen,
    )


def as_channels(image: Tensor) -> Tensor:
    """Complex (z, y, x) to its real and imaginary parts (z, 2, y, x)."""
    return torch.view_as_real(image).movedim(-1, 1).contiguous()


def as_complex(channels: Tensor) -> Tensor:
    """The reverse of :func:`as_channels`."""
    return torch.complex(channels[:, 0], channels[:, 1])


def drawn_noise(context: RunContext) -> Map:
    """Standard normal noise from the run's generator, drawn on the CPU, so that every device gets the same."""
    return lambda like: torch.randn(like.shape, dtype=like.dtype, generator=context.generator).to(like.device)


def told_progress(context: RunContext) -> Callable[[int, int], None]:
    """The run's progress as the loops tell it."""
    return partial(context.report, "sampling")


def decomposed(
    prior: SlicePrior, problem: ImageProblem, step: dds.Map, steps: int, eta: float, context: RunContext
) -> Reconstruction:
    """A reconstruction by DDS's loop with a data-consistency step ``step`` on u, whose noise has a fresh share ``eta``.

    Raises:
        InputError: more steps than the prior's diffusion has.
    """
    diffusion = prior.model.diffusion
    noise = drawn_noise(context)
    with input_errors("`steps`"):
        times = dds.descending_times(diffusion.timesteps, steps)
    x = dds.sample(
        prior.estimate,
        noise(problem.adjoint_data),
        diffusion.alpha_bar,
        times,
        prior.in_range(problem.within(step)),
        eta,
        noise,
        told_progress(context),
    )
    return answer(prior, problem, x)


def answer(prior: SlicePrior, problem: ImageProblem, x: Tensor) -> Reconstruction:
    """The reconstruction of images x that the loops end with."""
    return Reconstruction(problem.finish(prior.to_unit(x) * problem.seen), weights={"network": prior.trained.sha256})
