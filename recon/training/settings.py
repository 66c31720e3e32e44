"""The ``task`` section of each network's recipe, checked like the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from priors.training.image_learner import ImageLoss
from priors.training.recipe import nearest
from recon.errors import InputError
from recon.training.excerpts import Excerpts
from recon.training.patches import Augmentation


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=_Settings)


class AugmentationSettings(_Settings):
    """See :class:`recon.training.patches.Augmentation`."""

    flip: float = Field(0.5, ge=0, le=1)
    scale: float = Field(0.0, ge=0, lt=0.5)
    rotation: float = Field(0.0, ge=0)
    noise: float = Field(0.0, ge=0)
    stretch: float = Field(0.0, ge=0, lt=0.9)
    shift: float = Field(0.0, ge=0, lt=0.5)

    def build(self) -> Augmentation:
        """As the samples' value."""
        return Augmentation(self.flip, self.scale, self.rotation, self.noise, self.stretch, self.shift)


class Scans(_Settings):
    """Simulated scans.

    Attributes:
        variants: scans of one volume.
        conditions: methods whose images the network is shown; None is the direct one.
        slices: of each scan, from a random place of its volume; None takes whole volumes.
        coarse, planes, contrast, grain: shares of training scans, see :class:`recon.training.excerpts.Excerpts`.
    """

    variants: int = Field(1, ge=1)
    conditions: tuple[str, ...] | None = None
    slices: int | None = Field(None, ge=1)
    coarse: float = Field(0.0, ge=0, le=1)
    planes: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.0, ge=0, le=1)
    grain: float = Field(0.0, ge=0, le=1)

    @property
    def excerpts(self) -> Excerpts:
        """Of training volumes."""
        return Excerpts(self.slices, self.coarse, self.planes, self.contrast, self.grain)

    @property
    def held_out(self) -> Excerpts:
        """Of validation volumes."""
        return Excerpts(self.slices)


class AutoencoderTask(_Settings):
    """Both stages of the autoencoder.

    Attributes:
        crop: (z, x, y) voxels of a training sample; None is one patch in stage 1, and ``patches`` in stage 2.
        patches: (z, x, y) of a sample of stage 2. Wide ones, since norms are taken over all of a sample: a decoder that
            learned them on cubes is worse on whole slices.
        per_volume: samples of one volume in an epoch.
        losses: weights as in the released code, or as printed in the paper.
        square, structure: weights of two terms more, see :class:`priors.training.losses.LossWeights`.
        adversarial: train a discriminator.
        adversarial_start: step after which it counts.
        perceptual: file of the perceptual network; None trains without.
        code_decay: of the codebook's running averages in a step; slower than released where batches are small.
        restart_below: codes that fewer vectors of a batch choose, on average, start anew; less than the released 1
            where a batch has fewer than some eight vectors for each code.
        quantise_after: steps without the codebook, see :class:`priors.training.autoencoder_learner.AutoencoderLearner`.
        start: of a new network's weights: random, or block averages (:mod:`priors.training.autoencoder_start`).
        augmentation: of samples.
    """

    crop: tuple[int, int, int] | None = None
    patches: tuple[int, int, int] = (1, 4, 4)
    per_volume: int = Field(64, ge=1)
    losses: Literal["official", "paper"] = "official"
    square: float = Field(0.0, ge=0)
    structure: float = Field(0.0, ge=0)
    adversarial: bool = True
    adversarial_start: int = Field(0, ge=0)
    perceptual: str | None = None
    code_decay: float = Field(0.99, gt=0, lt=1)
    restart_below: float = Field(1.0, ge=0)
    quantise_after: int = Field(0, ge=0)
    start: Literal["random", "averages"] = "random"
    augmentation: AugmentationSettings = AugmentationSettings()


class LatentTask(Scans):
    """BiFlowNet and, with the scans, ControlNet.

    Attributes:
        crop: (z, x, y) latent voxels of a sample.
        per_volume: crops of one latent in an epoch.
        loss: of the noise estimate.
        timesteps: of the diffusion.
        mirror: also learn from mirror images.
        sampling_steps: of the volumes that a validation samples; 0 validates the loss alone.
        encoding: by patches as published, or of whole volumes, for the paper's ablation.
    """

    crop: tuple[int, int, int]
    per_volume: int = Field(8, ge=1)
    encoding: Literal["patch", "volume"] = "patch"
    loss: Literal["l1", "l2"] = "l1"
    timesteps: int = Field(1000, ge=1)
    mirror: bool = True
    variants: int = Field(2, ge=1)
    sampling_steps: int = Field(10, ge=0)


class SliceTask(Scans):
    """Networks that take one condition's axial slices to better ones: FBPConvNet and the U-Net.

    Attributes:
        crop: edge of a sample in pixels.
        loss: see :class:`priors.training.image_learner.ImageLearner`.
        augmentation: of samples.
    """

    crop: int = Field(256, ge=16)
    loss: ImageLoss = "l1"
    augmentation: AugmentationSettings = AugmentationSettings()


class RefinerTask(SliceTask):
    """Refiners of a head's samples.

    Attributes:
        rounds: refiner and data step alternate; from 2 on it also learns from what the network that it begins as,
            followed by a data step, makes of the reference.
    """

    rounds: int = Field(1, ge=1, le=4)


class SliceDiffusionTask(Scans):
    """Diffusion models of axial slices: ADM, which needs no scans, and DOLCE.

    Attributes:
        crop: edge of a sample in pixels.
        timesteps: of the diffusion.
        sampling_steps: of what a validation samples; 0 validates the loss alone.
        augmentation: of samples.
    """

    crop: int = Field(256, ge=16)
    timesteps: int = Field(1000, ge=1)
    sampling_steps: int = Field(20, ge=0)
    augmentation: AugmentationSettings = AugmentationSettings()


class UnrolledTask(_Settings):
    """Unrolled networks, which see the measurement itself: scans are simulated as the training goes.

    Attributes:
        slices: of one volume in a sample.
        edge: pixels of a slice, both ways; others are padded with air or cut.
        loss: ``l1`` or ``l2``, network range.
        augmentation: of samples.
    """

    slices: int = Field(4, ge=1)
    edge: int = Field(256, ge=16)
    loss: Literal["l1", "l2"] = "l2"
    conditions: tuple[str, ...] | None = None
    augmentation: AugmentationSettings = AugmentationSettings()


def parse_task(kind: type[S], values: Mapping[str, Any]) -> S:
    """A recipe's task section.

    Raises:
        InputError: an unknown key (the nearest is named) or a wrong value.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = list(kind.model_fields)
            raise InputError(f"recipe: unknown key task.{where}{nearest(str(problem['loc'][-1]), known)}") from error
        raise InputError(f"recipe: task.{where}: {problem['msg']}") from error


def merged(defaults: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A network's default settings with a recipe's on top.

    Raises:
        InputError: a key that the network does not have.
    """
    for key in changes:
        if key not in defaults:
            raise InputError(f"recipe: unknown key network.{key}{nearest(key, defaults)}")
    return {**defaults, **changes}
