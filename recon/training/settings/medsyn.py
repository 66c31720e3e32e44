"""Settings of MedSyn's two trainings."""

from __future__ import annotations

from typing import Literal

from priors.training.section import setting
from recon.training.settings.generators import GeneratorTask


class MedSynTask(GeneratorTask):
    """Small volumes; the cubes are those on the finer grid, so that both stages learn from the same ones."""

    ratio: int = setting(4, "voxels of a cube along one voxel of the small volume", ge=1)
    reduction: Literal["mean", "nearest"] = setting(
        "nearest", "value of a voxel of the small volume: the mean of those in its place, or the first, as published"
    )
    texts: str | None = setting(
        None, "safetensors file with the embeddings (tokens, channels) of texts, named by case or by class"
    )
    text_dropped: float = setting(0.1, "share of the samples that are told no text", ge=0, le=1)


class MedSynSRTask(GeneratorTask):
    """The finer grid; ratio and reduction are those of the small volumes' model."""

    column: tuple[int, int, int] | None = setting(
        None, "(z, x, y) size of the part of a cube that is learned from; null is all of it", "voxels"
    )
