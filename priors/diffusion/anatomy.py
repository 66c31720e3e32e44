"""The seven classes that 3D MedDiffusion generates, with the sizes and spacings it was trained at.

Sizes and spacings are in the order (z, x, y) of the networks' tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """A grid of training volumes.

    Attributes:
        size: (z, x, y) voxels.
        spacing: (z, x, y) mm.
    """

    size: Size
    spacing: tuple[float, float, float]

    def latent_size(self, compression: int) -> Size:
        """(z, x, y) of the latents of an autoencoder that compresses each axis by ``compression``."""
        z, x, y = self.size
        return z // compression, x // compression, y // compression


@dataclass(frozen=True)
class Anatomy:
    """A class of the released networks.

    Attributes:
        index: what the noise estimator takes as ``y``.
        name: the name of the class.
        modality: CT or MR.
        grids: the grids of the volumes that the release was trained on; the first is the default.
    """

    index: int
    name: str
    modality: Literal["CT", "MR"]
    grids: tuple[Grid, ...]

    def grid_near(self, size: Size) -> Grid:
        """The training grid that is nearest in size, by ratio."""
        return min(self.grids, key=lambda grid: _distance(grid.size, size))


def _distance(a: Size, b: Size) -> float:
    return sum(math.log(m / n) ** 2 for m, n in zip(a, b, strict=True))


CLASSES: tuple[Anatomy, ...] = (
    Anatomy(0, "CTHeadNeck", "CT", (Grid((256, 256, 256), (1, 1, 1)), Grid((128, 256, 256), (1, 1, 1)))),
    Anatomy(
        1, "CTChestAbdomen", "CT", (Grid((256, 256, 256), (1.25, 1.25, 1.25)), Grid((512, 512, 512), (1, 0.7, 0.7)))
    ),
    Anatomy(2, "CTLegs", "CT", (Grid((256, 256, 256), (1.25, 1.25, 1.25)), Grid((512, 256, 256), (1.25, 1.25, 1.25)))),
    Anatomy(3, "MRT1Brain", "MR", (Grid((192, 192, 192), (1, 1, 1)),)),
    Anatomy(4, "MRT2Brain", "MR", (Grid((192, 192, 192), (1, 1, 1)),)),  # FLAIR
    Anatomy(5, "MRAbdomen", "MR", (Grid((128, 256, 256), (2, 1.2, 1.2)),)),
    Anatomy(6, "MRKnee", "MR", (Grid((64, 320, 320), (1, 1, 1)),)),
)

ANATOMIES = "anatomies"
"""Entry of a card whose network has classes of its own: their names and modalities in the order of the indices."""


def own_anatomies(
    listed: Sequence[Mapping[str, Any]], spacings: Mapping[str, tuple[float, float, float]], size: Size
) -> tuple[Anatomy, ...]:
    """The classes that a card lists.

    Args:
        listed: the name and the modality of each.
        spacings: the voxel size (z, x, y) in mm of each one's volumes.
        size: the size (z, x, y) in voxels of volumes.

    Raises:
        KeyError, TypeError, ValueError: no such list.
    """
    found = []
    for index, each in enumerate(listed):
        name, modality = each["name"], each["modality"]
        if not isinstance(name, str) or modality not in ("CT", "MR"):
            raise ValueError(f"a class {name!r} of {modality!r}")
        found.append(Anatomy(index, name, modality, (Grid(size, spacings[name]),)))
    return tuple(found)


def find_class(name: str, anatomies: Sequence[Anatomy] = CLASSES) -> Anatomy:
    """The class of that name, in any case.

    Args:
        name: the name of the class.
        anatomies: the classes of a prior.

    Raises:
        ValueError: no such class; the message lists the names.
    """
    for anatomy in anatomies:
        if anatomy.name.lower() == name.lower():
            return anatomy
    raise ValueError(f"no class {name!r}; one of {', '.join(anatomy.name for anatomy in anatomies)}")
