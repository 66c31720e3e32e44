"""Generators without a network for tests of tables: seeded blobs, each kind of its own, from small JSON files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from priors.diffusion.anatomy import CLASSES, Anatomy, Size
from priors.diffusion.learned import check_learned
from priors.diffusion.prior import VoxelSize
from priors.generators.generator import OnProgress, Plan, Sampling, no_progress
from priors.networks.inference import Acceleration

EDGE = 32
SPACING = 8.0


@dataclass(frozen=True)
class ToyGenerator:
    """Ellipsoids of water in air, blurred or noisy as ``noise`` says.

    Implements :class:`priors.generators.generator.Generator`.
    """

    name: str
    method: str
    noise: float
    edge: int
    one_pass: bool
    classes: Mapping[str, VoxelSize]
    made: list[int] = field(default_factory=list)

    @property
    def sha256(self) -> Mapping[str, str]:
        return {"toy.json": f"{self.method} {self.noise}"}

    @property
    def anatomies(self) -> Sequence[Anatomy]:
        return CLASSES

    @property
    def samplers(self) -> Sequence[str]:
        return ("none",) if self.one_pass else ("ddpm",)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ToyGenerator:
        return self

    def check_class(self, anatomy: Anatomy) -> None:
        check_learned(anatomy, self.classes)

    def check_size(self, size: Size) -> None:
        if any(edge % 8 for edge in size):
            raise ValueError(f"{size} voxels: each edge must be a multiple of 8")

    def usual_sizes(self, anatomy: Anatomy) -> Sequence[Size]:
        return [(self.edge,) * 3]

    def usual_spacing(self, anatomy: Anatomy, size: Size) -> VoxelSize:
        return self.classes[anatomy.name]

    def plan(self, anatomy: Anatomy, size: Size, sampling: Sampling) -> Plan:
        steps = sampling.steps or 1000
        if steps > 1000:
            raise ValueError(f"{steps}: at most 1000 steps")
        return Plan("none", 1) if self.one_pass else Plan("ddpm", steps, tuple(range(steps)))

    def generate(
        self,
        anatomy: Anatomy,
        size: Size,
        seeds: Sequence[int],
        sampling: Sampling,
        *,
        voxel_size: VoxelSize | None = None,
        acceleration: Acceleration | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Iterator[Tensor]:
        weights = torch.ones(1, 1, 3, 3, 3) / 27
        for seed in seeds:
            self.made.append(seed)
            image = blob(size, seed)
            if self.noise:
                noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
                image = image + self.noise * torch.nn.functional.conv3d(noise[None, None], weights, padding=1)[0, 0]
            yield image


def blob(size: Size, seed: int) -> Tensor:
    """(Z, X, Y) in the network range: a body of water, and a bone at its right and anterior side."""
    random = np.random.default_rng(seed)
    z, x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    a, b = random.uniform(0.6, 0.9, 2)
    image = np.where((x / a) ** 2 + (y / b) ** 2 < 1, 0.04, -1.0)
    image[(x - 0.3) ** 2 + (y - 0.3) ** 2 + 0.2 * (z - random.uniform(-0.5, 0.5)) ** 2 < 0.04] = 0.7
    return torch.from_numpy(image).float()


def write_toy(folder: Path, method: str, noise: float = 0.0, **facts: object) -> Path:
    """The folder of a toy generator."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"method": method, "noise": noise, "edge": EDGE, "one_pass": False, "class": "CTChestAbdomen"} | facts
    (folder / "toy.json").write_text(json.dumps(content))
    return folder


def load_toy(folder: Path) -> ToyGenerator:
    """The generator of a folder; ``ValueError`` in one line for a damaged one, as real ones have."""
    try:
        content = json.loads((folder / "toy.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'toy.json'}: missing or damaged") from error
    spacing = content.get("spacing", SPACING)
    return ToyGenerator(
        folder.name,
        content["method"],
        content["noise"],
        content["edge"],
        content["one_pass"],
        {content["class"]: (spacing,) * 3},
    )
