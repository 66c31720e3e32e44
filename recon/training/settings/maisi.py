"""Settings of MAISI's trainings: autoencoder, U-Net, ControlNet."""

from __future__ import annotations

from priors.training.section import setting
from recon.training.settings.generators import CubeTask, GeneratorTask
from recon.training.settings.samples import Scans, Shown


class MaisiAutoencoderTask(GeneratorTask):
    """The autoencoder."""

    crop: tuple[int, int, int] | None = setting(
        None, "(z, x, y) size of the part of a cube that is learned from; null is all of it", "voxels"
    )
    divergence: float = setting(1e-7, "weight of the KL divergence, a sum over the voxels of a latent", ge=0)
    adversarial: float = setting(0.1, "weight of the adversarial term; 0 trains without a discriminator", ge=0)
    adversarial_start: int = setting(0, "step after which the discriminator counts", "steps", ge=0)
    discriminator_channels: int = setting(32, "width of the discriminator's first layer", "channels", ge=1)
    discriminator_layers: int = setting(3, "depth of the discriminator", "layers", ge=1)
    perceptual: str | None = setting(None, "file of the perceptual network; null trains without one")
    perceptual_weight: float = setting(0.3, "weight of the perceptual distance", ge=0)


class MaisiTask(GeneratorTask):
    """The U-Net."""

    scale_from: int = setting(16, "number of cubes whose latents say by what latents are scaled", "cubes", ge=1)


class MaisiControlNetTask(Scans, Shown):
    """ControlNets, which learn from simulated scans."""

    crop: tuple[int, int, int] = setting(..., "(z, x, y) size of a sample", "latent voxels")
    per_volume: int = setting(8, "samples of one scan in an epoch", ge=1)
    variants: int = setting(2, "simulated scans of each volume", ge=1)
    sampling_steps: int = setting(
        10, "sampling steps of what a validation samples; 0 validates the loss alone", "steps", ge=0
    )
    cubes: CubeTask | None = setting(
        None, "coarse cubes of the volumes, to scan in their place; null scans the volumes as they are"
    )
