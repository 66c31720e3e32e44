"""Settings of the training of WDM."""

from __future__ import annotations

from priors.training.section import setting
from recon.training.settings.generators import GeneratorTask


class WDMTask(GeneratorTask):
    """Cubes, and the diffusion of their wavelet coefficients."""

    timesteps: int = setting(1000, "timesteps of the diffusion", ge=21)
