"""Features of sets of volumes, kept volume by volume, and the measures of a method, kept as one cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from torch import Tensor

from benchmarks.generation.cells import Cells, key_of
from benchmarks.generation.volumes import VolumeSet
from benchmarks.quality.features.network import FeatureNetwork
from benchmarks.quality.generation.measures import (
    GenerationMeasures,
    MeasureSettings,
    measure_generation,
    similarity_of_pairs,
)
from benchmarks.quality.generation.ms_ssim import PairSimilarity, largest_scales
from benchmarks.table.dependencies import code_of, source_sha256
from priors.diffusion.anatomy import Size
from priors.diffusion.prior import VoxelSize

Announce = Callable[[str], None]

_MEASURED_BY = ("benchmarks.quality.generation.measures",)

USUAL_FEATURES = {"CT": "ct-resnet152", "MR": "efficientnet-lite0"}
"""Features where none are named, by modality: the networks that can be had without a file of the user's."""


class Lazy(Sequence[Tensor]):
    """A set of volumes that are read when they are asked for."""

    def __init__(self, volumes: VolumeSet) -> None:
        self._volumes = volumes

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, place: int) -> Tensor:  # type: ignore[override]
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._volumes.read(place)


@dataclass(frozen=True)
class Measuring:
    """What all methods of a table are measured by.

    Attributes:
        features: the network whose features are compared.
        size: the size (z, x, y) of the volumes in voxels.
        spacing: their voxel size (z, x, y) in mm.
        cells: what is kept of earlier runs.
        settings: the settings of the measures.
    """

    features: FeatureNetwork
    size: Size
    spacing: VoxelSize
    cells: Cells
    settings: MeasureSettings

    def features_of(self, volumes: VolumeSet, announce: Announce) -> np.ndarray:
        """(n, d) features; those of volumes that were seen before are not computed again."""
        found, computed = [], 0
        for place, content in enumerate(volumes.sha256):
            key = key_of("features", content, self._features_known_by(), list(self.spacing))
            known = self.cells.get_features(key)
            if known is None:
                known = self.features.features(volumes.read(place)[None], self.spacing)[0]
                self.cells.put_features(key, known)
                computed += 1
            found.append(known)
        if computed:
            announce(f"{volumes.label}: features of {computed} volumes, {self.features.name}")
        return np.stack(found)

    def measure(
        self, real: VolumeSet, generated: VolumeSet, training: VolumeSet | None, announce: Announce
    ) -> GenerationMeasures:
        """The measures of one method, from the cell of these volumes if there is one."""
        key = key_of(
            "measures",
            [real.identity, generated.identity, training.identity if training else ""],
            self._features_known_by(),
            asdict(self.settings),
            source_sha256(_MEASURED_BY),
        )
        known = self.cells.get(key)
        if known is None:
            measured = measure_generation(
                Lazy(real),
                Lazy(generated),
                self.features,
                spacing=self.spacing,
                settings=self.settings,
                real_features=self.features_of(real, announce),
                generated_features=self.features_of(generated, announce),
                training_features=None if training is None else self.features_of(training, announce),
                ms_ssim_real=self._similarity(real),
            )
            known = self.cells.put(key, measured.to_dict())
            announce(f"{generated.label}: measured")
        return GenerationMeasures.from_dict(known)

    def _features_known_by(self) -> list[str]:
        """What features depend on: their network, its weights and its code."""
        return [self.features.name, self.features.sha256, code_of(self.features)]

    def _similarity(self, real: VolumeSet) -> PairSimilarity | None:
        """MS-SSIM of pairs of the real volumes, once for all methods."""
        key = key_of("pairs", real.identity, asdict(self.settings), source_sha256(_MEASURED_BY))
        known = self.cells.get(key)
        if known is None:
            found = similarity_of_pairs(Lazy(real), self.settings)
            known = self.cells.put(key, {"pairs": asdict(found) if found else None})
        pairs = known["pairs"]
        return PairSimilarity(**{**pairs, "size": tuple(pairs["size"])}) if pairs else None


def settings_for(size: Size) -> MeasureSettings:
    """The usual settings, with as many scales of MS-SSIM as volumes of a size have."""
    usual = MeasureSettings()
    return MeasureSettings(scales=min(usual.scales, largest_scales(size, usual.kernel)))
