"""The adversarial training of HA-GAN on cubes of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from priors.diffusion.anatomy import find_class
from priors.networks.hagan.config import SIZES
from priors.networks.hagan.generator import HAGANGenerator
from priors.training.generators.hagan import HAGANLearner
from recon.errors import InputError
from recon.training.generators.cube_workshop import cubes, diffusion_workshop
from recon.training.generators.stages import check_one_class, new_network
from recon.training.settings.hagan import HAGANTask
from recon.training.settings.parse import parse_task
from recon.training.workshop import Ingredients, Workshop


def build_hagan(given: Ingredients) -> Workshop:
    """From scratch, or with a trained generator and new networks beside it."""
    settings = parse_task(HAGANTask, given.recipe.task)
    _check_cube(settings.size)
    found = cubes(given, settings)
    if not settings.conditional:
        check_one_class("HA-GAN without task.conditional", found)
    names = found.classes if settings.conditional else []
    if settings.conditional and len(names) < 2:
        raise InputError("recipe: task.conditional: the data have one class alone; leave it out")
    generator: HAGANGenerator = new_network(given, "hagan", {"size": settings.size[0], "classes": len(names)})
    learner = HAGANLearner(generator.config, [find_class(name).index for name in names])
    learner.generator = generator
    # No loss of an adversarial training says which step is best, so that the last one is kept.
    return replace(diffusion_workshop(learner, found), validate=None)


def _check_cube(size: Sequence[int]) -> None:
    if len(set(size)) > 1 or size[0] not in SIZES:
        raise InputError(
            f"recipe: task.size {' x '.join(map(str, size))}: HA-GAN learns cubes with edges of "
            f"{', '.join(map(str, SIZES))} voxels"
        )
