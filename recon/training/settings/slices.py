"""Settings of networks on axial slices."""

from __future__ import annotations

from typing import Literal

from priors.training.image_learner import ImageLoss
from priors.training.section import Section, setting
from recon.learned.refiner import START
from recon.training.settings.samples import Scans, Shown, SliceAugmentation


class SquareSamples(Section):
    """Samples cut from slices."""

    crop: int = setting(256, "edge of a sample", "pixels", ge=16)
    augmentation: SliceAugmentation = SliceAugmentation()


class ImageLosses(Section):
    """What images are compared by."""

    loss: ImageLoss = setting("l1", "loss; see priors.training.image_learner.ImageLearner")
    perceptual: str | None = setting(
        None, "file of a perceptual network, whose distance is added to the loss; null adds none"
    )
    perceptual_weight: float = setting(0.1, "factor on the perceptual distance", ge=0)


class SliceTask(SquareSamples, Scans, Shown, ImageLosses):
    """Networks that take axial slices of reconstructions to better ones: FBPConvNet and the U-Net."""


class RefinerTask(SquareSamples, Scans, ImageLosses):
    """Refiners of a head's samples; the head says which images are shown."""

    rounds: int = setting(
        1,
        "number of turns of refiner and data-consistency step; with 2 or more, the refiner also learns from base "
        "images that the network of the initial weights and a data-consistency step have improved",
        ge=1,
        le=4,
    )
    start: float = setting(
        START,
        "share of the diffusion that is run for a sample, from the noised latent of the base image; reconstructions "
        "with this refiner run as much",
        gt=0,
        le=1,
    )
    sample: bool = setting(
        True,
        "whether the refiner sees the sample; without it, everything else alike, it tells what the prior is worth",
    )


class ADMTask(SquareSamples):
    """The diffusion prior of slices, which needs no scans."""

    timesteps: int = setting(1000, "timesteps of the diffusion", ge=1)
    sampling_steps: int = setting(
        20, "sampling steps of what a validation samples; 0 validates the loss alone", "steps", ge=0
    )


class DolceTask(ADMTask, Scans, Shown):
    """The diffusion model of slices under the images of a scan."""


class UnrolledTask(Shown):
    """Unrolled networks, which see the measurement itself: scans are simulated as the training goes."""

    slices: int = setting(4, "slices of one volume in a sample", "slices", ge=1)
    edge: int = setting(256, "edge of a slice, both ways; others are padded with air or cut", "pixels", ge=16)
    loss: Literal["l1", "l2"] = setting("l2", "loss, in the network range")
    augmentation: SliceAugmentation = SliceAugmentation()
