"""What generators in folders of trained weights have in common: where these came from, and what they learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from priors.diffusion.anatomy import CLASSES, Anatomy, Size
from priors.diffusion.learned import check_learned, learned_of
from priors.diffusion.prior import VoxelSize
from priors.weights.card import read_card


@dataclass(frozen=True)
class Origin:
    """Where the weights of a generator came from.

    Attributes:
        name: the name of the folder of the weights; empty if they came from no folder.
        sha256: the hash of each network's tensors, by file name.
        classes: the classes that were learned, each with the voxel size (z, x, y) in mm of its volumes; empty where the
            weights do not say.
        size: the size (z, x, y) in voxels of what was learned from; None where the weights do not say.
    """

    name: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, VoxelSize] = field(default_factory=dict)
    size: Size | None = None

    @classmethod
    def of(cls, folder: Path, files: Sequence[str]) -> Origin:
        """That of weights files in a folder; the last of them says what was learned from.

        Raises:
            ValueError: a file is missing or damaged.
        """
        cards = {name: read_card(folder / name) for name in files}
        hashes = {name: card.sha256 for name, card in cards.items()}
        path = folder / files[-1]
        return cls(folder.resolve().name, hashes, *learned_of(path, cards[files[-1]].extra))


@dataclass(frozen=True)
class TrainedGenerator:
    """The members of :class:`priors.generators.generator.Generator` that follow from the origin of the weights alone.

    Most such networks are not told a class: whichever of the classes is asked for, what they make looks like what they
    learned from. Those that are told one override what depends on it.

    Attributes:
        origin: the origin of the weights.
    """

    origin: Origin

    @property
    def name(self) -> str:
        return self.origin.name

    @property
    def sha256(self) -> Mapping[str, str]:
        return self.origin.sha256

    @property
    def classes(self) -> Mapping[str, VoxelSize]:
        return self.origin.classes

    @property
    def anatomies(self) -> Sequence[Anatomy]:
        return [each for each in CLASSES if not self.classes or each.name in self.classes]

    def check_class(self, anatomy: Anatomy) -> None:
        check_learned(anatomy, self.classes)

    def usual_sizes(self, anatomy: Anatomy) -> Sequence[Size]:
        return [self.origin.size] if self.origin.size else [grid.size for grid in anatomy.grids]

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        return self.classes.get(anatomy.name) or anatomy.grid_near(size).spacing
