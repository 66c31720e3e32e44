"""Settings of the training of HA-GAN."""

from __future__ import annotations

from priors.training.section import setting
from recon.training.settings.generators import GeneratorTask


class HAGANTask(GeneratorTask):
    """Cubes, which set the size of the networks."""

    conditional: bool = setting(False, "whether the networks are told the class of a volume")
