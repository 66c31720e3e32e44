"""``meddiffusion``: latent diffusion with a ControlNet head that consults the measurement again.

The suite's own way beyond the paper's (:mod:`recon.methods.meddiffusion_paper`), in four steps:

* show: the head is shown images of the scan by other methods; the last, or the mean of several methods', is the
  base image;
* sample: sampling may begin from the base image's latent, noised to an intermediate step;
* refine: a decoded sample does not replace the base image, it advises a change of it;
* data consistency: refiner and data-consistency step take turns; with ``within``, such steps are taken during sampling
  too, after which the image is encoded again (ReSample, Song et al. 2024).

The spread of several samples, how much of the base image had to be changed, where methods disagree and how noisy the
ground truth is are combined to a calibrated standard deviation (:mod:`recon.diffusion.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from priors.networks.inference import AUTO, Acceleration
from recon.acquisition.network_scale import network_scale
from recon.diffusion.controlnet_head import Head, load_head
from recon.diffusion.head_changes import BaseImage, Refine, agree, refine
from recon.diffusion.head_sampling import Sampling, Steered, class_told, decode, encode, grid, sample, steer
from recon.diffusion.uncertainty import uncertainty
from recon.errors import InputError
from recon.learned.refiner import START, Refiner, load_refiner
from recon.methods.head_options import HeadOptions
from recon.methods.head_progress import counted, of_sample, voxel_size
from recon.methods.show import Shown, show
from recon.options import setting
from recon.scan.body_window import body_window
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.volume import Modality
from recon.solvers.data_consistency import agreeing

ROUNDS = 5
"""Turns of refiner and data-consistency step, chosen on validation cases; a sixth would still improve CT a little, and
some MR scans."""

ROUNDS_OF_NOISY = 4
"""Turns where a CT scan has noise. The data then contradict little of what a refiner changes, so that nothing ends the
turns, and each adds to what the ones before got wrong. On six validation scans of 1e4 and 1e5 photons, four turns in
place of up to seven gain 0.1 dB, 0.006 in SSIM and 0.4 dB in soft tissue in the mean, and lose 0.2 dB on one."""

ROUNDS_OF_COILS = 2
"""Turns where an MR scan has several coils: their sensitivities let noise through, and each turn brings some in. On
eight validation scans of 2 to 12 coils, two turns in place of up to five gain 0.35 dB in the mean, 0.8 at most, and
lose on none; a third changes the mean by less than 0.01 dB."""

_TURNS_OF_A_FINER_GRID = 2
"""Further turns of CT without noise where a finer grid told the model error: 0.2 dB at 20 views."""

_NOISE_THAT_COUNTS = 0.25
"""Variance of the noise over that of the model error, above which a scan has noise in this sense. It was 0.9 on that of
the six scans which gains most."""

MOST_KEYS = 1 << 13
"""Voxels of the latent that each one attends to when a sample is decoded. A decoded sample advises; for 64 slices of
256 x 256 all keys would change it by one or two hundredths of that, and take most of the decoder's time."""


MOVED = {
    "mode": "the paper's way is a method of its own: take `method` meddiffusion-paper, without `mode`",
    "strength": "the factor on what the head adds is called `controlnet-scale`",
}
"""What to say of options that this method had."""


