"""The result of a table of generators: one row for each method, and what all of them were compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.generation.spec import Compares
from benchmarks.generation.training import Trained
from benchmarks.quality.generation.measures import GenerationMeasures
from benchmarks.table.published import published
from priors.diffusion.anatomy import Size
from priors.diffusion.prior import VoxelSize
from recon.scan.volume import Modality


@dataclass(frozen=True)
class Sampled:
    """How the volumes of a method were made, and what that took.

    Attributes:
        count: the number of volumes, with the seeds 0, 1 and so on.
        sampler: the sampler; ``none`` for a network that makes a volume in one pass.
        steps: the number of steps of the sampler.
        start: what the sampling begins from.
        seconds: the median of the seconds of a volume.
        peak_mb: the most memory of a volume in MB.
        device: the device in words; several where volumes of earlier runs were made on others.
        weights_sha256: the hash of each network's tensors.
        folder: the folder of the volumes, as seen from the folder of all results.
    """

    count: int
    sampler: str
    steps: int
    start: str
    seconds: float
    peak_mb: float
    device: str
    weights_sha256: Mapping[str, str]
    folder: str


@dataclass(frozen=True)
class GenerationRow:
    """One method with its training, its volumes and its measures."""

    label: str
    method: str
    trained: Trained
    sampled: Sampled
    measures: GenerationMeasures


@dataclass(frozen=True)
class RealFacts:
    """The real volumes of a table.

    Attributes:
        split: the split of the data that they were cut from.
        scans: the number of scans that they were cut from.
        count: the number of volumes.
        sha256: the hash of all of them.
        is_training: whether the methods may have learned from the same scans.
    """

    split: str
    scans: int
    count: int
    sha256: str
    is_training: bool


@dataclass(frozen=True)
class Embedding:
    """Features of all volumes together in two dimensions.

    Attributes:
        points: the points (x, y) of each set by its label, the real ones first.
        seed: the seed of the embedding.
        perplexity: about how many neighbours of a volume it keeps together.
    """

    points: Mapping[str, list[list[float]]]
    seed: int
    perplexity: float


@dataclass(frozen=True)
class GenerationResult:
    """A table of generators.

    Attributes:
        table: the name of the table.
        title: the title of the table.
        compares: what is compared.
        anatomy: the name of the class.
        modality: CT or MR.
        size: the size (z, x, y) of all volumes in voxels.
        spacing: their voxel size (z, x, y) in mm.
        features: the name of the features that are compared.
        methods: the methods of the table in their order.
        real: the real volumes.
        rows: the methods with volumes, in the order of the table.
        absent: the label of each method without a result, and why.
        notes: sentences that belong under the table.
        embedding: the picture of the features; None where none is wanted.
    """

    table: str
    title: str
    compares: Compares
    anatomy: str
    modality: Modality
    size: Size
    spacing: VoxelSize
    features: str
    methods: tuple[str, ...]
    real: RealFacts
    rows: tuple[GenerationRow, ...]
    absent: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    embedding: Embedding | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; sizes are (z, x, y), and the paper's figures stand apart."""
        rows = [
            {
                "label": row.label,
                "method": row.method,
                "trained": asdict(row.trained),
                "sampled": asdict(row.sampled),
                "measures": row.measures.to_dict(),
            }
            for row in self.rows
        ]
        return {
            "table": self.table,
            "title": self.title,
            "class": self.anatomy,
            "modality": self.modality,
            "size": list(self.size),
            "spacing_mm": list(self.spacing),
            "features": self.features,
            "real": asdict(self.real),
            "rows": rows,
            "absent": [{"label": label, "reason": reason} for label, reason in self.absent],
            "notes": list(self.notes),
            "embedding": asdict(self.embedding) if self.embedding else None,
            "paper": self.paper,
        }

    @property
    def paper(self) -> dict[str, Any] | None:
        """The paper's own figures; never ours."""
        return published(self.table)
