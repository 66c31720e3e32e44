"""Settings of Medical Diffusion's two trainings."""

from __future__ import annotations

from typing import Literal

from priors.generators.medicaldiffusion import TIMESTEPS
from priors.training.section import setting
from recon.training.settings.generators import GeneratorTask


class VQGANTask(GeneratorTask):
    """The VQ-GAN."""

    crop: tuple[int, int, int] | None = setting(
        None, "(z, x, y) size of the part of a cube that is learned from; null is all of it, as published", "voxels"
    )
    adversarial: bool = setting(True, "whether the discriminators are trained")
    adversarial_start: int = setting(10_000, "step after which the discriminators count", "steps", ge=0)
    perceptual: str | None = setting(None, "file of LPIPS; null trains without a perceptual distance")
    code_decay: float = setting(0.99, "decay of the codebook's running averages", gt=0, lt=1)
    restart_below: float = setting(
        1.0, "mean number of a batch's vectors that choose a code, below which the code starts anew", ge=0
    )


class MedicalDiffusionTask(GeneratorTask):
    """The noise estimator on the latents of a VQ-GAN."""

    timesteps: int = setting(TIMESTEPS, "timesteps of the diffusion", ge=1)
    loss: Literal["l1", "l2"] = setting("l1", "loss of the noise estimate")