class MedDiffusionOptions(HeadOptions):
    """Options of ``meddiffusion``."""

    refiner: str = setting(
        "", "weights file of the refiner of the samples, or none; empty: the refiner that was trained for the head"
    )
    start: float | None = setting(
        None,
        "share of the diffusion that is run, starting from the noised latent of the base image; 1: from noise alone; "
        f"auto: that of the samples which the refiner was trained with, {START:g} without a refiner",
        gt=0,
        le=1,
    )
    detail: bool = setting(
        True, "whether details of the base image that the autoencoder loses are kept; only without a refiner"
    )
    gain: float = setting(1.0, "factor on the change of the base image that a sample advises")
    rounds: int | None = setting(
        None,
        "largest number of turns of refiner and data-consistency step, which end when that step takes a change back; "
        f"only with a refiner and with agree=yes; auto: {ROUNDS}; of CT {_TURNS_OF_A_FINER_GRID} more where a finer "
        f"grid told the model error, and {ROUNDS_OF_NOISY} with noise; of MR with several coils {ROUNDS_OF_COILS}",
        ge=1,
    )
    agree: bool = setting(
        True, "whether a data-consistency step follows, so that the result agrees with the measured data"
    )
    within: int = setting(
        0, "number of sampler steps between data-consistency steps within the sampling; 0: none before its end", ge=0
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        AUTO, "floating-point precision of the networks; auto: bfloat16 on processors that compute in it, else float32"
    )

    def sampling(self, refiner: Refiner | None) -> Sampling:
        """How samples are drawn for a refiner, or without one."""
        trained = START if refiner is None else refiner.start
        return Sampling(self.steps, self.sampler, trained if self.start is None else self.start)

    @model_validator(mode="after")
    def _each_has_an_effect(self) -> Self:
        if self.rounds is not None and not self.agree:
            raise ValueError("`rounds`: has an effect only with `agree`=yes; leave one of the two out")
        return self

    def check(self, refiner: Refiner | None) -> None:
        """Refuse what has no effect with, or without, a refiner.

        Raises:
            InputError: such an option was set.
        """
        if refiner is not None and "detail" in self.model_fields_set:
            raise InputError("`detail`: has no effect with a refiner; leave it out, or set `refiner`=none")
        if refiner is None and self.rounds is not None:
            raise InputError("`rounds`: has no effect without a refiner; leave it out")
        steps = self.sampling(refiner).own_steps
        if self.within > steps:
            raise InputError(f"`within` {self.within}: the sampler takes {steps} steps; at most {steps} has an effect")


def run(
    measurement: Measurement, options: MedDiffusionOptions, context: RunContext, modality: Modality
) -> Reconstruction:
    """Show the head images of the scan, sample, and take data-consistency steps on what the samples advise."""
    head = load_head(options.weights, options.prior, measurement, modality, allow_other=options.allow_other)
    refiner = load_refiner(options.refiner, head.path, head.sha256)
    options.check(refiner)
    shown = show(head.task, measurement, context, options.allow_other)
    return reconstruct(head, refiner, shown, measurement, options, context)


@torch.no_grad()
def reconstruct(
    head: Head,
    refiner: Refiner | None,
    shown: Shown,
    measurement: Measurement,
    options: MedDiffusionOptions,
    context: RunContext,
) -> Reconstruction:
    """The reconstruction from what a head is shown; the standard deviation is None of one sample.

    Args:
        head: the ControlNet head.
        refiner: the refiner of its samples; None for a head without one.
        shown: the images that the head is shown, and the base image.
        measurement: the scan.
        options: how samples are drawn and what becomes of them.
        context: the run.

    Raises:
        InputError: the prior is not the one that the head was trained on.
    """
    steered, base_image, pictured = _look(head, refiner, shown, measurement, options, context)
    found, advised = [], []
    for number in range(options.samples):
        part = of_sample(context, number, options.samples)
        refining = _refining(steered, refiner, pictured, options, part)
        seed = int(torch.randint(2**31, (), generator=context.generator))
        decoded = sample(
            steered,
            options.sampling(refiner),
            seed,
            most_keys=MOST_KEYS,
            correct=_correction(steered, base_image, refining, options.within) if options.within else None,
            on_step=counted(part, "sampling"),
        )
        advised.append(refining(base_image, decoded, 0))
        turns = options.rounds or _turns(measurement, head.task.modality)
        found.append(
            agree(base_image, decoded, advised[-1], refining if refiner else None, turns, part)
            if options.agree
            else advised[-1]
        )
    images, first = (torch.stack([each.to(measurement.y.device) for each in part]) for part in (found, advised))
    weights = head.weights | ({"refiner": refiner.sha256} if refiner else {}) | shown.weights
    notices = head.notices(shown.weights) + shown.notices + (refiner.notices(shown.weights) if refiner else ())
    return Reconstruction(
        images.mean(0), _deviation(images, first, shown, head, measurement), weights=weights, notices=notices
    )


