"""Settings of the cubes that generators learn from."""

from __future__ import annotations

from priors.training.section import Section, setting


class CubeTask(Section):
    """Cubes of volumes, the same for every method; see :mod:`recon.training.cubes`."""

    size: tuple[int, int, int] = setting((64, 64, 64), "(z, x, y) size of a volume", "voxels")
    spacing: float | None = setting(
        None, "edge of a voxel; null makes the cubes as wide as the training's volumes, in the median", "mm", gt=0
    )
    least_height: float = setting(
        0.75, "share of a cube's height that a volume must have, to be learned from", gt=0, le=1
    )
    stretch: float = setting(
        0.0,
        "largest relative change of the size along each axis, drawn for every cube, so that cubes of few people are "
        "not learned by heart",
        ge=0,
        lt=0.5,
    )
    per_volume: int = setting(8, "cubes of one volume in an epoch", ge=1)


class GeneratorTask(CubeTask):
    """Generators that learn from cubes as such."""

    mirror: bool = setting(True, "whether mirror images of the volumes are learned from too")
