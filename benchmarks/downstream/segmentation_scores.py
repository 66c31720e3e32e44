"""How good one segmentation is: Dice and 95 % Hausdorff distance of kidneys and tumours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.downstream.segmentation_cases import KIDNEY, TUMOUR
from benchmarks.quality.segmentation_metrics import dice, hausdorff95
from recon.errors import InputError, RunError
from recon.io.label_map import read_label_map


@dataclass(frozen=True)
class Structure:
    """What is scored.

    Attributes:
        key: the name in results.
        title: the name in headings.
        classes: the classes that belong to it.
    """

    key: str
    title: str
    classes: tuple[int, ...]


STRUCTURES = (
    Structure("kidney", "kidney", (KIDNEY, TUMOUR)),
    Structure("tumour", "tumour", (TUMOUR,)),
    Structure("kidney_alone", "kidney alone", (KIDNEY,)),
)
"""KiTS19's own two, where a tumour belongs to its kidney, and the label of the kidney by itself."""


@dataclass(frozen=True)
class Score:
    """One structure of one held-out case.

    Attributes:
        dice: 0 to 1; 0 where the structure is missed or invented; None where it is neither there nor found.
        hd95: the 95 % Hausdorff distance in mm; None where the structure is missed, invented, or not there.
        there: whether the case has it.
        found: whether the network found any of it.
    """

    dice: float | None
    hd95: float | None
    there: bool
    found: bool

    @property
    def missed(self) -> bool:
        """There and not found."""
        return self.there and not self.found

    @property
    def invented(self) -> bool:
        """Found and not there."""
        return self.found and not self.there


def score(truth: np.ndarray, found: np.ndarray, spacing: tuple[float, float, float]) -> dict[str, Score]:
    """The scores of all structures.

    Args:
        truth, found: classes on one 3D grid.
        spacing: the voxel size along their axes in mm.
    """
    scores = {}
    for structure in STRUCTURES:
        one, other = np.isin(truth, structure.classes), np.isin(found, structure.classes)
        scores[structure.key] = Score(
            dice(one, other), hausdorff95(one, other, spacing), bool(one.any()), bool(other.any())
        )
    return scores


def score_files(truth: Path, found: Path) -> dict[str, dict[str, Any]]:
    """The scores of a prediction as plain values.

    Raises:
        RunError: no prediction, a damaged one, or one on another grid.
    """
    try:
        own, predicted = read_label_map(truth), read_label_map(found)
    except InputError as error:
        raise RunError(f"no usable segmentation of a held-out case: {error}") from error
    if own.data.shape != predicted.data.shape or not np.allclose(own.affine, predicted.affine, atol=1e-2):
        raise RunError(f"{found}: on another grid than the case, {truth}")
    found_scores = score(own.data.numpy(), predicted.data.numpy(), own.spacing)
    return {name: asdict(each) for name, each in found_scores.items()}