def _turns(measurement: Measurement, modality: Modality) -> int:
    """The largest number of turns where none is asked for."""
    if modality == "MR":
        return ROUNDS if (measurement.protocol.coils or 1) == 1 else ROUNDS_OF_COILS
    noise = measurement.noise_variance
    if noise is not None and noise > _NOISE_THAT_COUNTS * measurement.model_error_variance:
        return ROUNDS_OF_NOISY
    return ROUNDS + (0 if measurement.finer is None else _TURNS_OF_A_FINER_GRID)


def _look(
    head: Head,
    refiner: Refiner | None,
    shown: Shown,
    measurement: Measurement,
    options: MedDiffusionOptions,
    context: RunContext,
) -> tuple[Steered, BaseImage, Tensor]:
    """The prior steered by what lies in the body's window, the base image, and the last image shown, (Z, X, Y)."""
    prior = head.prior.to(context.device)
    best = network_scale(measurement).to_network(shown.base_image).cpu()
    window = body_window(best, head.task.modality, grid(prior))
    images = shown.images[:, :, window[0], window[1]]
    context.report("encoding", 0, 1)
    steered = steer(
        prior,
        head.network.to(context.device),
        images,
        class_told(prior, options.anatomy, head.task.modality),
        controlnet_scale=options.controlnet_scale,
        voxel_size=voxel_size(measurement),
        acceleration=Acceleration.from_name(options.precision, prior.device),
        allow_other_base=options.allow_other,
    )
    context.report("encoding", 1, 1)
    if refiner is not None:
        refiner.to(context.device)
    seen = best[:, window[0], window[1]]
    if options.detail and refiner is None:
        seen = decode(steered, steered.latent, MOST_KEYS)
    return steered, BaseImage(shown.base_image, seen, window, measurement), images[-1]


def _refining(
    steered: Steered, refiner: Refiner | None, pictured: Tensor, options: MedDiffusionOptions, context: RunContext
) -> Refine:
    return partial(
        refine,
        shown=pictured,
        refiner=refiner,
        gain=options.gain,
        acceleration=steered.acceleration,
        on_slices=partial(context.report, "refining"),
    )


def _correction(
    steered: Steered, base_image: BaseImage, refining: Refine, within: int
) -> Callable[[Tensor, int], Tensor]:
    """Every ``within``-th estimate of the latent is decoded, made data-consistent and encoded again."""
    count, limit = 0, steered.prior.latent_limit

    def correct(z0: Tensor, step: int) -> Tensor:
        nonlocal count
        count += 1
        if count % within:
            return z0
        decoded = decode(steered, z0 if limit is None else z0.clamp(-limit, limit), MOST_KEYS)
        estimate = agreeing(base_image.measurement, refining(base_image, decoded, 0))
        return encode(steered.prior, base_image.looked_at(estimate)[None], steered.acceleration)

    return correct


def _deviation(images: Tensor, advised: Tensor, shown: Shown, head: Head, measurement: Measurement) -> Tensor | None:
    """What the spread of samples means, where the head's card knows; None of one sample."""
    if len(images) < 2:
        return None
    scale = network_scale(measurement)
    spread = uncertainty(images.abs(), advised.abs(), shown.base_image.abs(), shown.base_images.abs(), scale.grain)
    if head.calibrations is None:
        return spread
    return head.calibrations.of(head.task.acquisition.kind(measurement)).apply(spread, scale.unit)
