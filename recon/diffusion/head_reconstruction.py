"""Reconstruction by a ControlNet head that consults the measurement again: the suite's own way beyond the paper.

Three things cap the paper's way: the autoencoder's round trip, the condition that is worse than what iterative methods
reach, and data that are never looked at again. Here

* the last image that the head is shown, or the mean of several methods', is the reference c, such as total variation's;
* sampling may begin from its latent, noised to an intermediate step;
* a decoded sample does not replace the reference, it advises a change of it: that of a network which sees both
  (:mod:`recon.learned.refiner`) or, for a head without one, x̂ = c + D(z) − D(E(c)). What the autoencoder loses of the
  reference stays there;
* the spread of several samples, how much of c had to be changed, where methods disagree and how noisy the truth is
  become a standard deviation that holds what it claims (:mod:`recon.diffusion.calibration`);
* x̂ is brought to agree with the data (:func:`recon.solvers.data_consistency.agreeing`), at the end and, with
  ``within``, inside sampling with encoding anew (ReSample, Song et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from priors.diffusion.latent_sampling import sample_latents
from priors.diffusion.prior import LatentPrior, WarmStart
from priors.diffusion.samplers import OnStep
from priors.networks.controlnet import AttachedHead
from priors.networks.inference import Acceleration
from recon.acquisition.network_scale import network_scale
from recon.diffusion.controlnet_head import ROUNDS, Head, HeadOptions, encode_conditions, grid, network_class
from recon.errors import input_errors
from recon.learned.refiner import Refiner
from recon.scan.body_window import Window, body_window, placed
from recon.scan.measurement import Measurement, Reconstruction, RunContext
from recon.scan.padding import centre
from recon.scan.volume import Modality
from recon.solvers.data_consistency import agreeing

LEAST_KEPT, LEAST_KEPT_OF_NOISY = 0.25, 0.6
"""Of a refiner's change, see :func:`kept_share`, chosen on validation cases; data with noise take back less."""

MOST_KEYS = 1 << 13
"""Voxels of the latent that each one attends to when a sample is decoded. A decoded sample advises; for 64 slices of
256 x 256 all keys would change it by one or two hundredths of that, and take most of the decoder's time."""

_NEIGHBOURHOOD = 7
"""Pixels both ways over which changes of an image are averaged."""


@dataclass(frozen=True)
class Reference:
    """The image that samples are changes of.

    Attributes:
        image: (z, y, x) in the operator's unit.
        latent: (1, C, z, x, y) of the last image shown.
        window: of X and Y, where the networks look; the rest is air and stays.
        seen: (Z, X, Y) of that window in the network range, as samples are compared with it.
        shown: (Z, X, Y) of that window in the network range, the last image shown.
        modality: CT or MR.
        measurement: the scan.
        refiner: makes an image of ``seen`` and a sample; None takes the sample itself.
        acceleration: precision of the networks.
    """

    image: Tensor
    latent: Tensor
    window: Window
    seen: Tensor
    shown: Tensor
    modality: Modality
    measurement: Measurement
    refiner: Refiner | None = None
    acceleration: Acceleration = field(default_factory=Acceleration)

    def with_change(self, decoded: Tensor, gain: float, turn: int = 0) -> Tensor:
        """The image in the operator's unit, changed as a decoded (Z, X, Y) sample of the window advises.

        ``turn`` as for :meth:`recon.learned.refiner.Refiner.refined`.
        """
        better = decoded
        if self.refiner:
            device = next(self.refiner.network.parameters()).device
            look = partial(self.refiner.refined, turn=turn)
            better = self.acceleration.wrap(look, device)(torch.stack([self.seen, decoded, self.shown]))
        z, y, x = self.image.shape
        change = placed(gain * (better - self.seen), self.window, torch.Size((z, x, y)))
        return network_scale(self.measurement).changed(self.image, change)

    def looked_at(self, image: Tensor) -> Tensor:
        """An image in the operator's unit as the networks see it: its window, (Z, X, Y), network range, on the CPU."""
        whole = network_scale(self.measurement).to_network(image).cpu()
        return whole[:, self.window[0], self.window[1]]


