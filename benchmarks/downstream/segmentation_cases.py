"""Real volumes with their segmentations, and synthetic ones with the segmentation that each was generated for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.downstream.folds import Member
from benchmarks.quality.segmentation_metrics import dice
from datasets.case import GENERATED, SEGMENTATION, Case
from datasets.identity import content_sha256, file_sha256
from recon.errors import InputError
from recon.io.cases import has_segmentation, read_case, read_segmentation
from recon.io.label_map import read_label_map
from recon.io.nifti.volume import read_volume
from recon.scan.label_map import LabelMap
from recon.scan.volume import Volume

KIDNEY, TUMOUR = 1, 2
CLASSES = {"kidney": KIDNEY, "tumour": TUMOUR}
"""What networks learn, by the numbers of KiTS19."""

_CYST = 3
_CLASS_OF = {0: 0, KIDNEY: KIDNEY, TUMOUR: TUMOUR, _CYST: KIDNEY}
"""From labels of data to classes: KiTS19 has no label of cysts, so that those of phantoms count as kidney."""

_LEAST_KEPT = 0.9
"""The least part of a segmentation that must lie within the synthetic volume that is said to be generated for it."""

_LEAST_DICE = 0.9
"""The least Dice of the mask beside a synthetic volume to the segmentation of the case that the volume is named for."""


def check_segmented(cases: list[Case]) -> None:
    """Refuse data of which some case has no segmentation.

    Raises:
        InputError: names the first such case.
    """
    bare = [case for case in cases if not has_segmentation(case)]
    if bare:
        raise InputError(
            f"`dataset`: {len(bare)} of {len(cases)} cases have no segmentation, such as {bare[0].path}; "
            "NAME_seg.nii.gz beside NAME.nii.gz is wanted"
        )


def read_real(case: Case) -> tuple[Volume, LabelMap]:
    """A case with its segmentation in classes, on one grid.

    Raises:
        InputError: an unusable file, no CT, or labels that have no class.
    """
    volume = read_case(case)
    if not isinstance(volume, Volume) or volume.modality != "CT":
        raise InputError(f"{case.path}: no CT volume; kidneys and tumours are segmented in CT")
    return volume, _in_classes(read_segmentation(case, volume), case)


def _in_classes(labels: LabelMap, case: Case) -> LabelMap:
    unknown = [label for label in labels.labels if label not in _CLASS_OF]
    if unknown:
        raise InputError(
            f"{case.details.get(SEGMENTATION, case.path)}: label {unknown[0]}; there are 1 kidney, 2 tumour, 3 cyst"
        )
    data = torch.zeros_like(labels.data)
    for label, kind in _CLASS_OF.items():
        data[labels.data == label] = kind
    return replace(labels, data=data)


def synthetic_file(folder: Path, case: Case) -> Path:
    """Where the synthetic volume of a case's mask is looked for."""
    return folder / f"{case.id}.nii.gz"


def check_synthetic(folder: Path, members: list[Member]) -> None:
    """Refuse a folder that lacks synthetic volumes, before any work.

    Raises:
        InputError: no such folder, or names the first missing file.
    """
    if not folder.is_dir():
        raise InputError(f"`synthetic` {folder}: no such folder")
    missing = [path for each in members if not (path := synthetic_file(folder, each.case)).is_file()]
    if missing:
        raise InputError(
            f"`synthetic` {folder}: lacks {len(missing)} of {len(members)} volumes, such as "
            f"{missing[0].relative_to(folder)}; each is named after the case whose segmentation it was generated for"
        )


def read_synthetic(file: Path, case: Case) -> tuple[Volume, LabelMap]:
    """A synthetic volume with the segmentation of the case that it is named for, on the grid of the volume.

    Raises:
        InputError: an unusable file, one that does not lie where the segmentation lies, or one beside which another
            mask lies: its case would train in a fold that it validates.
    """
    volume = read_volume(file, "CT")
    _, labels = read_real(case)
    moved = labels.on_grid_of(volume)
    if _size(moved) < _LEAST_KEPT * _size(labels):
        raise InputError(f"{file}: does not lie where the segmentation of {case.id} lies; it was generated for another")
    beside = file.with_name(file.name.replace(".nii.gz", "_mask.nii.gz"))
    if beside.is_file() and not _agree(read_label_map(beside), moved):
        raise InputError(f"{beside}: not the segmentation of {case.id}; the volume was generated for another case")
    return volume, moved


def _size(labels: LabelMap) -> float:
    """mm³ with a label."""
    return float((labels.data > 0).sum()) * float(np.prod(labels.spacing))


def _agree(given: LabelMap, own: LabelMap) -> bool:
    """Whether two label maps have the same voxels labelled; other labels, such as that of the body, do not count."""
    if given.data.shape != own.data.shape:
        return False
    wanted = torch.isin(given.data, torch.tensor([label for label in _CLASS_OF if label], dtype=torch.uint8))
    same = dice(wanted.numpy(), own.data.numpy() > 0)
    return same is None or same >= _LEAST_DICE


def identity(case: Case) -> list[str]:
    """Hashes of a case and of its segmentation; those of a generated case are one."""
    if GENERATED in case.details:
        return [content_sha256(case)]
    return [content_sha256(case), file_sha256(Path(case.details[SEGMENTATION]))]
