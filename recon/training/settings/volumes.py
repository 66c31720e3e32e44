"""Settings of networks on volumes and latents: the autoencoder, BiFlowNet, ControlNet heads."""

from __future__ import annotations

from typing import Literal

from priors.training.section import Section, setting
from recon.errors import InputError
from recon.training.settings.generators import CubeTask
from recon.training.settings.samples import CubeAugmentation, Scans, Shown


class AutoencoderTask(Section):
    """Both stages of the autoencoder.

    Samples of stage 2 are wide, since norms are taken over all of a sample: a decoder that learned them on cubes is
    worse on whole slices.
    """

    crop: tuple[int, int, int] | None = setting(
        None, "(z, x, y) size of a sample; null is one patch in stage 1, and `patches` in stage 2", "voxels"
    )
    patches: tuple[int, int, int] = setting((1, 4, 4), "(z, x, y) size of a sample of stage 2", "patches")
    per_volume: int = setting(64, "samples of one volume in an epoch", ge=1)
    losses: Literal["official", "paper"] = setting(
        "official", "weights of the losses, as in the released code or as printed in the paper"
    )
    square: float = setting(0.0, "weight of the squared error; see priors.training.losses.LossWeights", ge=0)
    structure: float = setting(0.0, "weight of 1 - SSIM; see priors.training.losses.LossWeights", ge=0)
    adversarial: bool = setting(True, "whether a discriminator is trained")
    adversarial_start: int = setting(0, "step after which the discriminator counts", "steps", ge=0)
    perceptual: str | None = setting(None, "file of the perceptual network; null trains without one")
    code_decay: float = setting(
        0.99, "decay of the codebook's running averages; slower than released where batches are small", gt=0, lt=1
    )
    restart_below: float = setting(
        1.0, "mean number of a batch's vectors that choose a code, below which the code starts anew", ge=0
    )
    quantise_after: int = setting(0, "length of the training without the codebook, at its beginning", "steps", ge=0)
    cubes: CubeTask | None = setting(
        None, "coarse cubes of the volumes, to learn from in their place; null learns from the volumes as they are"
    )
    start: Literal["random", "averages"] = setting(
        "random", "initial weights of a new network: random, or such that latents are block averages"
    )
    augmentation: CubeAugmentation = CubeAugmentation()


class LatentSamples(Section):
    """Samples of latents."""

    crop: tuple[int, int, int] = setting(..., "(z, x, y) size of a sample", "latent voxels")
    per_volume: int = setting(8, "samples of one latent in an epoch", ge=1)
    encoding: Literal["patch", "volume"] = setting(
        "patch", "encoding of the latents: by patches as published, or of whole volumes"
    )


class LatentTask(LatentSamples):
    """What the networks on latents have in common."""

    loss: Literal["l1", "l2"] = setting("l1", "loss of the noise estimate")
    sampling_steps: int = setting(
        10, "sampling steps of what a validation samples; 0 validates the loss alone", "steps", ge=0
    )


class BiFlowNetTask(LatentTask):
    """The noise estimator."""

    timesteps: int = setting(1000, "timesteps of the diffusion", ge=1)
    mirror: bool = setting(True, "whether mirror images of the volumes are learned from too")
    patient: bool = setting(
        False, "whether the network is told age and sex, where the data say them; initial weights that are stay so"
    )
    cubes: CubeTask | None = setting(
        None, "coarse cubes of the volumes, to learn from in their place; null learns from the volumes as they are"
    )


class ControlNetTask(LatentTask, Scans, Shown):
    """Heads, which learn from simulated scans, or of the task mask from segmentations."""

    variants: int = setting(2, "simulated scans of each volume", ge=1)
    timesteps: int | None = setting(
        None, "timesteps of the diffusion, of a base whose weights file does not say them", ge=1
    )
    mirror: bool = setting(True, "whether mirror images of the volumes are learned from too (task mask)")
    around_labels: float = setting(0.5, "share of samples that lie around a label (task mask)", ge=0, le=1)
    label_weights: dict[str, float] = setting(
        {}, "weights of the loss where a latent voxel touches a label, by its name, such as {tumour: 100} (task mask)"
    )

    def refuse_without_effect(self, owner: Literal["scans", "mask"], task: str) -> None:
        """Refuse settings that another kind of head has a use for.

        Args:
            owner: the samples that the head does not learn from.
            task: the name of the task that the head learns.

        Raises:
            InputError: names the first setting that was given and has no effect.
        """
        own = set(Scans.model_fields) | set(Shown.model_fields) if owner == "scans" else _OF_MASKS
        for name in sorted(own & self.model_fields_set):
            raise InputError(f"recipe: task.{name}: has no effect with `task` {task}")


_OF_MASKS = {"mirror", "around_labels", "label_weights"}