@torch.no_grad()
def reconstruct(
    head: Head,
    measurement: Measurement,
    shown: Sequence[Reconstruction],
    references: Sequence[Reconstruction],
    options: HeadOptions,
    context: RunContext,
) -> tuple[Tensor, Tensor | None]:
    """Mean and standard deviation (None of one sample), (z, y, x) in the operator's unit.

    Args:
        head: the head.
        measurement: the scan.
        shown: reconstructions by the methods of the head's conditions.
        references: reconstructions by the methods the mean of which samples change.
        options: how it is sampled.
        context: the run.

    Raises:
        InputError: the prior is not the one that the head was trained on.
    """
    prior, modality, scale = head.prior.to(context.device), head.task.modality, network_scale(measurement)
    best = reference_image(measurement, references)
    images = torch.stack([scale.to_network(image) for image in (*(each.mean for each in shown), best)]).cpu()
    window = body_window(images[-1], modality, grid(prior))
    images = images[:, :, window[0], window[1]]
    acceleration = Acceleration.from_name(options.precision, prior.device)
    hint = encode(prior, images[:-1], acceleration)
    with input_errors("`weights`"):
        attached = prior.attach(
            head.network.to(context.device),
            hint,
            options.strength,
            allow_other_base=options.allow_other,
        )
    latent = hint[:, -prior.channels :]
    seen = images[-1]
    if options.detail and head.refiner is None:
        seen = decode(prior, latent, images.shape[1:], acceleration)
    refiner = head.refiner and head.refiner.to(context.device)
    reference = Reference(best, latent, window, seen, images[-2], modality, measurement, refiner, acceleration)
    estimates = [_sample(prior, attached, reference, options, context, number) for number in range(options.samples)]
    images, advised = (
        torch.stack([each.to(measurement.y.device) for each in part]) for part in zip(*estimates, strict=True)
    )
    if options.samples < 2:
        return images.mean(0), None
    others = torch.stack([each.mean for each in references])
    spread = uncertainty(images.abs(), advised.abs(), best.abs(), others.abs(), scale.grain)
    return images.mean(0), _deviation(spread, head, measurement)


def reference_image(measurement: Measurement, references: Sequence[Reconstruction]) -> Tensor:
    """The image that a head's samples change, (z, y, x): the only one, or the mean that agrees with the data.

    Methods err differently, so their mean is often better than each.
    """
    images = torch.stack([each.mean for each in references])
    return images[0] if len(images) == 1 else agreeing(measurement, images.mean(0))


def _deviation(spread: Tensor, head: Head, measurement: Measurement) -> Tensor:
    """What a spread means, where the head's card knows."""
    if head.calibrations is None:
        return spread
    return head.calibrations.of(head.task.acquisition.kind(measurement)).apply(spread, network_scale(measurement).unit)


def uncertainty(samples: Tensor, advised: Tensor, shown: Tensor, references: Tensor, grain: float = 0.0) -> Tensor:
    """How unsure an image is: the samples' variance, what was doubtful around each voxel, and noise.

    Samples of a head agree on what all of them miss. Where the best image shown was changed much, as at edges that few
    views see, much is still wrong; a scan with fewer views or more noise shows it everywhere. A change that was advised
    and that the data took back counts as well: it is no reason to be sure. Nor is it one that methods disagree. Noise
    is what no change foretells: that of an MR image itself, that which a sinogram's leaves.

    Args:
        samples: (n, z, y, x) magnitudes or attenuations, n at least 2.
        advised: (n, z, y, x) images that were advised at first.
        shown: (z, y, x) that they are changes of.
        references: (m, z, y, x) images whose mean that is.
        grain: standard deviation of noise that the scan foretells, the same everywhere.

    Returns:
        (z, y, x) in their unit.
    """
    change = torch.maximum(*((images.mean(0) - shown).square() for images in (samples, advised)))
    doubt = change + references.var(0, correction=0)
    around = avg_pool2d(doubt[:, None], _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2, count_include_pad=False)[:, 0]
    return (samples.var(0) + around + grain**2).sqrt()


def encode(prior: LatentPrior, images: Tensor, acceleration: Acceleration) -> Tensor:
    """As :func:`recon.diffusion.controlnet_head.encode_conditions`, in some precision."""
    return acceleration.wrap(lambda x: encode_conditions(prior, x), prior.device)(images)


def decode(prior: LatentPrior, latent: Tensor, size: torch.Size, acceleration: Acceleration) -> Tensor:
    """A (1, C, z, x, y) latent as a (Z, X, Y) image of ``size`` on the CPU."""
    volume = acceleration.wrap(partial(prior.decode, most_keys=MOST_KEYS), prior.device)(latent)
    return centre(volume[0, 0].cpu(), size)


