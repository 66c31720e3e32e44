"""Settings of distillations."""

from __future__ import annotations

from typing import Literal

from priors.training.section import setting
from recon.training.settings.generators import CubeTask
from recon.training.settings.volumes import LatentSamples


class DistilledTask(LatentSamples):
    """Students of a few sampling steps; see :mod:`priors.training.distillation`."""

    steps: int = setting(4, "number of sampling steps of the student", "steps", ge=1)
    teacher_steps: int | None = setting(
        None,
        "number of sampling steps of the teacher, which the student's stand for; null is 64. A distilled teacher has "
        "its own",
        "steps",
        ge=2,
    )
    ratio: int = setting(2, "number of steps that one stage of the training makes a single step", "steps", ge=2)
    start: Literal["average", "noise"] = setting(
        "average", "start of the sampling: the class average with noise added, where the teacher knows one, or noise"
    )
    prediction: Literal["noise", "velocity"] | None = setting(
        None,
        "what the student estimates; null is what its teacher does, or velocity where sampling begins from noise alone",
    )
    loss: Literal["l1", "l2"] = setting("l2", "loss of the velocity estimate")
    mirror: bool = setting(True, "whether mirror images of the volumes are learned from too")
    cubes: CubeTask | None = setting(
        None, "coarse cubes of the volumes, to learn from in their place; null learns from the volumes as they are"
    )
