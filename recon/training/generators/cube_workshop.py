"""What the trainings of all generators of cubes have in common: samples, validation, and what their cards say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from priors.diffusion.anatomy import CLASSES
from priors.training.batches import SampleSource
from priors.training.learner import Learner
from recon.training.cubes import CubeGrid, CubeSource, cube_grid, cube_volumes, high_enough
from recon.training.settings.generators import CubeTask, GeneratorTask
from recon.training.validation import Validation, noise_validation
from recon.training.workshop import Ingredients, Workshop


@dataclass(frozen=True)
class Cubes:
    """The cubes of a training.

    Attributes:
        grid: the grid of the cubes.
        train: the samples.
        val: the held-out samples; None where no held-out volume is high enough.
    """

    grid: CubeGrid
    train: CubeSource
    val: CubeSource | None

    @property
    def classes(self) -> list[str]:
        """The names of the classes of the samples, sorted."""
        return sorted({CLASSES[each.class_index].name for each in self.train.volumes})

    @property
    def facts(self) -> dict[str, Any]:
        """What a card says of them: ``classes`` with their voxel sizes (z, x, y) in mm, and ``size`` in voxels."""
        return {"classes": {name: [self.grid.spacing] * 3 for name in self.classes}, "size": list(self.grid.size)}


def cubes(given: Ingredients, settings: GeneratorTask) -> Cubes:
    """The cubes of a training's data.

    Raises:
        InputError: no volume is high enough.
    """
    grid = cube_grid(given.train, settings)
    given.announce(f"cubes of {' x '.join(map(str, grid.size))} voxels (z, x, y) of {grid.spacing:g} mm")
    train = CubeSource(given.train, grid, settings, given.cache, mirror=settings.mirror)
    left = {each.volume.case.id for each in given.train} - {each.volume.case.id for each in train.volumes}
    if left:
        given.announce(f"{len(left)} volumes are too low for a cube and left out")
    held_out = high_enough(given.val, grid, settings)[: given.recipe.validation.cases]
    return Cubes(grid, train, CubeSource(held_out, grid, settings, given.cache) if held_out else None)


def diffusion_workshop(
    learner: Learner,
    found: Cubes,
    identity: dict[str, str] | None = None,
    *,
    source: SampleSource | None = None,
    validate: Validation | None = None,
) -> Workshop:
    """A learner with its cubes, validated by its loss on held-out cubes with the same noise each time.

    Args:
        learner: the network in training.
        found: the cubes of the data.
        identity: what a checkpoint must agree on, beside the grid.
        source: samples made of the cubes; None is the cubes themselves.
        validate: another validation than the loss.
    """
    grid = f"{'x'.join(map(str, found.grid.size))} of {found.grid.spacing:g} mm"
    return Workshop(
        learner,
        source or found.train,
        validate or noise_validation(learner, found.val),
        {"grid": grid} | (identity or {}),
        found.facts | (identity or {}),
    )


def with_cubes(given: Ingredients, settings: CubeTask | None) -> Ingredients:
    """The ingredients with coarse cubes in the place of their volumes, where that is wanted.

    Raises:
        InputError: no volume is high enough.
    """
    if settings is None:
        return given
    grid = cube_grid(given.train, settings)
    train = cube_volumes(given.train, grid, settings, given.cache)
    high = high_enough(given.val, grid, settings)
    val = cube_volumes(high, grid, settings, given.cache) if high else []
    size = " x ".join(map(str, grid.size))
    given.announce(f"{len(train)} cubes of {size} voxels (z, x, y) of {grid.spacing:g} mm for training")
    return replace(given, train=train, val=val)