def _sample(
    prior: LatentPrior,
    attached: AttachedHead,
    reference: Reference,
    options: HeadOptions,
    context: RunContext,
    number: int,
) -> tuple[Tensor, Tensor]:
    """One sample that agrees with the data, and what was advised at first, in the operator's unit."""
    share = options.full_steps + 1
    total, before = options.samples * share, number * share
    sampled = draw(
        prior,
        attached,
        reference.latent,
        network_class(prior, options, reference.modality),
        options,
        seed=int(torch.randint(2**31, (), generator=context.generator)),
        acceleration=reference.acceleration,
        correct=_correction(prior, reference, options) if options.within else None,
        on_step=lambda done, steps, z, x0: context.report("sampling", before + done, total),
    )
    found = _estimated(reference, decode(prior, sampled, reference.seen.shape, reference.acceleration), options)
    context.report("sampling", before + share, total)
    return found


def _estimated(reference: Reference, decoded: Tensor, options: HeadOptions) -> tuple[Tensor, Tensor]:
    """What a decoded sample comes to, and what it advised at first."""
    advised = reference.with_change(decoded, options.gain)
    return (_agreed(reference, decoded, advised, options) if options.agree else advised), advised


def _agreed(reference: Reference, decoded: Tensor, changed: Tensor, options: HeadOptions) -> Tensor:
    """The image of what a decoded sample advises; refiner and data step take turns, each from the last one's image.

    They end early, with the image before, where the data take back most of what the refiner changed.
    """
    measurement = reference.measurement
    if reference.refiner is None:
        return agreeing(measurement, changed)
    least = LEAST_KEPT if measurement.sigma is None else LEAST_KEPT_OF_NOISY
    rounds = options.rounds or ROUNDS[reference.modality]
    for done in range(rounds):
        image = agreeing(measurement, changed)
        if kept_share(reference.image, changed, image) < least:
            return reference.image if done else agreeing(measurement, reference.image)
        reference = replace(reference, image=image, seen=reference.looked_at(image))
        if done + 1 < rounds:
            changed = reference.with_change(decoded, options.gain, turn=done + 1)
    return reference.image


def kept_share(before: Tensor, changed: Tensor, agreed: Tensor) -> float:
    """What is left of a change, along itself, once the image agrees with the data again.

    The image before agrees with the data, so whatever of a change the data can see is wrong; of a change that is right,
    nothing is taken back. The share tells without the truth whether a network knows such images: where it does not, as
    on scans that differ from its training data or are near the truth already, most is taken back.

    Args:
        before, changed, agreed: (z, y, x) images before the change, after it, and after the data step.

    Returns:
        1 where all of the change stays, 0 where nothing does; 1 of no change.
    """
    change = changed - before
    size = float(change.abs().square().sum())
    return float(((agreed - before) * change.conj()).real.sum()) / size if size else 1.0


def draw(
    prior: LatentPrior,
    attached: AttachedHead,
    latent: Tensor,
    class_index: int,
    options: HeadOptions,
    seed: int,
    acceleration: Acceleration | None = None,
    correct: Callable[[Tensor, int], Tensor] | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """One latent (1, C, z, x, y) that a head steers, from noise or from the reference's latent.

    Args:
        prior: of the head.
        attached: the head with its hint.
        latent: (1, C, z, x, y) of the reference.
        class_index: of the anatomy.
        options: ``steps``, ``sampler`` and ``start``.
        seed: of the noise.
        acceleration: of the noise estimator; None is exact.
        correct: changes the sampler's estimates, see :func:`priors.diffusion.prior.sample_latents`.
        on_step: likewise.
    """
    z, x, y = latent.shape[2:]
    last = prior.diffusion.timesteps - 1
    first = max(round(options.start * last), options.full_steps - 1)
    return sample_latents(
        prior,
        class_index,
        prior.image_size((z, x, y)),
        steps=options.full_steps,
        sampler=options.sampler,
        seeds=[seed],
        heads=[attached],
        start=WarmStart(latent[0], first) if options.start < 1 else None,
        acceleration=acceleration,
        correct=correct,
        on_step=on_step,
    )


def _correction(prior: LatentPrior, reference: Reference, options: HeadOptions) -> Callable[[Tensor, int], Tensor]:
    """Every ``within``-th estimate of the latent is decoded, brought to agree with the data and encoded again."""
    count = 0

    def correct(z0: Tensor, step: int) -> Tensor:
        nonlocal count
        count += 1
        if count % options.within:
            return z0
        decoded = decode(prior, z0.clamp(-1, 1), reference.seen.shape, reference.acceleration)
        estimate = agreeing(reference.measurement, reference.with_change(decoded, options.gain))
        return encode(prior, reference.looked_at(estimate)[None], reference.acceleration)

    return correct
