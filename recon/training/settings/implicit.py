"""Settings of implicit decoders."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from priors.training.section import Section, setting
from recon.training.coarse_pairs import FACTOR

_MARGIN = 4
"""Voxels of a crop along each axis, at least: points lie one voxel inside its ends."""


class ImplicitTask(Section):
    """Points of coarsened volumes, whose finer truth is known; see :mod:`recon.training.coarse_pairs`."""

    crop: tuple[int, int, int] = setting((8, 32, 32), "(z, x, y) size of a sample", "voxels of the coarse image")
    points: tuple[int, int, int] = setting((6, 28, 28), "number of the points of a sample along (z, x, y)")
    per_volume: int = setting(64, "samples of one volume in an epoch", ge=1)
    depth: int | None = setting(
        32,
        "largest number of slices of a coarse image, from the volume's middle; null takes whole volumes. Features are "
        "kept on the disk, two bytes for each voxel and channel",
        "slices",
        ge=1,
    )
    longest: float = setting(
        4.0,
        "longest edge that coarsening by two may give a voxel; along an axis where it would be longer, the volume "
        "stays as it is and no finer voxels are learned",
        "mm",
        gt=0,
    )
    finest: float = setting(
        0.5, "smallest edge of an output's voxel", "voxels of the coarse image", ge=1 / FACTOR, le=1
    )
    coarsest: float = setting(2.0, "largest edge of an output's voxel", "voxels of the coarse image", ge=1, le=16)
    loss: Literal["l1", "l2"] = setting("l2", "loss of the values: absolute or squared error")

    @model_validator(mode="after")
    def _is_possible(self) -> ImplicitTask:
        if min(self.crop) < _MARGIN:
            raise ValueError(f"crop {list(self.crop)}: each must be {_MARGIN} or more")
        if min(self.points) < 1:
            raise ValueError(f"points {list(self.points)}: each must be 1 or more")
        return self
