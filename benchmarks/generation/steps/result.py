"""The result of a table of sampling steps: a row for each number of steps of the teacher, and one for each student."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.generation.result import RealFacts, Sampled
from benchmarks.quality.generation.comparison import Spread
from benchmarks.quality.generation.measures import GenerationMeasures
from priors.diffusion.anatomy import Size
from priors.diffusion.prior import VoxelSize
from recon.scan.volume import Modality

TITLE = "Sampling steps: the teacher at several numbers of them, and its distilled students"


@dataclass(frozen=True)
class StepsRow:
    """The volumes of one number of steps.

    Attributes:
        label: the name of the row.
        prior: the name of the folder of the weights.
        distilled: what the card says of the distillation, as plain values; None for the teacher.
        sampled: how the volumes were made, and what that took.
        distance: the root mean square differences from the teacher's long volumes of the same seeds; None for these
            themselves.
        measures: the distances from real volumes; None without real volumes.
    """

    label: str
    prior: str
    distilled: dict[str, Any] | None
    sampled: Sampled
    distance: Spread | None
    measures: GenerationMeasures | None


@dataclass(frozen=True)
class StepsResult:
    """A table of sampling steps.

    Attributes:
        anatomy: the name of the class.
        modality: CT or MR.
        size: the size (z, x, y) of all volumes in voxels.
        spacing: their voxel size (z, x, y) in mm.
        long: the number of the teacher's steps that distances are measured from.
        rows: the rows, the teacher's first.
        chance: the differences of long volumes of two seeds, which is the distance of a volume that has nothing to do
            with the teacher's.
        features: the name of the features that are compared; "" without real volumes.
        real: the real volumes; None where there are none.
        notes: sentences that belong under the table.
    """

    anatomy: str
    modality: Modality
    size: Size
    spacing: VoxelSize
    long: int
    rows: tuple[StepsRow, ...]
    chance: Spread
    features: str
    real: RealFacts | None
    notes: tuple[str, ...]

    @property
    def unit(self) -> str:
        """The unit of distances."""
        return "HU" if self.modality == "CT" else "magnitude, 0 to 1"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; sizes are (z, x, y)."""
        rows = [
            {
                "label": row.label,
                "prior": row.prior,
                "distilled": row.distilled,
                "sampled": asdict(row.sampled),
                "distance": asdict(row.distance) if row.distance else None,
                "measures": row.measures.to_dict() if row.measures else None,
            }
            for row in self.rows
        ]
        return {
            "table": "steps",
            "title": TITLE,
            "class": self.anatomy,
            "modality": self.modality,
            "size": list(self.size),
            "spacing_mm": list(self.spacing),
            "unit": self.unit,
            "long": self.long,
            "chance": asdict(self.chance),
            "features": self.features,
            "real": asdict(self.real) if self.real else None,
            "rows": rows,
            "notes": list(self.notes),
        }
